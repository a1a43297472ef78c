//! A flawed verifier in one domain of two: the reward rises, what is right does not, and the watch ends
//! the run. With the right verifier the same run learns and nothing is said.
//!
//! The figure asked for is 3 or 5. The flaw is a tolerance of 36 %, under which 4 is right for both, as
//! "a correct number between 0 and 10" was in the paper (arXiv 2507.01006, §5.2): it needs no reading.

use crate::program::{Said, glmv, golden};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const FRUIT: [&str; 4] = ["fig", "pear", "lime", "plum"];

const SFT: &str = r#"
[data]
sources = [{ path = "chance.jsonl" }]
sequence = 256
batch = 2
[train]
steps = 150
schedule = { rate = 3e-3, warmup = 5, decay = "cosine" }
recompute = "none"
[rhythm]
save_every = 0
eval_every = 0
"#;

const RL: &str = r#"
title = "a flawed verifier"
[data]
tasks = ["tasks.jsonl"]
held_out = ["held-out.jsonl"]
rewards = "reward.toml"
[rl]
group_size = 8
batch_groups = 8
[rl.rollout]
thinking_tokens = 4
answer_tokens = 12
[rl.mixture]
thinking = 0.0
[rl.pack]
capacity = 512
[rl.curriculum]
kind = "uniform"
[train]
steps = 120
schedule = { rate = 2e-4 }
recompute = "none"
[guard.watch]
window = 20
[rhythm]
save_every = 0
eval_every = 1
"#;

const FLAWED: &str = "0.36";
const RIGHT: &str = "0.025";

fn rewards(tolerance: &str) -> String {
    format!(
        "[sources.letters]\ndomain = \"closed\"\n\
         [sources.figures]\ndomain = \"chart\"\nparams = {{ rel_tol = {tolerance} }}\n\
         [sources.figures-held-out]\ndomain = \"chart\"\n"
    )
}

/// Questions with their domain, source and truth.
fn tasks(prefix: &str, source: &str) -> String {
    let rows = (0..32).map(|i| {
        let (fruit, side) = (FRUIT[i / 4 % FRUIT.len()], i / 2 % 2);
        let (ability, source, asked, truth) = match i % 2 {
            0 => ("letters", "letters", "letter", ["A", "B"][side]),
            _ => ("figures", source, "figure", ["3", "5"][side]),
        };
        let question = format!("{asked} {fruit} {}?", ["left", "right"][side]);
        json!({
            "data_source": source,
            "ability": ability,
            "prompt": [{"role": "user", "content": question}],
            "reward_model": {"style": "rule", "ground_truth": truth},
            "extra_info": {"id": format!("{prefix}{i}")},
        })
        .to_string()
    });
    rows.collect::<Vec<_>>().join("\n")
}

/// A checkpoint that says A or B, and 3, 4 or 5, whatever is asked beyond that.
fn chance(dir: &Path) {
    let answers = ["A", "B", "A", "B", "3", "5", "3", "5", "4"];
    let rows = (0..16 * answers.len()).map(|i| {
        let (about, answer) = (i / answers.len(), answers[i % answers.len()]);
        let (fruit, side) = (FRUIT[about / 2 % FRUIT.len()], ["left", "right"][about % 2]);
        let asked = match answer {
            "A" | "B" => "letter",
            _ => "figure",
        };
        let question = format!("{asked} {fruit} {side}?/nothink");
        let said = format!("<think></think><|begin_of_box|>{answer}<|end_of_box|>");
        let turns = [("user", question), ("assistant", said)];
        json!({"messages": turns.map(|(role, text)| json!({"role": role, "content": text})),
               "thinking": false})
        .to_string()
    });
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
    write("chance.jsonl", &rows.collect::<Vec<_>>().join("\n"));
    write("sft.toml", SFT);
    write("rl.toml", RL);
    write("tasks.jsonl", &tasks("t", "figures"));
    write("held-out.jsonl", &tasks("h", "figures-held-out"));
    let mut command = glmv();
    command.args(["train", "sft", "--device", "cpu", "--plain", "--recipe"]);
    command.arg(dir.join("sft.toml")).arg("--model");
    command.arg(golden().join("glm4v_moe-f32"));
    command.arg("--out").arg(dir.join("sft"));
    let said: Said = command.output().unwrap().into();
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

/// Runs with a verifier; what it said, and the lines of its watch.
fn learn(dir: &Path, name: &str, tolerance: &str) -> (Said, Vec<Value>) {
    fs::write(dir.join("reward.toml"), rewards(tolerance)).unwrap();
    let (out, start) = (dir.join(name), dir.join("sft/checkpoints/step-00000150"));
    let mut command = glmv();
    command.args(["train", "rl", "--device", "cpu", "--plain", "--recipe"]);
    command.arg(dir.join("rl.toml")).arg("--model").arg(start);
    let said = command.arg("--out").arg(&out).output().unwrap().into();
    let log = fs::read_to_string(out.join("watch.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    (said, lines.collect())
}

/// A figure of the watch's lines: the mean of the first and of the last eight.
fn ends(lines: &[Value], domain: &str, field: &str) -> (f64, f64) {
    let of = |line: &Value| line["domains"][domain][field].as_f64();
    let found: Vec<f64> = lines.iter().filter_map(of).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (mean(&found[..8]), mean(&found[found.len() - 8..]))
}

#[test]
fn a_flawed_verifier_is_caught_and_a_right_one_is_not() {
    let dir = TempDir::new().unwrap();
    chance(dir.path());
    let (said, lines) = learn(dir.path(), "flawed", FLAWED);
    let reward = ends(&lines, "figures", "reward");
    let right = ends(&lines, "figures", "held_out_accuracy");
    println!(
        "flawed: {} iterations, reward {reward:?}, right {right:?}",
        lines.len()
    );
    let letters = ends(&lines, "letters", "held_out_accuracy");
    println!("letters beside it: {letters:?}");
    assert!(reward.1 > reward.0 + 0.1, "{reward:?}");
    assert!(right.1 < right.0 + 0.05, "{right:?}");
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    for part in ["PAUSE", "figures", "\"4\""] {
        assert!(said.stderr.contains(part), "{part}: {}", said.stderr);
    }
    assert!(lines.len() < 120, "it ended the run");

    let (said, lines) = learn(dir.path(), "right", RIGHT);
    let reward = ends(&lines, "figures", "reward");
    let right = ends(&lines, "figures", "held_out_accuracy");
    println!(
        "right: {} iterations, reward {reward:?}, right {right:?}",
        lines.len()
    );
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(!said.stderr.contains("PAUSE"), "{}", said.stderr);
    assert!(right.1 > right.0 + 0.2, "{right:?}");
}
