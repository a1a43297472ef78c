//! The result of an evaluation, as a table and as one object.

use crate::args::GymEvalArgs;
use crate::session::Session;
use glmv_gym::Tally;
use glmv_gym::tally::Sum;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What was evaluated, and where.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    model: String,
    device: String,
    split: String,
    seed: u64,
    side: u32,
    thinking: bool,
    temperature: Option<f32>,
    seconds: f64,
}

impl Run {
    pub(super) fn new(args: &GymEvalArgs, session: &Session, seconds: f64) -> Self {
        Run {
            model: args.model.display().to_string(),
            device: session.device.name.clone(),
            split: args.split.clone(),
            seed: args.seed,
            side: args.side,
            thinking: !args.no_think,
            temperature: args.temperature,
            seconds,
        }
    }
}

/// Shares of one group, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Row {
    n: usize,
    /// Mean reward.
    accuracy: f64,
    /// Completions that keep the grammar.
    well_formed: f64,
    /// What the most frequent answer per template of the training data gets.
    guesser: f64,
    /// What the model gets with blank pictures; `None` if it was not asked.
    blind: Option<f64>,
}

impl Row {
    fn new(seen: &Sum, blind: Option<Sum>) -> Self {
        let n = seen.n.max(1) as f64;
        Row {
            n: seen.n,
            accuracy: seen.reward / n,
            well_formed: seen.well_formed as f64 / n,
            guesser: seen.guessed / n,
            blind: blind.and_then(|sum| sum.accuracy()),
        }
    }
}

/// Results per domain and level, per domain, and over all.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    #[serde(flatten)]
    run: Run,
    /// `counting/1`.
    levels: BTreeMap<String, Row>,
    domains: BTreeMap<String, Row>,
    all: Row,
}

impl Table {
    /// Accuracy above that with blank pictures; `None` if that was not measured.
    pub(super) fn over_blind(&self) -> Option<f64> {
        Some(self.accuracy() - self.all.blind?)
    }

    /// Mean reward over all items.
    pub(super) fn accuracy(&self) -> f64 {
        self.all.accuracy
    }

    pub(super) fn new(run: Run, seen: &Tally, blind: Option<&Tally>) -> Self {
        let row = |prefix: &str| Row::new(&seen.total(prefix), blind.map(|b| b.total(prefix)));
        let levels = seen.groups.iter().map(|(name, sum)| {
            let blind = blind.and_then(|b| b.groups.get(name)).copied();
            (name.clone(), Row::new(sum, blind))
        });
        let domains = seen.groups.keys().filter_map(|name| name.split('/').next());
        Table {
            levels: levels.collect(),
            domains: domains
                .map(|d| (d.to_owned(), row(&format!("{d}/"))))
                .collect(),
            all: row(""),
            run,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:16} {:>6} {:>9} {:>12} {:>9} {:>9}",
            "domain/level", "n", "accuracy", "well-formed", "guesser", "blind"
        )?;
        let levels = self.levels.iter();
        let domains = self.domains.iter();
        let all = "all".to_owned();
        for (name, row) in levels.chain(domains).chain([(&all, &self.all)]) {
            let share = |part: f64| format!("{:.1}%", 100.0 * part);
            writeln!(
                f,
                "{name:16} {:6} {:>9} {:>12} {:>9} {:>9}",
                row.n,
                share(row.accuracy),
                share(row.well_formed),
                share(row.guesser),
                row.blind.map_or("-".into(), share),
            )?;
        }
        let run = &self.run;
        let mode = if run.thinking {
            "thinking"
        } else {
            "without thinking"
        };
        writeln!(
            f,
            "{} on {}: {mode}, split {} from seed {}, {} px, {:.1} s",
            run.model, run.device, run.split, run.seed, run.side, run.seconds
        )
    }
}
