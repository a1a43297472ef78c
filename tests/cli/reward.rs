//! `glmv reward`: scores, case files and training logs from the command line.

use crate::program::{assert_clear_error, say};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/glmv-reward/tests/data/reward_cases.json")
}

fn file(dir: &TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

fn row(id: &str, response: &str) -> String {
    serde_json::json!({
        "id": id, "domain": "physics", "level": "judge", "config": {}, "question": "How fast?",
        "response": response, "ground_truth": "7"
    })
    .to_string()
}

#[test]
fn the_published_cases_pass_and_a_changed_one_fails() {
    let path = cases();
    let said = say(&["reward", "test", path.to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{}", said.stdout);
    assert!(said.stdout.contains("0 failed"), "{}", said.stdout);

    let dir = TempDir::new().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let case = &mut json["cases"][0];
    case["expected"] = serde_json::json!(1.0 - case["expected"].as_f64().unwrap());
    let changed = file(&dir, "changed.json", &json.to_string());
    let said = say(&["reward", "test", &changed]);
    assert_eq!(said.code, Some(1));
    assert!(said.stdout.contains("1 failed"), "{}", said.stdout);
}

#[test]
fn hacks_score_zero_and_a_bad_row_is_an_error() {
    let dir = TempDir::new().unwrap();
    let rows = [
        row("right", "7"),
        row("range", "a correct number between 0 and 10"),
        row("vague", "a velocity very close to the speed of light"),
    ];
    let good = file(&dir, "good.jsonl", &rows.join("\n"));
    let said = say(&["reward", "score", "--json", "--cases", &good]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let rewards: Vec<f64> = said
        .stdout
        .lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row["reward"].as_f64().unwrap()
        })
        .collect();
    assert_eq!(rewards, [1.0, 0.0, 0.0]);

    let bad = row("lost", "7").replace("physics", "alchemy");
    let bad = file(&dir, "bad.jsonl", &format!("{}\n{bad}\n", rows[0]));
    let said = say(&["reward", "score", "--json", "--cases", &bad]);
    assert_clear_error(&said, &["bad.jsonl", "alchemy"]);
    assert_clear_error(
        &say(&["reward", "score", "--cases", "no/file"]),
        &["no/file"],
    );
    let config = file(
        &dir,
        "reward.toml",
        "[source.a]\ndomain = \"math\"\ncolour = 1\n",
    );
    let said = say(&["reward", "score", "--cases", &good, "--config", &config]);
    assert_clear_error(&said, &["reward.toml"]);
}

#[test]
fn attacks_are_counted() {
    let said = say(&["reward", "fuzz", "chart", "--answers", "300", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    serde_json::from_str::<serde_json::Value>(&said.stdout).expect("one object");
    assert_clear_error(&say(&["reward", "fuzz", "alchemy"]), &["alchemy"]);
}

#[test]
fn a_log_is_watched() {
    let dir = TempDir::new().unwrap();
    let line = |step: usize| {
        let wave = 0.4 + 0.01 * ((step * 7 % 11) as f64 / 11.0);
        serde_json::json!({"step": step, "domains": {"math": {"reward": wave, "entropy": 0.9}}})
            .to_string()
    };
    let lines: Vec<String> = (0..80).map(line).collect();
    let log = file(&dir, "log.jsonl", &lines.join("\n"));
    let said = say(&["reward", "watch", &log]);
    assert_eq!(said.code, Some(0), "{} {}", said.stdout, said.stderr);
    assert!(
        said.stdout.contains("80 of 80 lines watched"),
        "{}",
        said.stdout
    );
    let broken = lines
        .join("\n")
        .replacen("\"step\":3,", "\"step\":\"three\",", 1);
    let broken = file(&dir, "broken.jsonl", &broken);
    assert_clear_error(&say(&["reward", "watch", &broken]), &["broken.jsonl", "4"]);
}
