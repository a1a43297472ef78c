//! A checkpoint that answers by chance, and tasks to learn from, made once for all tests.

use crate::program::{Said, glmv, golden};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

const FRUIT: [&str; 4] = ["fig", "pear", "lime", "plum"];

const SFT: &str = r#"
[data]
sources = [{ path = "chance.jsonl" }]
sequence = 256
batch = 2
[train]
steps = 120
schedule = { rate = 3e-3, warmup = 5, decay = "cosine" }
recompute = "none"
[rhythm]
save_every = 0
eval_every = 0
"#;

const RL: &str = r#"
title = "which letter"
keep = 9
[data]
tasks = ["tasks.jsonl"]
held_out = ["held-out.jsonl"]
rewards = "reward.toml"
[rl]
group_size = 8
batch_groups = 4
[rl.rollout]
thinking_tokens = 4
answer_tokens = 12
[rl.mixture]
thinking = 0.0
[rl.pack]
capacity = 512
[rl.curriculum.rlcs]
expansion_max = 2.0
[rl.harvest]
max_pass_rate = 1.0
[train]
steps = 6
schedule = { rate = 1e-3 }
recompute = "none"
[rhythm]
save_every = 1
eval_every = 3
"#;

/// A checkpoint that answers A or B by chance, whatever it is asked; with its data beside it.
pub fn place() -> &'static Path {
    static PLACE: OnceLock<TempDir> = OnceLock::new();
    let dir = PLACE.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let chance = (0..64).map(|i| {
            let answer = ["A", "B"][i % 2];
            let said = format!("<think></think><|begin_of_box|>{answer}<|end_of_box|>");
            let asked = format!("{}/nothink", question(i / 2));
            let turns = [("user", asked), ("assistant", said)];
            json!({"messages": turns.map(|(role, text)| json!({"role": role, "content": text})),
                   "thinking": false})
            .to_string()
        });
        write("chance.jsonl", &chance.collect::<Vec<_>>().join("\n"));
        write("sft.toml", SFT);
        write("rl.toml", RL);
        write("reward.toml", "[sources.letters]\ndomain = \"closed\"\n");
        write("tasks.jsonl", &tasks(0..32, "t"));
        write("held-out.jsonl", &tasks(0..16, "h"));
        let mut command = glmv();
        command.args(["train", "sft", "--device", "cpu", "--plain", "--recipe"]);
        command.arg(dir.path().join("sft.toml"));
        command.arg("--model").arg(golden().join("glm4v_moe-f32"));
        command.arg("--out").arg(dir.path().join("sft"));
        let said: Said = command.output().unwrap().into();
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        dir
    });
    dir.path()
}

pub fn weak() -> PathBuf {
    place().join("sft/checkpoints/step-00000120")
}

fn question(i: usize) -> String {
    let side = ["left", "right"][i % 2];
    format!("{} {side}?", FRUIT[i / 2 % FRUIT.len()])
}

/// Left is A, right is B.
pub fn tasks(range: std::ops::Range<usize>, prefix: &str) -> String {
    let row = |i: usize| {
        let truth = ["A", "B"][i % 2];
        json!({
            "data_source": "letters",
            "ability": "letters",
            "prompt": [{"role": "user", "content": question(i)}],
            "reward_model": {"style": "rule", "ground_truth": truth},
            "extra_info": {"id": format!("{prefix}{i}")},
        })
        .to_string()
    };
    range.map(row).collect::<Vec<_>>().join("\n")
}
