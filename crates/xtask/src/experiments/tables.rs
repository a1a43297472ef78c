//! The tables of docs/experiments.md, and two of its charts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use glmv_monitor::{Chart, ChartLine};
use serde_json::Value;

use super::plan::{ABLATIONS, FLAWED, FLAWED_DOMAIN, Form, MIX, UNIFORM};

/// Writes `tables.md`, `passk.svg` and `flaw.svg` from the rows of `world` and those of the experiments.
///
/// # Errors
/// If a row or a number is not there, or a file cannot be written.
pub(super) fn write(form: &Form, stages: &[Value], rows: &[Value], out: &Path) -> Result<String> {
    let put = |name: &str, content: &str| {
        let path = out.join(name);
        fs::write(&path, content).with_context(|| path.display().to_string())
    };
    let mut text = String::from("## Gain of learning from reward\n\n");
    text += &gains(form, stages, rows)?;
    text += "\n## What each run brings, by domain\n\n";
    text += &matrix(form, rows)?;
    let (table, chart) = pass_at_k(rows)?;
    text += "\n## pass@k\n\n";
    text += &table;
    put("passk.svg", &chart.to_svg())?;
    if let Ok(found) = found(rows, FLAWED) {
        let (line, chart) = flaw(found)?;
        text += "\n## A flawed verifier\n\n";
        text += &line;
        put("flaw.svg", &chart.to_svg())?;
    }
    put("tables.md", &text)?;
    Ok(text)
}

fn found<'a>(rows: &'a [Value], name: &str) -> Result<&'a Value> {
    let row = rows.iter().find(|row| row["run"] == name);
    Ok(&row.with_context(|| format!("results.jsonl: no {name}"))?["found"])
}

/// Accuracy of a table in percent: of a domain, or of all items.
fn percent(table: &Value, domain: Option<&str>) -> Result<f64> {
    let at = match domain {
        Some(domain) => &table["domains"][domain],
        None => &table["all"],
    };
    let share = at["accuracy"].as_f64();
    let share = share.with_context(|| format!("no accuracy of {}", domain.unwrap_or("all")))?;
    Ok(100.0 * share)
}

fn head(text: &mut String, columns: &[&str]) {
    let _ = writeln!(text, "| {} |", columns.join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(columns.len() - 1));
}

/// The stage that learning from reward began with: the last before it.
///
/// # Errors
/// If there is none.
pub(super) fn fine_tuned(stages: &[Value]) -> Result<&str> {
    let at = stages.iter().position(|row| row["stage"] == "rl");
    let before = at.and_then(|at| stages.get(at.checked_sub(1)?));
    let name = before.and_then(|row| row["stage"].as_str());
    name.context(
        "results.jsonl of the stages: no rl with a stage before it; run `cargo xtask world` first",
    )
}

/// The last stage, which is one that learns from reward.
///
/// # Errors
/// If it is another.
pub(super) fn learnt(stages: &[Value]) -> Result<&str> {
    let last = stages.last().and_then(|row| row["stage"].as_str());
    last.filter(|name| name.starts_with("rl")).context(
        "results.jsonl of the stages: the last has not learnt from reward; run `cargo xtask world` first",
    )
}

/// The name of the row of a way of sampling and a model.
pub(super) fn sampled(how: &str, model: &str) -> String {
    format!("{how} {model}")
}

/// Domains by base, fine-tuned and last model: greedy, by the tables of the stages, and sampled.
fn gains(form: &Form, stages: &[Value], rows: &[Value]) -> Result<String> {
    let of = |stage: &str| {
        let row = stages.iter().find(|row| row["stage"] == stage);
        row.with_context(|| format!("results.jsonl of the stages: no {stage}"))
    };
    let models = [of("long")?, of(fine_tuned(stages)?)?, of(learnt(stages)?)?];
    let mut text = String::new();
    for how in ["direct", "thinking"] {
        let tables = models.map(|row| &row["tables"][how]);
        // The short form asks one way.
        if !tables[2].is_null() {
            text += &gain(how, tables)?;
        }
    }
    for (how, _) in form.sampled {
        let [base, sft, rl] = ["base", "sft", "rl"].map(|name| found(rows, &sampled(how, name)));
        text += &gain(how, [base?, sft?, rl?])?;
    }
    Ok(text)
}

