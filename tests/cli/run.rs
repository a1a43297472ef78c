//! `glmv run` on the golden checkpoints.

use crate::program::{glmv, golden, say};
use glmv_testkit::GoldenSet;
use serde_json::Value;
use std::io::Write;
use std::process::Stdio;

fn ask(model: &str, device: &str, extra: &[&str]) -> Value {
    let (dir, image) = (golden().join(model), golden().join("media/grad.png"));
    let mut args = vec![
        "run",
        "--model",
        dir.to_str().unwrap(),
        "--device",
        device,
        "--json",
    ];
    args.extend(["--image", image.to_str().unwrap()]);
    args.extend(extra);
    args.push("What is in this picture?");
    let said = say(&args);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    serde_json::from_str(&said.stdout).expect("one JSON object on stdout")
}

fn ids(report: &Value) -> Vec<i64> {
    report["token_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_i64().unwrap())
        .collect()
}

/// Golden tokens up to and including the first stop token.
fn expected(case: &str, eos: &[i64]) -> Vec<i64> {
    let set = GoldenSet::open(&golden()).unwrap();
    let (generated, _) = set
        .case(case)
        .unwrap()
        .load(&set)
        .unwrap()
        .i64("generated")
        .unwrap();
    let end = generated
        .iter()
        .position(|t| eos.contains(t))
        .map_or(generated.len(), |i| i + 1);
    generated[..end].to_vec()
}

#[test]
fn greedy_answer_equals_transformers() {
    for device in ["cpu", "gpu"] {
        if device == "gpu" && !crate::run::has_adapter() {
            continue;
        }
        for model in ["glm4v", "glm4v_moe"] {
            let report = ask(
                &format!("{model}-f32"),
                device,
                &["--greedy", "--max-new-tokens", "24"],
            );
            let want = expected(&format!("{model}.model.image"), &[446, 453, 455]);
            assert_eq!(ids(&report), want, "{model} on {device}");
            assert_eq!(report["usage"]["completion_tokens"], want.len());
            assert_eq!(report["logprobs"].as_array().unwrap().len(), want.len());
            assert!(
                report["logprobs"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|l| l.as_f64().unwrap() <= 0.0)
            );
            assert!(report["usage"]["visual_tokens"].as_u64().unwrap() > 0);
        }
    }
}

/// True if a wgpu adapter exists; with `GLMV_REQUIRE_GPU=1` its absence is a failure.
pub fn has_adapter() -> bool {
    let found = !glmv::kernels::device::list().is_empty();
    let required = std::env::var("GLMV_REQUIRE_GPU").is_ok_and(|v| v == "1");
    assert!(found || !required, "GLMV_REQUIRE_GPU=1 and no adapter");
    found
}

#[test]
fn half_precision_answers_too() {
    let report = ask(
        "glm4v-f32",
        "cpu",
        &["--greedy", "--max-new-tokens", "3", "--dtype", "f16"],
    );
    assert_eq!(
        ids(&report)[0],
        expected("glm4v.model.image", &[446, 453, 455])[0]
    );
}

#[test]
fn an_eight_bit_cache_answers_too() {
    let run = |cache: &[&str]| {
        let args = [&["--greedy", "--max-new-tokens", "3"][..], cache].concat();
        ask("glm4v-f32", "cpu", &args)
    };
    let (full, coded) = (run(&[]), run(&["--kv-dtype", "q8"]));
    assert_eq!(ids(&full)[0], ids(&coded)[0]);
    assert_ne!(
        full["logprobs"], coded["logprobs"],
        "the option does nothing"
    );
}

#[test]
fn a_seed_repeats_and_another_differs() {
    let draw = |seed: &str| {
        let args = [
            "--temperature",
            "5",
            "--top-k",
            "0",
            "--top-p",
            "1",
            "--seed",
            seed,
        ];
        ids(&ask(
            "glm4v-f32",
            "cpu",
            &[&args[..], &["--max-new-tokens", "8"]].concat(),
        ))
    };
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
}

#[test]
fn a_one_pixel_picture_and_video_work() {
    let dir = tempfile::tempdir().unwrap();
    let pixel = dir.path().join("pixel.png");
    image_of(1, 1).save(&pixel).unwrap();
    let (model, clip) = (
        golden().join("glm4v_moe-f32"),
        golden().join("media/clip.safetensors"),
    );
    for (flag, path) in [("--image", &pixel), ("--video", &clip)] {
        let said = say(&[
            "run",
            "--model",
            model.to_str().unwrap(),
            "--device",
            "cpu",
            "--max-new-tokens",
            "2",
            "--json",
            flag,
            path.to_str().unwrap(),
            "Describe.",
        ]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        assert!(report["usage"]["visual_tokens"].as_u64().unwrap() > 0);
    }
}

fn image_of(w: u32, h: u32) -> image::RgbImage {
    image::RgbImage::from_fn(w, h, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, 90]))
}

#[test]
fn chat_keeps_history_and_survives_errors() {
    let model = golden().join("glm4v_moe-f32");
    let image = golden().join("media/grad.png");
    let mut child = glmv()
        .args([
            "run",
            "--model",
            model.to_str().unwrap(),
            "--device",
            "cpu",
            "--greedy",
        ])
        .args(["--max-new-tokens", "4"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = format!(
        "Hello\n/image missing.png\n/image {}\nWhat is this?\n/nonsense\n/clear\nHello\n/exit\n",
        image.display()
    );
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    let said: crate::program::Said = child.wait_with_output().unwrap().into();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let answers: Vec<&str> = said.stdout.split_inclusive('\n').collect();
    assert_eq!(
        answers.first(),
        answers.last(),
        "after /clear the same question has the same answer"
    );
    for text in ["missing.png: no such file", "unknown command /nonsense"] {
        assert!(said.stderr.contains(text), "{}", said.stderr);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_text_and_exits_130() {
    use std::io::Read;
    // Without stop tokens the stream lasts until it is interrupted.
    let copy = glmv_testkit::CheckpointCopy::of(&golden().join("glm4v-f32")).unwrap();
    copy.edit_json("generation_config.json", |c| {
        c["eos_token_id"] = serde_json::json!([])
    })
    .unwrap();
    copy.edit_config(|c| c["text_config"]["eos_token_id"] = serde_json::json!([]))
        .unwrap();
    let mut child = glmv()
        .args([
            "run",
            "--model",
            copy.path().to_str().unwrap(),
            "--device",
            "cpu",
        ])
        .args(["--greedy", "--max-new-tokens", "4000", "Tell a story."])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Some text has arrived: the stream is running.
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0u8; 1];
    stdout.read_exact(&mut first).unwrap();
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let mut rest = String::new();
    stdout
        .read_to_string(&mut rest)
        .expect("partial text is whole UTF-8");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.ends_with('\n'));
}
