//! The model that the program carries: `glmv run` as it comes, and the figures of its card.

use crate::program::say;
use crate::run::has_adapter;
use serde_json::Value;
use std::path::Path;

const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/glmv-tiny");
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/images/tiny.png");

fn json(args: &[&str]) -> Value {
    let said = say(args);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    serde_json::from_str(&said.stdout).expect("one JSON object")
}

fn answer(more: &[&str]) -> String {
    let said = json(&[&["run", "--device", "cpu", "--json"], more].concat());
    said["answer"]
        .as_str()
        .expect("an answer")
        .trim()
        .to_owned()
}

#[test]
fn without_arguments_it_answers_rightly() {
    assert_eq!(answer(&[]), "B");
    let said = say(&["run", "--device", "cpu"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("|>B<|"), "{}", said.stdout);
    for told in ["three bars", "Which label has the highest value?"] {
        assert!(said.stderr.contains(told), "{}", said.stderr);
    }
}

#[test]
fn it_answers_by_the_question_and_the_picture() {
    let ask = |question: &str| answer(&["--image", PICTURE, question]);
    assert_eq!(ask("Which label has the highest value?"), "B");
    assert_eq!(ask("What is the value of A?"), "1");
    assert_eq!(ask("What is the value of C?"), "4");
}

/// `gym eval` as `eval.json` tells it.
fn measured(noted: &Value, device: &str, more: &[&str]) -> Value {
    let options = noted["options"].as_str().expect("options");
    let mut args = vec!["gym", "eval", "--json", "--model", TINY, "--device", device];
    args.extend(options.split(' ').chain(more.iter().copied()));
    json(&args)
}

/// Largest difference of accuracy between rows of two tables, by domains and over all.
fn difference(a: &Value, b: &Value, part: &str) -> f64 {
    let share = |table: &Value, at: &str| {
        let share = table.pointer(&format!("{at}/accuracy"));
        share.and_then(Value::as_f64).expect("a share")
    };
    let domains = a["domains"].as_object().expect("domains");
    let each = domains.keys().map(|name| format!("/domains/{name}"));
    let rows: Vec<String> = match part {
        "all" => vec!["/all".into()],
        _ => each.collect(),
    };
    let apart = rows.iter().map(|row| (share(a, row) - share(b, row)).abs());
    apart.fold(0.0, f64::max)
}

#[test]
fn its_figures_are_found_again_on_every_device() {
    let path = Path::new(TINY).join("eval.json");
    let noted = std::fs::read_to_string(&path).expect("readable");
    let noted: Value = serde_json::from_str(&noted).expect("JSON");
    let table = &noted["table"];
    // One item of a domain's forty is 2.5 points, and near ties differ by device.
    for device in ["cpu", "gpu"] {
        if device == "gpu" && !has_adapter() {
            continue;
        }
        let seen = measured(&noted, device, &[]);
        assert!(difference(table, &seen, "all") <= 0.01, "{device}: {seen}");
        assert!(
            difference(table, &seen, "each") <= 0.025,
            "{device}: {seen}"
        );
    }
    // Other items give other figures.
    let other = measured(&noted, "cpu", &["--seed", "900"]);
    assert!(difference(table, &other, "each") > 0.0, "{other}");
}