/// One way of asking.
fn gain(how: &str, tables: [&Value; 3]) -> Result<String> {
    let domains = tables[2]["domains"].as_object().context("no domains")?;
    let mut text = String::new();
    head(
        &mut text,
        &[
            how,
            "guesser",
            "base",
            "SFT",
            "RL",
            "gain of RL",
            "error removed",
        ],
    );
    let each = domains.keys().map(|domain| Some(domain.as_str()));
    for domain in each.chain([None]) {
        let at = domain.map_or(&tables[2]["all"], |domain| &domains[domain]);
        let guesser = at["guesser"].as_f64().context("no guesser")?;
        let [b, s, r] = tables.map(|table| percent(table, domain));
        let (b, s, r) = (b?, s?, r?);
        let _ = writeln!(
            text,
            "| {} | {:.1} | {b:.1} | {s:.1} | {r:.1} | {:+.1} | {} |",
            domain.unwrap_or("all"),
            100.0 * guesser,
            r - s,
            removed(s, r)
        );
    }
    text.push('\n');
    Ok(text)
}

/// Which share of the errors of one accuracy another has not, both in percent.
fn removed(from: f64, to: f64) -> String {
    match 100.0 - from {
        // Nothing was wrong.
        errors if errors <= 0.0 => "–".to_owned(),
        // A zero without its sign.
        errors => format!("{} %", (100.0 * (to - from) / errors).round() + 0.0),
    }
}

