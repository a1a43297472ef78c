//! `glmv train rl` and `glmv rl`: from a checkpoint that answers by chance to one that has learnt,
//! resumed, replayed, harvested; and what must not learn.

use crate::program::{Said, assert_clear_error, glmv, golden};
use crate::rl_place::{place, tasks, weak};
use crate::rl_use::{compared, harvest_and_grade};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn command(out: &Path, more: &[&str]) -> Command {
    let mut command = glmv();
    command.args(["train", "rl", "--device", "cpu", "--plain", "--recipe"]);
    command.arg(place().join("rl.toml"));
    command.arg("--model").arg(weak()).arg("--out").arg(out);
    command.args(more);
    command
}

pub fn learn(out: &Path, more: &[&str]) -> Said {
    command(out, more).output().unwrap().into()
}

pub fn set<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|s| ["--set", s]).collect()
}

/// Held-out accuracy before the run and at its end.
fn accuracy(out: &Path) -> (f64, f64) {
    let notes = fs::read_to_string(out.join("notes.jsonl")).unwrap();
    let of = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = line["text"].as_str().unwrap().to_owned();
        let number = text
            .strip_prefix("held-out accuracy ")?
            .split(' ')
            .next()?
            .to_owned();
        number.parse::<f64>().ok()
    };
    let found: Vec<f64> = notes.lines().filter_map(of).collect();
    (found[0], found[found.len() - 1])
}

pub fn rl(args: &[&str], run: &Path, more: &[&str]) -> Said {
    let mut command = glmv();
    command.arg("rl").args(args).arg(run).args(more);
    command.arg("--recipe").arg(place().join("rl.toml"));
    command.output().unwrap().into()
}

