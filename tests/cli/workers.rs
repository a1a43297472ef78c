//! `glmv train --workers`: the same run on more threads and devices.

use crate::program::assert_clear_error;
use crate::run::has_adapter;
use crate::train::{Place, bytes};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_thread_more_changes_no_byte_and_a_killed_run_goes_on() {
    let place = Place::new();
    let said = place.train("alone", &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let more = ["--workers", "cpu"];
    let said = place.train("whole", &more);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let expected = bytes(&place.checkpoint("alone", 10));
    assert!(
        bytes(&place.checkpoint("whole", 10)) == expected,
        "a worker showed"
    );
    let mut child = place
        .command("parts", &more)
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
    let said = place.train("parts", &[&more[..], &["--resume"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        bytes(&place.checkpoint("parts", 10)) == expected,
        "the resumed run differs"
    );
    assert!(
        bytes(&place.checkpoint("parts", 5)) != expected,
        "the control"
    );
}

#[test]
fn another_device_takes_its_share() {
    if !has_adapter() {
        return;
    }
    let place = Place::new();
    let losses = |out: &str, more: &[&str]| -> Vec<f64> {
        let steps = ["--set", "train.steps=4", "--set", "data.batch=3"];
        let said = place.train(out, &[more, &steps].concat());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let log = std::fs::read_to_string(place.path(&format!("{out}/metrics.jsonl"))).unwrap();
        let loss = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["loss/train"].as_f64().unwrap()
        };
        log.lines().map(loss).collect()
    };
    let alone = losses("alone", &[]);
    let two = losses("two", &["--workers", "gpu:0=0.5"]);
    assert_eq!(alone.len(), 4);
    let near = |a: &f64, b: &f64| (a - b).abs() <= 1e-3 * b.abs();
    assert!(
        alone.iter().zip(&two).all(|(a, b)| near(a, b)),
        "{alone:?} {two:?}"
    );
    assert_ne!(alone, two, "nothing was done on the other device");
}

#[test]
fn workers_that_do_not_exist_are_named() {
    let place = Place::new();
    let refused = |workers: &str, names: &[&str]| {
        assert_clear_error(&place.train("out", &["--workers", workers]), names);
    };
    refused("tpu", &["tpu", "gpu:N"]);
    refused("cpu=0", &["cpu=0", "above 0"]);
    refused("cpu,gpu:x", &["gpu:x"]);
    if has_adapter() {
        refused("gpu:99", &["--workers", "gpu:99", "gpu:0"]);
    }
    assert!(place.steps("out").is_empty());
}

#[test]
fn the_plan_counts_workers() {
    let place = Place::new();
    let plan = |more: &[&str]| -> serde_json::Value {
        let said = place.plan(&[&["--json"], more].concat());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap()
    };
    let needed = |plan: &serde_json::Value| plan["needed_bytes"].as_u64().unwrap();
    let (alone, two) = (plan(&[]), plan(&["--workers", "cpu"]));
    let three = plan(&["--workers", "cpu,cpu"]);
    assert_eq!(alone["workers_bytes"], 0);
    assert!(needed(&alone) < needed(&two) && needed(&two) < needed(&three));
    // No second copy of the weights and the optimiser's means.
    assert!(needed(&three) < 3 * needed(&alone));
    let said = place.plan(&["--workers", "cpu"]);
    assert!(said.stdout.contains("workers"), "{}", said.stdout);
    let small = ["--workers", "cpu", "--memory", &needed(&alone).to_string()];
    let said = place.plan(&small);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(said.stderr.contains("workers"), "{}", said.stderr);
    if has_adapter() {
        let other = plan(&["--workers", "gpu,cpu"]);
        let own = other["workers"][0]["needed_bytes"].as_u64().unwrap();
        assert_eq!(other["workers"][0]["device"], "gpu");
        assert!(own > 0 && own < needed(&alone) * 2, "{other}");
    }
}
