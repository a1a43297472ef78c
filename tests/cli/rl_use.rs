//! What goes with rewarded runs: their plan, grades, harvest and comparison.

use crate::program::{Said, assert_clear_error, glmv};
use crate::rl::{learn, rl, set};
use crate::rl_place::{place, weak};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// What two runs had learnt, and after how many completions.
pub fn compared(real: &Path, shuffled: &Path) {
    let svg = real.join("compared.svg");
    let compare = |runs: &[String]| -> Said {
        let mut command = glmv();
        command.args(["rl", "compare", "--reach", "0.9", "--json", "--svg"]);
        command.arg(&svg).args(runs).output().unwrap().into()
    };
    let runs = [("reward", real), ("noise", shuffled)];
    let runs = runs.map(|(name, run)| format!("{name}={}", run.display()));
    let said = compare(&runs);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(found[1]["median_completions"], Value::Null);
    let needed = found[0]["median_completions"].as_u64().unwrap();
    let points = found[0]["runs"][0]["points"].as_array().unwrap();
    assert_eq!((points.len(), &points[0][0]), (4, &json!(0)));
    assert!(
        points
            .iter()
            .any(|p| p[0] == needed && p[1].as_f64().unwrap() >= 0.9)
    );
    let drawn = fs::read_to_string(&svg).unwrap();
    assert!(drawn.contains(">reward</text>") && drawn.contains(">noise</text>"));
    for (wrong, named) in [("x", "NAME=RUN"), ("x=no/such", "no/such")] {
        assert_clear_error(&compare(&[wrong.into()]), &[named]);
    }
}

