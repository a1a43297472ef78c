//! `glmv train` and `glmv data`: runs that learn, die and go on, and data that cannot be used.

use crate::program::{assert_clear_error, glmv, golden, say};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A folder with data, a recipe and runs.
pub struct Place(TempDir);

const RECIPE: &str = r#"
title = "a test"
keep = 2
[data]
sources = [{ path = "train.jsonl" }]
sequence = 160
batch = 2
window = 2
long = "drop"
[train]
steps = 10
schedule = { rate = 3e-3, warmup = 2, decay = "cosine" }
[train.balance]
bias_rate = 1e-3
sequence = 1e-4
[rhythm]
save_every = 5
eval_every = 4
[eval]
sources = [{ path = "held-out.jsonl" }]
generations = 1
tokens = 4
"#;

fn row(question: &str, answer: &str, picture: bool) -> String {
    let text = serde_json::json!({"type": "text", "text": question});
    let image = serde_json::json!({"type": "image", "path": "grad.png"});
    let content = match picture {
        true => vec![image, text],
        false => vec![text],
    };
    serde_json::json!({"messages": [
        {"role": "user", "content": content}, {"role": "assistant", "content": answer}
    ]})
    .to_string()
}

impl Place {
    pub fn new() -> Self {
        let place = Place(TempDir::new().unwrap());
        let picture = golden().join("media/grad.png");
        fs::copy(picture, place.path("grad.png")).unwrap();
        let rows: Vec<String> = (0..24)
            .map(|i| row(&format!("What is {i}?"), &format!("It is {i}."), i % 6 == 0))
            .collect();
        place.write("train.jsonl", &rows.join("\n"));
        place.write("held-out.jsonl", &row("What is 3?", "It is 3.", false));
        place.write("recipe.toml", RECIPE);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn command(&self, out: &str, more: &[&str]) -> Command {
        let mut command = glmv();
        let model = golden().join("glm4v_moe-f32");
        command.args(["train", "sft", "--device", "cpu", "--plain", "--recipe"]);
        command
            .arg(self.path("recipe.toml"))
            .arg("--model")
            .arg(model);
        command.arg("--out").arg(self.path(out)).args(more);
        command
    }

    pub fn train(&self, out: &str, more: &[&str]) -> crate::program::Said {
        self.command(out, more).output().unwrap().into()
    }

    /// `--plan` of the same.
    pub fn plan(&self, more: &[&str]) -> crate::program::Said {
        let model = golden().join("glm4v_moe-f32");
        let mut command = glmv();
        command.args(["train", "sft", "--device", "cpu", "--plan", "--recipe"]);
        command
            .arg(self.path("recipe.toml"))
            .arg("--model")
            .arg(model);
        command.args(more).output().unwrap().into()
    }

    pub fn steps(&self, out: &str) -> Vec<String> {
        let dir = self.path(out).join("checkpoints");
        let Ok(entries) = fs::read_dir(dir) else {
            return Vec::new();
        };
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|n| n.starts_with("step-")).collect();
        names.sort();
        names
    }

    pub fn checkpoint(&self, out: &str, step: u64) -> PathBuf {
        self.path(out).join(format!("checkpoints/step-{step:08}"))
    }
}

/// Every file below a folder, by its path in it.
pub fn bytes(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut all, mut folders) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(dir).unwrap().to_path_buf();
                    all.push((name, fs::read(&path).unwrap()));
                }
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_run_learns_and_leaves_models_metrics_and_a_report() {
    let place = Place::new();
    let said = place.train("run", &["--set", "train.steps=30"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let log = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let losses: Vec<f64> = (log.lines())
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["loss/train"].as_f64().expect("a finite loss")
        })
        .collect();
    assert_eq!(losses.len(), 30);
    assert!(losses[29] < 0.6 * losses[0], "{losses:?}");
    let report = fs::read_to_string(place.path("run/report.html")).unwrap();
    for text in ["loss/held_out", "held out/0", "What is 3?"] {
        assert!(report.contains(text), "{text}");
    }
    // A checkpoint is a model: it answers as it has learnt to.
    let model = place.checkpoint("run", 30);
    let args = [
        "run",
        "--device",
        "cpu",
        "--greedy",
        "--json",
        "--max-new-tokens",
        "24",
        "--model",
    ];
    let said = glmv()
        .args(args)
        .arg(model)
        .arg("What is 3?")
        .output()
        .unwrap();
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert!(said["text"].as_str().unwrap().contains("It is"), "{said}");
}

