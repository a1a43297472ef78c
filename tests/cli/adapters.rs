//! `glmv train` with an adapter, `glmv run --adapter`, and `glmv merge`.

use crate::program::{Said, assert_clear_error, glmv, golden, say};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const RECIPE: &str = r#"
[data]
sources = [{ path = "train.jsonl" }]
sequence = 128
batch = 2
long = "drop"
[train]
steps = 30
schedule = { rate = 2e-2, warmup = 2, decay = "cosine" }
[adapter]
target = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
rank = 8
alpha = 16
[rhythm]
save_every = 15
eval_every = 0
"#;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Place(TempDir::new().unwrap());
        let row = |i: usize| {
            serde_json::json!({"messages": [
                {"role": "user", "content": format!("What is {i}?")},
                {"role": "assistant", "content": format!("It is {i}.")}
            ]})
        };
        let rows: Vec<String> = (0..24).map(|i| row(i).to_string()).collect();
        fs::write(place.path("train.jsonl"), rows.join("\n")).unwrap();
        fs::write(place.path("recipe.toml"), RECIPE).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn train(&self, out: &str, more: &[&str]) -> Said {
        let mut command = glmv();
        command.args(["train", "sft", "--device", "cpu", "--plain", "--recipe"]);
        command.arg(self.path("recipe.toml")).arg("--model");
        command.arg(model()).arg("--out").arg(self.path(out));
        command.args(more).output().unwrap().into()
    }

    fn adapter(&self, out: &str, step: u64) -> PathBuf {
        self.path(out).join(format!("checkpoints/step-{step:08}"))
    }
}

fn model() -> PathBuf {
    golden().join("glm4v_moe-f32")
}

/// Greedy tokens and log-probabilities of an answer.
fn answer(model: &Path, adapter: Option<&Path>, more: &[&str]) -> (Vec<u64>, Vec<f64>, String) {
    let mut command = glmv();
    command.args(["run", "--greedy", "--json", "--max-new-tokens", "12"]);
    command.args(more).arg("--model").arg(model);
    if let Some(adapter) = adapter {
        command.arg("--adapter").arg(adapter);
    }
    let said: Said = command.arg("What is 3?").output().unwrap().into();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let json: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let list = |key: &str| json[key].as_array().unwrap().clone();
    let ids = list("token_ids")
        .iter()
        .map(|v| v.as_u64().unwrap())
        .collect();
    let logprobs = list("logprobs")
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect();
    (ids, logprobs, json["text"].as_str().unwrap().into())
}

fn merge(place: &Place, base: &Path, adapter: &Path, out: &str, more: &[&str]) -> Said {
    let mut command = glmv();
    command
        .arg("merge")
        .arg("--model")
        .arg(base)
        .arg("--adapter")
        .arg(adapter);
    let out = command.arg("--out").arg(place.path(out)).args(more);
    out.output().unwrap().into()
}

#[test]
fn an_adapter_learns_answers_and_merges() {
    let place = Place::new();
    let said = place.train("run", &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let log = fs::read_to_string(place.path("run/metrics.jsonl")).unwrap();
    let losses: Vec<f64> = (log.lines())
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["loss/train"].as_f64().expect("a finite loss"))
        .collect();
    assert!(losses[29] < 0.7 * losses[0], "{losses:?}");
    let adapter = place.adapter("run", 30);
    assert!(adapter.join("adapter_model.safetensors").is_file());
    assert!(!adapter.join("model.safetensors").exists());
    let said = merge(&place, &model(), &adapter, "merged", &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for device in ["cpu", "gpu"] {
        let device = ["--device", device];
        let beside = answer(&model(), Some(&adapter), &device);
        let merged = answer(&place.path("merged"), None, &device);
        assert_eq!(beside.0, merged.0, "{}", beside.2);
        for (a, b) in beside.1.iter().zip(&merged.1) {
            assert!((a - b).abs() < 1e-4, "{a} and {b}");
        }
        assert_ne!(beside.0, answer(&model(), None, &device).0, "the control");
        assert!(beside.2.contains("It is"), "{}", beside.2);
    }
    let again = merge(&place, &model(), &adapter, "merged", &[]);
    assert_clear_error(&again, &["exists already", "merged"]);
    let (model, out) = (model(), place.path("mean"));
    let (model, out) = (model.to_str().unwrap(), out.to_str().unwrap());
    let mean = |other: &str| say(&["merge", "--model", model, "--out", out, "--average", other]);
    assert_clear_error(&mean("no/such"), &["no/such"]);
    let said = mean(place.path("merged").to_str().unwrap());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let logprobs = |dir: &Path| answer(dir, None, &["--device", "cpu"]).1;
    let between = logprobs(Path::new(out));
    for end in [Path::new(model), &place.path("merged")] {
        assert_ne!(between, logprobs(end), "{}", end.display());
    }
}

#[test]
fn a_run_of_codes_goes_on_and_its_adapter_runs_on_them() {
    let place = Place::new();
    let coded = ["--set", "adapter.base=q4", "--set", "adapter.dropout=0.1"];
    let said = place.train("whole", &coded);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let half = [&coded[..], &["--set", "train.steps=30"]].concat();
    // Stops where the data of step 15 were saved: the rest is run again from there.
    let said = place.train("parts", &half);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    fs::remove_dir_all(place.adapter("parts", 30)).unwrap();
    let said = place.train("parts", &[&half[..], &["--resume"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        let read = |out: &str, step| fs::read(place.adapter(out, step).join(file)).unwrap();
        assert!(read("whole", 30) == read("parts", 30), "{file}");
        if file.ends_with("safetensors") {
            assert!(read("whole", 15) != read("whole", 30), "the control");
        }
    }
    let options = ["--device", "cpu", "--dtype", "q4"];
    let with = answer(&model(), Some(&place.adapter("whole", 30)), &options);
    assert_ne!(with.0, answer(&model(), None, &options).0);
    assert!(with.2.contains("It"), "{}", with.2);
}

#[test]
fn adapters_that_cannot_be_are_named() {
    let place = Place::new();
    for (set, named) in [
        ("adapter.target=[\"no_proj\"]", "no_proj"),
        ("adapter.rank=0", "rank"),
        ("adapter.dropout=1.5", "dropout"),
        ("adapter.alhpa=3", "alhpa"),
        ("adapter.base=q3", "base"),
        ("train.groups.text.rate=2", "text"),
        ("train.balance.bias_rate=0.1", "bias_rate"),
    ] {
        let said = place.train("bad", &["--set", set]);
        assert_clear_error(&said, &[named]);
        let _ = fs::remove_dir_all(place.path("bad"));
    }
    let (model, nowhere) = (model(), place.path("nowhere"));
    let (model, nowhere) = (model.to_str().unwrap(), nowhere.to_str().unwrap());
    let run = [
        "run",
        "--device",
        "cpu",
        "--model",
        model,
        "--adapter",
        nowhere,
        "Hi",
    ];
    assert_clear_error(&say(&run), &["adapter_config.json"]);
    let args = ["merge", "--model", model, "--adapter", nowhere, "--out"];
    let out = place.path("out");
    let said = say(&[&args[..], &[out.to_str().unwrap()]].concat());
    assert_clear_error(&said, &["adapter_config.json"]);
    assert!(!out.exists());
}
