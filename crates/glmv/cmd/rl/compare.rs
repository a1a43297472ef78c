//! `glmv rl compare`: what runs had learnt after how many completions, as a table and as a chart.

use crate::args::RlCompareArgs;
use anyhow::{Context as _, bail};
use glmv_monitor::{Chart, ChartLine};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;
use std::process::ExitCode;

/// Runs of one name.
#[derive(Debug, Serialize)]
struct Series {
    name: String,
    runs: Vec<Curve>,
    /// Over the runs, if all of them reached it.
    median_completions: Option<u64>,
}

/// What one run had learnt, and when.
#[derive(Debug, Serialize)]
struct Curve {
    run: String,
    /// Completions so far, and held-out accuracy.
    points: Vec<(u64, f64)>,
    /// Completions after which the accuracy was reached for the first time.
    reached_after: Option<u64>,
    best: f64,
    last: f64,
}

/// Runs the subcommand.
pub fn run(args: &RlCompareArgs) -> anyhow::Result<ExitCode> {
    if !(0.0..=1.0).contains(&args.reach) {
        bail!("--reach {}: expected a share from 0 to 1", args.reach);
    }
    let series = args.runs.iter().map(|text| series(text, args.reach));
    let series = series.collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(path) = &args.svg {
        let svg = chart(&series).to_svg();
        std::fs::write(path, svg).with_context(|| path.display().to_string())?;
    }
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&series)?),
        false => print(&series, args.reach),
    }
    Ok(ExitCode::SUCCESS)
}

fn series(text: &str, reach: f64) -> anyhow::Result<Series> {
    let parts = text
        .split_once('=')
        .filter(|(name, runs)| !name.is_empty() && !runs.is_empty());
    let (name, runs) = parts.with_context(|| format!("{text:?}: expected NAME=RUN,RUN"))?;
    let runs = runs
        .split(',')
        .map(|run| Curve::read(Path::new(run), reach));
    let runs = runs.collect::<anyhow::Result<Vec<_>>>()?;
    let mut reached: Vec<u64> = runs.iter().filter_map(|run| run.reached_after).collect();
    reached.sort_unstable();
    let all = reached.len() == runs.len();
    Ok(Series {
        name: name.into(),
        median_completions: all.then(|| reached[(reached.len() - 1) / 2]),
        runs,
    })
}

impl Curve {
    /// Reads the metrics of a run.
    fn read(run: &Path, reach: f64) -> anyhow::Result<Self> {
        let path = run.join("metrics.jsonl");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let (mut points, mut before) = (Vec::new(), 0);
        for (number, line) in text.lines().enumerate() {
            let row: Value = serde_json::from_str(line)
                .with_context(|| format!("{} line {}", path.display(), number + 1))?;
            // An accuracy stands in the row of the iteration behind it.
            if let Some(accuracy) = row["held_out/accuracy"].as_f64() {
                points.push((before, accuracy));
            }
            before = row["curriculum/completions"]
                .as_f64()
                .map_or(before, |n| n as u64);
        }
        let Some((_, last)) = points.last().copied() else {
            bail!("{}: no held-out accuracy", path.display());
        };
        let first = points.iter().find(|(_, accuracy)| *accuracy >= reach);
        Ok(Curve {
            run: run.display().to_string(),
            reached_after: first.map(|(completions, _)| *completions),
            best: points.iter().map(|point| point.1).fold(0.0, f64::max),
            last,
            points,
        })
    }
}

fn chart(series: &[Series]) -> Chart {
    let line = |name: &str, curve: &Curve| ChartLine {
        label: name.to_owned(),
        points: (curve.points.iter())
            .map(|(completions, accuracy)| (*completions as f64, 100.0 * accuracy))
            .collect(),
    };
    let lines = series
        .iter()
        .flat_map(|s| s.runs.iter().map(|c| line(&s.name, c)));
    Chart {
        title: "Learning from reward".into(),
        x: "completions".into(),
        y: "held-out accuracy, %".into(),
        lines: lines.collect(),
    }
}

fn print(series: &[Series], reach: f64) {
    let bar = format!("to {:.0} %", 100.0 * reach);
    println!(
        "{:<16}{:<28}{bar:>12}{:>10}{:>10}",
        "name", "run", "best", "last"
    );
    for s in series {
        for run in &s.runs {
            let short: String = run.run.chars().rev().take(26).collect();
            let short: String = short.chars().rev().collect();
            let after = run.reached_after.map_or("-".into(), |n| n.to_string());
            let percent = |share: f64| format!("{:.1} %", 100.0 * share);
            println!(
                "{:<16}{short:<28}{after:>12}{:>10}{:>10}",
                s.name,
                percent(run.best),
                percent(run.last)
            );
        }
    }
    for s in series {
        let median = s.median_completions;
        let median = median.map_or("not reached by all".into(), |n| format!("{n} completions"));
        println!("{}: median {median}", s.name);
    }
}
