//! `glmv train --plan`, the refusal of runs that do not fit, and the plan against what training took.

use crate::program::{Said, assert_clear_error};
use crate::train::Place;
use serde_json::Value;

fn plan(place: &Place, more: &[&str]) -> Said {
    place.plan(&[&["--json"], more].concat())
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|e| panic!("{e}: {}", said.stderr))
}

fn needed(said: &Said) -> f64 {
    json(said)["needed_bytes"].as_f64().expect("bytes")
}

#[test]
fn a_run_is_planned_from_its_recipe_and_data() {
    let place = Place::new();
    let said = plan(&place, &[]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let report = json(&said);
    assert_eq!(report["fits"], true);
    assert_eq!(report["plan"]["settings"]["tokens"], 160);
    assert!(
        report["survey"]["patches"].as_u64().unwrap() > 0,
        "{report}"
    );
    let trained = report["plan"]["trained"].as_f64().unwrap();
    let section = |name: &str| -> f64 {
        let items = report["plan"]["items"].as_array().unwrap();
        let of = items.iter().filter(|i| i["section"] == name);
        of.map(|i| i["device_bytes"].as_f64().unwrap()).sum()
    };
    assert!((section("optimizer") / (8.0 * trained) - 1.0).abs() < 0.05);
    for name in ["weights", "gradients", "saved", "activations"] {
        assert!(section(name) > 0.0, "{name}");
    }
    // Settings reach the plan.
    let kept = plan(&place, &["--set", "train.recompute=none"]);
    assert!(needed(&kept) > needed(&said));
    let coded = plan(&place, &["--set", "train.adamw.states=8bit"]);
    assert!(needed(&coded) < needed(&said) - 3.0 * trained);
    let frozen = plan(&place, &["--set", "train.groups.text.freeze=true"]);
    assert!(needed(&frozen) < needed(&said));
    let said = place.plan(&[]);
    for part in [
        "optimiser state",
        "saved activations",
        "without recompute",
        "of them learn",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    // Nothing was run.
    assert!(!place.path("checkpoints").exists());
}

#[test]
fn what_cannot_fit_is_refused_with_figures_and_advice() {
    let place = Place::new();
    let states = ["--set", "train.recompute=none"];
    let said = plan(&place, &states);
    let all = needed(&said);
    let memory = format!("{}", all as u64 - 1);
    let more = [&states[..], &["--memory", &memory]].concat();
    let said = place.plan(&more);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert_clear_error(
        &said,
        &["training needs", "available are", "--set train.recompute"],
    );
    // The advice holds.
    let advised: Vec<&str> = said.stderr.split("--set ").skip(1).collect();
    let advised = advised
        .iter()
        .map(|text| text.split([' ', ',']).next().unwrap());
    let changes: Vec<&str> = advised.flat_map(|change| ["--set", change]).collect();
    let more = [&more[..], &changes].concat();
    assert_eq!(place.plan(&more).code, Some(0));
    // The run itself is refused the same way, before anything is written.
    let said = place.train("refused", &["--memory", "1MiB"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert_clear_error(&said, &["training needs", "1.0 MiB", "LoRA"]);
    assert!(place.steps("refused").is_empty());
    assert!(!place.path("refused/metrics.jsonl").exists());
    // Wrong usage.
    let said = place.train("a", &["--json"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
}
