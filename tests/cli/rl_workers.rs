//! `glmv train rl --workers`: rollouts and updates on more threads and devices.

use crate::program::{Said, assert_clear_error, glmv};
use crate::rl_place::{place, weak};
use crate::run::has_adapter;
use crate::train::bytes;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn command(out: &Path, more: &[&str]) -> Command {
    let mut command = glmv();
    command.args(["train", "rl", "--device", "cpu", "--plain", "--recipe"]);
    command.arg(place().join("rl.toml"));
    command.arg("--model").arg(weak()).arg("--out").arg(out);
    // Small micro-steps, so that there is something to share out.
    command.args(["--set", "rl.pack.capacity=96"]);
    command.args(more);
    command
}

fn learn(out: &Path, more: &[&str]) -> Said {
    command(out, more).output().unwrap().into()
}

fn completions(run: &Path) -> String {
    fs::read_to_string(run.join("completions.jsonl")).unwrap()
}

#[test]
fn a_thread_more_changes_no_completion_and_a_killed_run_goes_on() {
    let dir = TempDir::new().unwrap();
    let [alone, whole, parts] = ["alone", "whole", "parts"].map(|name| dir.path().join(name));
    let said = learn(&alone, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let more = ["--workers", "cpu"];
    let said = learn(&whole, &more);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        completions(&alone) == completions(&whole),
        "a worker showed"
    );
    let last = "checkpoints/step-00000006";
    assert!(
        bytes(&alone.join(last)) == bytes(&whole.join(last)),
        "a worker showed"
    );
    let notes = fs::read_to_string(whole.join("notes.jsonl")).unwrap();
    assert!(notes.contains("workers 0 (cpu), 1 (cpu)"), "{notes}");
    let mut child = command(&parts, &more)
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
    let said = learn(&parts, &[&more[..], &["--resume"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        bytes(&whole.join(last)) == bytes(&parts.join(last)),
        "the resumed run differs"
    );
    assert!(
        completions(&whole) == completions(&parts),
        "the completions differ"
    );
    let early = bytes(&whole.join("checkpoints/step-00000005"));
    assert!(early != bytes(&whole.join(last)), "the control must differ");
}

#[test]
fn completions_name_their_device_and_come_again_on_it() {
    if !has_adapter() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let run = dir.path().join("run");
    let said = learn(&run, &["--workers", "gpu", "--set", "train.steps=2"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let log = completions(&run);
    let records: Vec<Value> = (log.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let made_on = |device: &str| -> Vec<&Value> {
        let of = records.iter().filter(|record| record["device"] == device);
        of.collect()
    };
    let (cpu, gpu) = (made_on("cpu"), made_on("gpu"));
    assert!(!cpu.is_empty() && !gpu.is_empty());
    assert_eq!(cpu.len() + gpu.len(), records.len());
    let replay = |device: &str, more: &[&str]| -> Said {
        let mut command = glmv();
        command
            .args(["rl", "replay", "--json", "--device", device])
            .arg(&run);
        command.arg("--recipe").arg(place().join("rl.toml"));
        command.args(["--set", "rl.pack.capacity=96", "--set", "train.steps=2"]);
        command.arg("--model").arg(weak()).args(more);
        command.output().unwrap().into()
    };
    for (device, own, others) in [("cpu", &cpu, &gpu), ("gpu", &gpu, &cpu)] {
        let said = replay(device, &["--most", "1000"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(report["same"], own.len(), "{device}: {report}");
        assert_eq!(report["other_device"], others.len(), "{device}: {report}");
    }
    let id = gpu[0]["replay_id"].as_str().unwrap();
    assert_clear_error(&replay("cpu", &[id]), &[id, "made on gpu"]);
}