/// What a run has made becomes data for fine-tuning, and grades for the next curriculum.
pub fn harvest_and_grade(run: &Path, dir: &Path) {
    let out = dir.join("harvest.jsonl");
    let more = ["--json", "--out", out.to_str().unwrap()];
    let said = rl(&["harvest"], run, &more);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let taken: Value = serde_json::from_str(&said.stdout).unwrap();
    let rows = fs::read_to_string(&out).unwrap();
    assert!(rows.lines().count() > 0);
    assert_eq!(
        taken["taken"].as_array().unwrap().len(),
        rows.lines().count()
    );
    assert_clear_error(&rl(&["harvest"], run, &more), &["harvest.jsonl"]);
    let check = ["data", "check", "--json", "--model"];
    let said: Said = glmv()
        .args(check)
        .arg(weak())
        .arg(&out)
        .output()
        .unwrap()
        .into();
    assert_eq!(said.code, Some(0), "{}", said.stderr);

    let grades = dir.join("grades.jsonl");
    let tasks = place().join("tasks.jsonl");
    let said = grade(&tasks, &grades, &["-n", "4", "-k", "2", "--json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let found: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(found["domains"][0]["tasks"], json!(32));
    let before = fs::read_to_string(&grades).unwrap();
    assert_eq!(before.lines().count(), 32);
    more_than_are_rolled_out_at_once(&tasks, dir, &before);
    // A run that fails leaves the file, and nothing beside it.
    let said = grade(&tasks, &grades, &["--adapter", "no/such"]);
    assert_clear_error(&said, &["no/such"]);
    assert_eq!(fs::read_to_string(&grades).unwrap(), before);
    assert!(!dir.join("grades.jsonl.unfinished").exists());
    let graded = format!("data.grades=[{:?}]", grades.to_str().unwrap());
    let said = learn(&dir.join("graded"), &set(&[&graded, "train.steps=1"]));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
}

fn grade(tasks: &Path, out: &Path, more: &[&str]) -> Said {
    let mut command = glmv();
    command.args(["rl", "grade", "--device", "cpu"]).args(more);
    for (option, path) in [
        ("--tasks", tasks.to_owned()),
        ("--rewards", place().join("reward.toml")),
        ("--recipe", place().join("rl.toml")),
        ("--model", weak()),
        ("--out", out.to_owned()),
    ] {
        command.arg(option).arg(path);
    }
    command.output().unwrap().into()
}

/// Nine times the 32 tasks: the first have the grades they have alone, all are there, in order.
fn more_than_are_rolled_out_at_once(tasks: &Path, dir: &Path, alone: &str) {
    let rows = fs::read_to_string(tasks).unwrap();
    let copy = |n: usize| rows.replace("\"id\":\"t", &format!("\"id\":\"t{n}-"));
    let copies: Vec<String> = (1..9).map(copy).collect();
    let many = dir.join("many.jsonl");
    fs::write(&many, format!("{rows}\n{}", copies.join("\n"))).unwrap();
    let out = dir.join("many-grades.jsonl");
    let said = grade(&many, &out, &["-n", "4"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let graded = fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = graded.lines().collect();
    assert_eq!(lines.len(), 9 * 32);
    assert!(alone.lines().eq(lines[..32].iter().copied()));
    assert!(lines[9 * 32 - 1].contains("\"t8-31\""), "{}", lines[287]);
    let parts: Vec<Value> = (lines.iter().skip(32))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // They are drawn anew, not copied from the first.
    let right = |row: &Value| row["right"].as_u64().unwrap();
    assert!(parts.chunks(32).any(|part| {
        let first = alone
            .lines()
            .map(|line| right(&serde_json::from_str(line).unwrap()));
        !first.eq(part.iter().map(right))
    }));
}

#[test]
fn a_rewarded_run_is_planned_and_refused() {
    let dir = TempDir::new().unwrap();
    let plan = |more: &[&str]| learn(&dir.path().join("run"), &[&["--plan"], more].concat());
    let said = plan(&["--json"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    let section = |report: &Value, name: &str| -> u64 {
        let items = report["plan"]["items"].as_array().unwrap();
        let of = items.iter().filter(|i| i["section"] == name);
        of.map(|i| i["device_bytes"].as_u64().unwrap()).sum()
    };
    assert!(section(&report, "cache") > 0 && section(&report, "optimizer") > 0);
    let trained = report["plan"]["trained"].as_u64().unwrap();
    let parameters = report["plan"]["parameters"].as_u64().unwrap();
    // The rollouts hold the weights of before the update.
    let weights = section(&report, "weights");
    assert!(weights >= 4 * (parameters + trained), "{weights}");
    let longer = plan(&["--json", "--set", "rl.rollout.answer_tokens=120"]);
    let longer: Value = serde_json::from_str(&longer.stdout).unwrap();
    assert!(section(&longer, "cache") > 2 * section(&report, "cache"));
    let said = plan(&[]);
    for part in ["keys and values", "of the rollouts", "completions of"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    assert!(!dir.path().join("run").exists(), "nothing was run");
    let said = learn(&dir.path().join("run"), &["--memory", "1MiB"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert_clear_error(&said, &["training needs", "available are"]);
}

/// A program that likes the answer B, whatever is asked.
#[cfg(unix)]
const LIKES_B: &str = r#"read hello
echo "$hello"
while read -r line; do
    id=$(echo "$line" | sed 's/^{"id":\([0-9]*\),.*/\1/')
    case "$line" in
        *'"extracted":"B"'*) echo "{\"id\":$id,\"reward\":1.0}" ;;
        *) echo "{\"id\":$id,\"reward\":0.0}" ;;
    esac
done
"#;

#[cfg(unix)]
#[test]
fn a_reward_of_the_users_own_takes_the_place_of_the_rules() {
    let dir = TempDir::new().unwrap();
    let script = dir.path().join("likes_b.sh");
    fs::write(&script, LIKES_B).unwrap();
    let user = format!("data.user.letters.command=['sh', '{}']", script.display());
    let settings = [
        "train.steps=30",
        "rhythm.save_every=0",
        "rhythm.eval_every=0",
    ];
    let liked = |out: &Path, more: &[&str]| -> f64 {
        let said = learn(out, &set(&[&settings[..], more].concat()));
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let log = fs::read_to_string(out.join("completions.jsonl")).unwrap();
        let lines: Vec<Value> = log
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let last = &lines[lines.len() - 64..];
        let is_b = |l: &&Value| l["text"].as_str().unwrap().contains(">B<");
        last.iter().filter(is_b).count() as f64 / last.len() as f64
    };
    let with = liked(&dir.path().join("with"), &[&user]);
    assert!(with > 0.9, "{with}");
    // The rules want A as often as B.
    let without = liked(&dir.path().join("without"), &[]);
    assert!(without < 0.75, "{without}");
    let unknown = user.replace("letters", "poems");
    let said = learn(&dir.path().join("unknown"), &set(&[&unknown]));
    assert_clear_error(&said, &["data.user.poems"]);
    let missing = "data.user.letters.command=['no/such/program']";
    let said = learn(&dir.path().join("missing"), &set(&[missing]));
    assert_clear_error(&said, &["data.user.letters", "no/such/program"]);
}
