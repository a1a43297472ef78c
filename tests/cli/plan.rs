//! `glmv inspect --plan` and the refusal before loading: figures, verdict, advice, wrong usage.

use crate::program::{Said, assert_clear_error, glmv, golden, say};
use serde_json::Value;
use std::process::Stdio;

fn config(name: &str) -> String {
    format!("{}/assets/configs/{name}.json", env!("CARGO_MANIFEST_DIR"))
}

fn plan(name: &str, args: &[&str]) -> Said {
    let path = config(name);
    say(&[&["inspect", &path, "--plan", "--device", "cpu"], args].concat())
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{e}: {}", said.stderr))
}

#[test]
fn a_reader_that_has_gone_ends_the_program_without_a_panic() {
    let mut child = glmv()
        .args([
            "inspect",
            &config("glm-4.1v-9b"),
            "--plan",
            "--device",
            "cpu",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(output.status.code(), Some(141), "{stderr}");
}

#[test]
fn published_models_are_planned_without_their_weights() {
    for (name, dtype, gib) in [("glm-4.1v-9b", "f16", 19.3), ("glm-4.5v-106b", "q4", 57.7)] {
        let said = plan(name, &["--dtype", dtype, "--memory", "80GiB", "--json"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let report = json(&said);
        let items = report["plan"]["items"].as_array().unwrap();
        let weights: u64 = items
            .iter()
            .filter(|i| i["section"] == "weights")
            .map(|i| i["device_bytes"].as_u64().unwrap())
            .sum();
        let found = weights as f64 / f64::from(1 << 30);
        assert!((found / gib - 1.0).abs() < 0.01, "{name}: {found} GiB");
        assert_eq!(report["fits"], true);
        let needed = report["needed_bytes"].as_u64().unwrap();
        assert!(needed > weights, "{needed}");
    }
    let said = plan("glm-4.5v-106b", &["--dtype", "q4", "--memory", "80GiB"]);
    for part in [
        "experts",
        "shared experts",
        "KV cache",
        "activations",
        "available",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_figures_and_advice() {
    let said = plan("glm-4.5v-106b", &["--dtype", "q4", "--memory", "48GiB"]);
    assert_eq!(said.code, Some(1));
    assert_clear_error(&said, &["needs 58.", "48.00 GiB", "--experts-on-host"]);
    // The advice holds.
    let layers = said.stderr.split("--experts-on-host ").nth(1).unwrap();
    let layers: String = layers.chars().take_while(char::is_ascii_digit).collect();
    let more = [
        "--dtype",
        "q4",
        "--memory",
        "48GiB",
        "--experts-on-host",
        &layers,
    ];
    let said = plan("glm-4.5v-106b", &more);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stdout.contains("needed in host memory"),
        "{}",
        said.stdout
    );
    let fewer = (layers.parse::<usize>().unwrap() - 1).to_string();
    let less = [
        "--dtype",
        "q4",
        "--memory",
        "48GiB",
        "--experts-on-host",
        &fewer,
    ];
    assert_eq!(plan("glm-4.5v-106b", &less).code, Some(1));
    let hopeless = plan("glm-4.5v-106b", &["--memory", "100MiB"]);
    assert_clear_error(&hopeless, &["No setting makes it fit"]);
}

#[test]
fn a_run_that_cannot_fit_is_refused_before_loading() {
    let model = golden().join("glm4v-f32");
    let model = model.to_str().unwrap();
    let run = |memory: &str| {
        let args = [
            "run",
            "--model",
            model,
            "--device",
            "cpu",
            "--max-new-tokens",
            "1",
        ];
        say(&[&args[..], &["--memory", memory, "Hi"]].concat())
    };
    let said = run("100KiB");
    assert_eq!(said.code, Some(1));
    assert_clear_error(&said, &["needs", "100.0 KiB", "--memory"]);
    assert!(said.stdout.is_empty());
    assert_eq!(run("1GiB").code, Some(0));
}

#[test]
fn wrong_usage_is_named() {
    let mid = config("mid-moe");
    assert_eq!(say(&["inspect", &mid, "--ctx", "8"]).code, Some(2));
    let both = ["inspect", "--new", &mid, "--out", "x", "--plan"];
    assert_eq!(say(&both).code, Some(2));
    assert_eq!(plan("mid-moe", &["--image", "big"]).code, Some(2));
    assert_eq!(plan("mid-moe", &["--memory", "12 parsecs"]).code, Some(2));
    assert_eq!(plan("mid-moe", &["--dtype", "q3"]).code, Some(2));
    assert_clear_error(&say(&["inspect", &mid]), &["--plan"]);
    assert_clear_error(&plan("mid-moe", &["--ctx", "0"]), &["--ctx"]);
    assert_clear_error(&plan("mid-moe", &["--ctx", "9999"]), &["9999", "4096"]);
    let layers = plan("mid-moe", &["--experts-on-host", "8"]);
    assert_clear_error(&layers, &["--experts-on-host 8", "7 layers"]);
    let dense = plan("wide-vocabulary", &["--experts-on-host", "1"]);
    assert_clear_error(&dense, &["0 layers"]);
}

#[test]
fn broken_configurations_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(config("mid-moe")).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut json: Value = serde_json::from_str(&text).unwrap();
        change(&mut json);
        let path = dir.path().join("edited.json");
        std::fs::write(&path, json.to_string()).unwrap();
        say(&[
            "inspect",
            path.to_str().unwrap(),
            "--plan",
            "--device",
            "cpu",
        ])
    };
    let missing = with(&|c| {
        c["text_config"]
            .as_object_mut()
            .unwrap()
            .remove("vocab_size");
    });
    assert_clear_error(&missing, &["edited.json", "text_config.vocab_size"]);
    let other = with(&|c| c["model_type"] = "llama".into());
    assert_clear_error(&other, &["model_type", "llama", "glm4v_moe"]);
    // A key that nothing reads changes nothing.
    let unknown = with(&|c| c["text_config"]["some_new_key"] = 5.into());
    assert_eq!(unknown.code, Some(0), "{}", unknown.stderr);
    assert_clear_error(&say(&["inspect", "no.json", "--plan"]), &["no.json"]);
}
