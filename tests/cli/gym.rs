//! `glmv gym` and random checkpoints to practise on: evaluations, their bar, the tokenizer, bad options.

use crate::program::{assert_clear_error, golden, say};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/configs/pictures.json");
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/models/glmv-tiny");

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// `gym eval` on the easy level with a tiny golden checkpoint, whose answers are noise.
fn eval(more: &[&str]) -> crate::program::Said {
    let model = text(&golden().join("glm4v_moe-f32"));
    let mut args = vec!["gym", "eval", "--model", &model, "--device", "cpu"];
    args.extend(["--level", "1", "--side", "28", "--max-new-tokens", "3"]);
    args.extend(more);
    say(&args)
}

fn table(more: &[&str]) -> Value {
    let said = eval(more);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let mut table: Value = serde_json::from_str(&said.stdout).expect("one object");
    table["seconds"] = Value::Null;
    table
}

#[test]
fn an_evaluation_counts_every_item_once_and_repeats() {
    let dir = TempDir::new().unwrap();
    let answers = text(&dir.path().join("answers.jsonl"));
    let first = table(&["-n", "22", "--json", "--answers", &answers]);
    assert_eq!(first["levels"].as_object().map(|l| l.len()), Some(11));
    assert_eq!(first["all"]["n"], 22);
    for row in first["levels"].as_object().expect("rows").values() {
        assert_eq!(row["n"], 2);
        for share in ["accuracy", "well_formed", "guesser", "blind"] {
            let value = row[share].as_f64().expect(share);
            assert!((0.0..=1.0).contains(&value), "{share} {value}");
        }
    }
    // The guesser is right now and then; noise is not well-formed.
    assert!(first["all"]["guesser"].as_f64() > Some(0.0), "{first}");
    assert_eq!(first["all"]["well_formed"], 0.0);
    assert_eq!(table(&["-n", "22", "--json", "--batch", "5"]), first);
    let rows = std::fs::read_to_string(&answers).unwrap();
    assert_eq!(rows.lines().count(), 22);
    let said = say(&["reward", "score", "--cases", &answers, "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let other = table(&["-n", "22", "--json", "--seed", "500", "--no-blind"]);
    assert_eq!(other["all"]["blind"], Value::Null);
    assert_ne!(other["levels"], first["levels"]);
}

#[test]
fn the_bar_decides_the_exit_code() {
    let items = [
        "-n",
        "4",
        "--domain",
        "vqa",
        "--task",
        "colour",
        "--no-blind",
        "--no-think",
    ];
    let with = |bar: &str| eval(&[&items[..], &["--at-least", bar]].concat());
    let low = with("0");
    assert_eq!(low.code, Some(0), "{}", low.stderr);
    assert!(low.stdout.contains("vqa/1") && low.stdout.contains("without thinking"));
    let high = with("0.9");
    assert_eq!(high.code, Some(1));
    assert!(high.stderr.contains("--at-least 0.9"), "{}", high.stderr);
    // Random weights do not look, so a blank picture is as good.
    let items = items.map(|item| match item {
        "--no-blind" => "--json",
        item => item,
    });
    let looks = |bar: &str| eval(&[&items[..], &["--over-blind", bar]].concat());
    assert_eq!(looks("0").code, Some(0));
    let blind = looks("0.5");
    assert_eq!(blind.code, Some(1));
    assert!(
        blind.stderr.contains("--over-blind 0.5"),
        "{}",
        blind.stderr
    );
}

#[test]
fn options_that_cannot_be_are_named() {
    let clear = |more: &[&str], names: &[&str]| assert_clear_error(&eval(more), names);
    clear(&["--domain", "vqas"], &["vqas", "counting"]);
    clear(
        &["--domain", "vqa", "--task", "color"],
        &["color", "colour"],
    );
    clear(&["-n", "0"], &["-n 0"]);
    clear(&["--think", "--no-think"], &["--no-think"]);
    let said = say(&[
        "gym",
        "eval",
        "--model",
        "no/such/folder",
        "--device",
        "cpu",
    ]);
    assert_clear_error(&said, &["no/such/folder"]);
}

#[test]
fn a_tokenizer_is_written_or_refused() {
    let dir = TempDir::new().unwrap();
    let out = text(dir.path());
    let said = say(&[
        "gym",
        "tokenizer",
        "-n",
        "2",
        "--size",
        "320",
        "--out",
        &out,
    ]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        assert!(dir.path().join(name).is_file(), "{name}");
    }
    let said = say(&[
        "gym",
        "tokenizer",
        "-n",
        "2",
        "--size",
        "100",
        "--out",
        &out,
    ]);
    assert_clear_error(&said, &["100", "294"]);
}

#[test]
fn a_random_checkpoint_takes_the_files_of_another() {
    let dir = TempDir::new().unwrap();
    let out = text(&dir.path().join("model"));
    let new = [
        "inspect", "--new", CONFIG, "--like", TINY, "--scaled", "--out", &out,
    ];
    let said = say(&new);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let read = |dir: &str| std::fs::read(Path::new(dir).join("tokenizer.json")).unwrap();
    assert!(read(&out) == read(TINY));
    let said = say(&["inspect", TINY, "--scaled"]);
    assert_clear_error(&said, &["--new"]);
}