#[test]
fn reward_teaches_and_shuffled_reward_does_not() {
    let dir = TempDir::new().unwrap();
    let long = [
        "train.steps=60",
        "rhythm.save_every=0",
        "rhythm.eval_every=20",
    ];
    let real = dir.path().join("real");
    let said = learn(&real, &set(&long));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let (before, after) = accuracy(&real);
    assert!(before < 80.0, "the weak checkpoint knows it: {before}");
    assert!(after >= 95.0, "{before} to {after}");
    let shuffled = dir.path().join("shuffled");
    // Answers may become all alike: then there is nothing to learn from, and the run shall go on.
    let control = [
        "shuffle_rewards=true",
        "guard.idle=1000",
        "guard.hacking=warn",
    ];
    let control = [&long[..], &control].concat();
    let said = learn(&shuffled, &set(&control));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let (_, control) = accuracy(&shuffled);
    assert!(
        control <= after - 20.0,
        "{control} from rewards that say nothing"
    );
    // Everything that was to be seen is there.
    let page = fs::read_to_string(real.join("report.html")).unwrap();
    for text in [
        "reward/mean",
        "held_out/accuracy",
        "curriculum/tiers",
        "groups/state",
        "fig left?",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // The last accuracy stands behind the last iteration.
    let metrics = fs::read_to_string(real.join("metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert!((last["held_out/accuracy"].as_f64().unwrap() * 100.0 - after).abs() < 0.06);
    assert_eq!(metrics.lines().count(), 61);
    compared(&real, &shuffled);
    let watched = fs::read_to_string(real.join("watch.jsonl")).unwrap();
    assert_eq!(watched.lines().count(), 60);
    assert!(watched.contains("held_out_accuracy") && watched.contains("entropy"));
}

/// Every file below a folder, by its path in it.
fn bytes(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut all, mut folders) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_path_buf();
                all.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_killed_run_goes_on_byte_for_byte_and_every_completion_comes_again() {
    let dir = TempDir::new().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let said = learn(&whole, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let mut child = command(&parts, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (start, third) = (Instant::now(), parts.join("checkpoints/step-00000003"));
    while !third.exists() {
        assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let said = learn(&parts, &["--resume"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let last = "checkpoints/step-00000006";
    assert_eq!(bytes(&whole.join(last)), bytes(&parts.join(last)));
    let log = |run: &Path| fs::read_to_string(run.join("completions.jsonl")).unwrap();
    assert!(log(&whole) == log(&parts), "the completions differ");
    let early = bytes(&whole.join("checkpoints/step-00000005"));
    assert!(early != bytes(&whole.join(last)), "the control must differ");

    let model = weak();
    let replay = [
        "--device",
        "cpu",
        "--json",
        "--model",
        model.to_str().unwrap(),
    ];
    let said = rl(&["replay"], &whole, &replay);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(
        (&found["replayed"], &found["same"]),
        (&json!(100), &json!(100))
    );

    // A record that was changed comes out otherwise, and is told.
    let text = log(&whole);
    let mut first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    first["tokens"][0] = json!(1);
    let rest: Vec<&str> = text.lines().skip(1).collect();
    let changed = format!("{first}\n{}\n", rest.join("\n"));
    fs::write(whole.join("completions.jsonl"), changed).unwrap();
    let id = first["replay_id"].as_str().unwrap().to_owned();
    let said = rl(&["replay"], &whole, &[&replay[..], &[&id]].concat());
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    // So do weights that are not those.
    let golden = golden().join("glm4v_moe-f32");
    let other = ["--device", "cpu", "--model", golden.to_str().unwrap(), &id];
    assert_clear_error(&rl(&["replay"], &whole, &other), &["weights"]);
    let unknown = [&replay[..], &["s9.t9.c9.ff"]].concat();
    assert_clear_error(&rl(&["replay"], &whole, &unknown), &["s9.t9.c9.ff"]);

    harvest_and_grade(&whole, dir.path());
}

#[test]
fn the_check_alone_measures_and_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let said = learn(&dir.path().join("run"), &["--check-only"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(found["tokens"].as_u64().unwrap() > 50, "{found}");
    assert!(found["max_difference"].as_f64().unwrap() <= 1e-4, "{found}");
    let checkpoints = fs::read_dir(dir.path().join("run/checkpoints")).unwrap();
    assert_eq!(checkpoints.count(), 0);
}

#[test]
fn an_adapter_on_weights_of_8_bits_learns_from_reward_and_replays() {
    let dir = TempDir::new().unwrap();
    let run = dir.path().join("run");
    let adapter = "adapter={target='all-linear', rank=4, alpha=8.0, base='q8'}";
    let said = learn(&run, &set(&[adapter, "train.steps=3"]));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stdout.contains("rollout and trainer agree"),
        "{}",
        said.stdout
    );
    let last = run.join("checkpoints/step-00000003");
    assert!(last.join("adapter_model.safetensors").exists());
    assert!(!last.join("model.safetensors").exists());
    let model = weak();
    let replay = ["--device", "cpu", "--json", "--set", adapter, "--model"];
    let replay = [&replay[..], &[model.to_str().unwrap()]].concat();
    let said = rl(&["replay"], &run, &replay);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(found["same"], found["replayed"]);
    assert!(found["same"].as_u64().unwrap() > 90, "{found}");
}

#[test]
fn other_objectives_and_curricula_run() {
    let dir = TempDir::new().unwrap();
    for (index, settings) in [
        [
            "rl.objective.method=dapo",
            "rl.curriculum.kind=dapo",
            "updates=2",
        ],
        [
            "rl.objective.method=gspo",
            "rl.curriculum.kind=speed",
            "rl.objective.kl=0.01",
        ],
        [
            "rl.objective.method=cispo",
            "rl.curriculum.kind=uniform",
            "rl.objective.entropy=0.01",
        ],
        [
            "rl.objective.method=dr-grpo",
            "rl.curriculum.kind=rlcs",
            "rl.objective.truncated=mask",
        ],
    ]
    .iter()
    .enumerate()
    {
        let all = [&settings[..], &["train.steps=4", "rhythm.eval_every=0"]].concat();
        let said = learn(&dir.path().join(index.to_string()), &set(&all));
        let constant = settings[0].ends_with("dr-grpo");
        match constant {
            // Its average needs a length.
            true => assert_clear_error(&said, &["constant_length"]),
            false => assert_eq!(said.code, Some(0), "{settings:?}: {}", said.stderr),
        }
    }
}

#[test]
fn what_cannot_be_learnt_from_is_named() {
    let dir = TempDir::new().unwrap();
    let refused = |out: &str, settings: &[&str], names: &[&str]| {
        assert_clear_error(&learn(&dir.path().join(out), &set(settings)), names);
    };
    refused("a", &["rl.group_size=1"], &["rl.toml", "group_size"]);
    refused("b", &["rl.grup_size=4"], &["rl.toml", "grup_size"]);
    refused("c", &["data.tasks=[\"gone.jsonl\"]"], &["gone.jsonl"]);
    refused("d", &["data.rewards=\"gone.toml\""], &["gone.toml"]);
    refused("e", &["data.tasks=[\"chance.jsonl\"]"], &["chance.jsonl:1"]);
    refused("f", &["rl.pack.capacity=8"], &["8"]);
    refused("g", &["rl.batch_groups=64"], &["64"]);
    let twice = "data.tasks=[\"tasks.jsonl\", \"tasks.jsonl\"]";
    refused("h", &[twice], &["tasks.jsonl:1", "t0"]);
    assert_clear_error(
        &learn(&dir.path().join("i"), &["--resume"]),
        &["no checkpoint"],
    );
    let run = dir.path().join("j");
    assert_eq!(learn(&run, &set(&["train.steps=1"])).code, Some(0));
    assert_clear_error(&learn(&run, &[]), &["--resume"]);
    let other = [vec!["--resume"], set(&["rl.seed=5"])].concat();
    assert_clear_error(&learn(&run, &other), &["another recipe"]);
    // A file named STOP ends a run in good order.
    let stopped = dir.path().join("k");
    fs::create_dir(&stopped).unwrap();
    fs::write(stopped.join("STOP"), "").unwrap();
    assert_eq!(learn(&stopped, &[]).code, Some(130));
    assert!(stopped.join("checkpoints/step-00000000").exists());
}

#[test]
fn nothing_to_learn_ends_the_run() {
    let dir = TempDir::new().unwrap();
    // Nobody is ever right.
    let tasks = tasks(0..32, "t")
        .replace("\"A\"", "\"C\"")
        .replace("\"B\"", "\"C\"");
    let file = dir.path().join("wrong.jsonl");
    fs::write(&file, tasks).unwrap();
    let tasks = format!("data.tasks=[{:?}]", file.to_str().unwrap());
    let run = dir.path().join("run");
    let said = learn(&run, &set(&[&tasks, "guard.idle=3", "train.steps=50"]));
    assert_clear_pause(&said, "3 iterations in a row");
    assert!(run.join("checkpoints/step-00000003").exists());
}

fn assert_clear_pause(said: &Said, why: &str) {
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(
        said.stderr.contains("paused") && said.stderr.contains(why),
        "{}",
        said.stderr
    );
}