#[test]
fn a_killed_run_goes_on_byte_for_byte() {
    let place = Place::new();
    assert_eq!(place.train("whole", &[]).code, Some(0));
    // Killed once step 5 is there: nothing gets a chance to tidy up.
    let mut child = place
        .command("parts", &["--set", "train.steps=10"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while place.steps("parts").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = place.train("parts", &["--resume"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let (whole, parts) = (place.checkpoint("whole", 10), place.checkpoint("parts", 10));
    for (a, b) in bytes(&whole).iter().zip(bytes(&parts)) {
        assert!(a == &b, "{} differs", a.0.display());
    }
    assert_eq!(bytes(&whole).len(), bytes(&parts).len());
    let early = bytes(&place.checkpoint("whole", 5));
    assert!(early != bytes(&parts), "the control must differ");
}

/// 20 here; 200 with `GLMV_KILLS=200`.
#[test]
fn kills_at_random_moments_lose_no_complete_checkpoint() {
    let kills: u64 = std::env::var("GLMV_KILLS").map_or(20, |n| n.parse().expect("a number"));
    let place = Place::new();
    let settings = [
        "--set",
        "train.steps=100000",
        "--set",
        "rhythm.save_every=1",
    ];
    let settings = [&settings[..], &["--set", "rhythm.eval_every=0"]].concat();
    let mut before = 0;
    let mut random = 12345u64;
    for kill in 0..kills {
        let more = match kill {
            0 => settings.clone(),
            _ => [&settings[..], &["--resume"]].concat(),
        };
        // Nothing to resume until the first checkpoint is there.
        let more = match place.steps("run").is_empty() {
            true if kill > 0 => settings.clone(),
            _ => more,
        };
        let mut child = place
            .command("run", &more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // The first one lives until there is something to lose, on however slow a machine.
        let start = Instant::now();
        while kill == 0 && place.steps("run").is_empty() && start.elapsed().as_secs() < 120 {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100 + (random >> 33) % 700));
        let ended = child.try_wait().unwrap();
        child.kill().ok();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(ended.is_none(), "kill {kill}: ended by itself: {stderr}");
        let newest = place.steps("run").last().map_or(0, |name| {
            name.trim_start_matches("step-").parse::<u64>().unwrap()
        });
        assert!(
            newest >= before,
            "kill {kill}: step {newest} after {before}"
        );
        before = newest;
    }
    assert!(before > 0, "no checkpoint in {kills} tries");
    // The newest is whole: it loads, and the run goes on from it.
    let end = format!("train.steps={}", before + 1);
    let more = [&settings[2..], &["--set", &end, "--resume"]].concat();
    let said = place.train("run", &more);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        place
            .checkpoint("run", before + 1)
            .join("model.safetensors")
            .exists()
    );
}

#[test]
fn what_cannot_be_trained_is_named() {
    let place = Place::new();
    let refused = |out: &str, more: &[&str], names: &[&str]| {
        let said = place.train(out, more);
        assert_clear_error(&said, names);
        assert_ne!(said.code, Some(0));
    };
    refused(
        "a",
        &["--set", "data.sequense=5"],
        &["recipe.toml", "sequense"],
    );
    refused("b", &["--resume"], &["no checkpoint to resume"]);
    refused(
        "c",
        &["--set", "train.schedule.rate=-1"],
        &["schedule.rate"],
    );
    refused(
        "d",
        &["--set", "data.sources=[{path=\"gone.jsonl\"}]"],
        &["gone.jsonl"],
    );
    let short = ["data.long=error", "data.sequence=8", "eval.sources=[]"];
    let short = short.iter().flat_map(|set| ["--set", set]);
    refused("e", &short.collect::<Vec<_>>(), &["train.jsonl", "8"]);
    let frozen = "train.groups={vision={freeze=true},projector={freeze=true},text={freeze=true},router={freeze=true}}";
    refused("f", &["--set", frozen], &["frozen"]);
    // A rate at which nothing stays finite ends the run and leaves the checkpoints before it.
    refused(
        "g",
        &[
            "--set",
            "train.schedule.rate=1e38",
            "--set",
            "train.schedule.warmup=0",
            "--set",
            "train.patience=2",
        ],
        &["not finite"],
    );
    // A second run does not write over the first.
    assert_eq!(place.train("h", &["--set", "train.steps=1"]).code, Some(0));
    refused("h", &[], &["--resume"]);
    refused(
        "h",
        &["--resume", "--set", "data.batch=1"],
        &["another recipe"],
    );
    // Data that runs out.
    refused(
        "i",
        &["--set", "data.sources=[{path=\"train.jsonl\", epochs=1}]"],
        &["data ended"],
    );
}

#[test]
fn bad_rows_are_reported_by_line() {
    let place = Place::new();
    let rows = [
        row("What is 1?", "It is 1.", false),
        "{\"messages\": 5}".to_string(),
        row("What is it?", "A picture.", true).replace("grad.png", "missing.png"),
        row("What is 2?", "It is 2.", false),
    ];
    place.write("bad.jsonl", &rows.join("\n"));
    let model = golden().join("glm4v_moe-f32");
    let file = place.path("bad.jsonl");
    let args = [
        "data",
        "check",
        file.to_str().unwrap(),
        "--model",
        model.to_str().unwrap(),
    ];
    let said = say(&args);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    for text in ["missing.png", "messages"] {
        assert!(said.stdout.contains(text), "{text}: {}", said.stdout);
    }
    let said = say(&[&args[..], &["--json", "--sequence", "64"]].concat());
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&report["rows"], &report["bad_rows"]),
        (&4.into(), &2.into())
    );
    let lines: Vec<u64> = (report["bad"].as_array().unwrap().iter())
        .map(|bad| bad["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2, 3]);
    // Training names the same row, and may be told to leave it out.
    let sources = "data.sources=[{path=\"bad.jsonl\"}]";
    let said = place.train("a", &["--set", sources]);
    assert_clear_error(&said, &["bad.jsonl"]);
    let steps = [
        "--set",
        sources,
        "--set",
        "train.steps=2",
        "--set",
        "data.bad_rows=100",
    ];
    let said = place.train("b", &steps);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("left out:"), "{}", said.stderr);
    // A whole file is fine.
    let good = place.path("train.jsonl");
    let said = say(&[
        "data",
        "check",
        good.to_str().unwrap(),
        "--model",
        model.to_str().unwrap(),
    ]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
}