/// Runs by domains: points above the fine-tuned checkpoint.
fn matrix(form: &Form, rows: &[Value]) -> Result<String> {
    let sft = found(rows, "sft")?;
    let mut columns = vec!["run"];
    columns.extend(form.domains);
    columns.push("all");
    let mut text = String::new();
    head(&mut text, &columns);
    let each = || {
        form.domains
            .iter()
            .map(|domain| Some(*domain))
            .chain([None])
    };
    let mut line = |name: &str, cells: Vec<String>| {
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    let start = each().map(|domain| Ok(format!("{:.1} %", percent(sft, domain)?)));
    line("SFT, where they start", start.collect::<Result<_>>()?);
    let known = |name: &str| rows.iter().any(|row| row["run"] == name);
    let mut names = vec![(MIX, "all domains, RLCS".to_owned())];
    names.push((UNIFORM, "all domains, uniform".to_owned()));
    names.extend(ABLATIONS.map(|(name, _)| (name, format!("all domains, {name}"))));
    names.extend(form.domains.iter().map(|d| (*d, format!("{d} alone"))));
    names.push((FLAWED, format!("all domains, {FLAWED_DOMAIN} with a flaw")));
    for (name, label) in names.into_iter().filter(|(name, _)| known(name)) {
        let run = found(rows, name)?;
        let cells = each().map(|domain| {
            let gain = percent(run, domain)? - percent(sft, domain)?;
            Ok(format!("{gain:+.1}"))
        });
        line(&label, cells.collect::<Result<_>>()?);
    }
    Ok(text)
}

/// The chance that at least one of k of n completions is right, c of them being so: 1 - C(n-c, k)/C(n, k).
fn chance(n: u64, c: u64, k: u64) -> f64 {
    let wrong = (0..k).map(|i| (n - c).saturating_sub(i) as f64 / (n - i) as f64);
    1.0 - wrong.product::<f64>()
}

fn pass_at_k(rows: &[Value]) -> Result<(String, Chart)> {
    let mut lines = Vec::new();
    for name in ["base", "sft", "rl"] {
        let run = found(rows, &format!("pass@k {name}"))?;
        let n = run["samples"].as_u64().context("pass@k: no samples")?;
        let right = run["right"].as_array().context("pass@k: no counts")?;
        let right: Vec<u64> = right.iter().filter_map(Value::as_u64).collect();
        let ks = (0..).map(|power| 1_u64 << power).take_while(|k| *k <= n);
        let points = ks.map(|k| {
            let sum: f64 = right.iter().map(|c| chance(n, *c, k)).sum();
            (k as f64, 100.0 * sum / right.len() as f64)
        });
        lines.push(ChartLine {
            label: name.to_owned(),
            points: points.collect(),
        });
    }
    let mut text = String::new();
    let ks: Vec<String> = lines[0]
        .points
        .iter()
        .map(|(k, _)| format!("k = {k}"))
        .collect();
    let mut columns = vec!["pass@k, %"];
    columns.extend(ks.iter().map(String::as_str));
    head(&mut text, &columns);
    for line in &lines {
        let cells: Vec<String> = line.points.iter().map(|(_, p)| format!("{p:.1}")).collect();
        let _ = writeln!(text, "| {} | {} |", line.label, cells.join(" | "));
    }
    let chart = Chart {
        title: "One of k answers is right".into(),
        x: "k".into(),
        y: "share of tasks, %".into(),
        lines,
    };
    Ok((text, chart))
}

fn flaw(run: &Value) -> Result<(String, Chart)> {
    let line = |field: &str, label: &str| {
        let points = run["watch"][field].as_array();
        let points = points.with_context(|| format!("{FLAWED}: no {field}"))?;
        let pair = |p: &Value| Some((p[0].as_f64()?, 100.0 * p[1].as_f64()?));
        Ok(ChartLine {
            label: label.to_owned(),
            points: points.iter().filter_map(pair).collect(),
        })
    };
    let lines: Vec<ChartLine> = [line("reward", "reward"), line("right", "right, held out")]
        .into_iter()
        .collect::<Result<_>>()?;
    let mut text = String::new();
    for line in &lines {
        let ends = (line.points.first(), line.points.last());
        let (Some((_, from)), Some((_, to))) = ends else {
            continue;
        };
        let _ = writeln!(
            text,
            "- {FLAWED_DOMAIN}, {}: {from:.1} to {to:.1} %",
            line.label
        );
    }
    let told = match run["watch"]["told"].as_u64() {
        Some(step) => format!("after iteration {step}"),
        None => "never".to_owned(),
    };
    let _ = writeln!(text, "- the watch asked for a pause: {told}");
    let chart = Chart {
        title: format!("{FLAWED_DOMAIN} with a flawed verifier"),
        x: "iterations".into(),
        y: "%".into(),
        lines,
    };
    Ok((text, chart))
}

#[cfg(test)]
mod tests {
    use super::super::plan::FULL;
    use super::*;
    use crate::shell;
    use serde_json::json;

    #[test]
    fn chances_are_those_of_drawing_without_putting_back() {
        assert_eq!(chance(4, 0, 4), 0.0);
        assert_eq!(chance(4, 1, 4), 1.0);
        assert!((chance(4, 2, 1) - 0.5).abs() < 1e-12);
        // Of six pairs one has none of the two that are right.
        assert!((chance(4, 2, 2) - 5.0 / 6.0).abs() < 1e-12);
    }

    #[test]
    fn removed_errors_are_a_share_of_those_there_were() {
        assert_eq!(removed(80.0, 86.0), "30 %");
        assert_eq!(removed(80.0, 70.0), "-50 %");
        assert_eq!(removed(80.0, 79.99), "0 %");
        assert_eq!(removed(100.0, 100.0), "–");
    }

    #[test]
    fn every_number_is_asked_for_and_every_run_has_a_line() {
        let dir = shell::temp_dir("tables-test").expect("writable");
        let table = |share: f64| {
            let of = json!({"accuracy": share, "guesser": 0.1});
            let domains = FULL.domains.iter().map(|d| ((*d).to_owned(), of.clone()));
            let domains: serde_json::Map<_, _> = domains.collect();
            json!({"domains": domains, "all": of})
        };
        let stage = |name: &str, share| json!({"stage": name, "tables": {"direct": table(share)}});
        let stages = [
            stage("long", 0.2),
            stage("sft", 0.4),
            stage("drill", 0.5),
            stage("rl", 0.6),
            stage("rl-more", 0.75),
        ];
        let mut rows = vec![json!({"run": "sft", "found": table(0.5)})];
        for run in super::super::plan::runs(&FULL) {
            let mut found = table(0.6);
            found["watch"] =
                json!({"reward": [[1, 0.5], [2, 0.9]], "right": [[1, 0.5], [2, 0.1]], "told": 2});
            rows.push(json!({"run": run.name, "found": found}));
        }
        for name in ["base", "sft", "rl"] {
            let found = json!({"samples": 4, "right": [0, 2]});
            rows.push(json!({"run": format!("pass@k {name}"), "found": found}));
            for (how, _) in FULL.sampled {
                rows.push(json!({"run": sampled(how, name), "found": table(0.9)}));
            }
        }
        let text = write(&FULL, &stages, &rows, &dir).expect("complete");
        for part in [
            "| all | 10.0 | 20.0 | 50.0 | 75.0 | +25.0 | 50 % |",
            "| thinking, sampled |",
            "| all | 10.0 | 90.0 | 90.0 | 90.0 | +0.0 | 0 % |",
            "| arithmetic alone | +10.0 | +10.0 | +10.0 | +10.0 | +10.0 |",
            "| all domains, arithmetic with a flaw |",
            "| all domains, KL 0.04 |",
            "| base | 25.0 | 41.7 | 50.0 |",
            "right, held out: 50.0 to 10.0 %",
            "after iteration 2",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for chart in ["passk.svg", "flaw.svg"] {
            assert!(dir.join(chart).exists(), "{chart}");
        }
        let error = write(&FULL, &stages[..3], &rows, &dir).expect_err("no rl");
        assert!(error.to_string().contains("no rl"), "{error}");
        rows.retain(|row| row["run"] != "pass@k sft");
        assert!(write(&FULL, &stages, &rows, &dir).is_err());
        fs::remove_dir_all(&dir).expect("there");
    }
}
