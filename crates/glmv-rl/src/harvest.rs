//! Rollouts in, those worth teaching again by supervised fine-tuning out (iterative enhancement:
//! `glmv rl harvest`). Good and informative are: right, well-formed, of middle difficulty, and unlike
//! what was already taken of the same task.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::Error;
use crate::error::require;

/// The `[harvest]` section of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HarvestConfig {
    /// Least reward. Default 1.
    pub min_reward: f64,
    /// Least pass rate of the task, 0..=1. Default 0.1.
    pub min_pass_rate: f64,
    /// Largest pass rate of the task, 0..=1. Default 0.7: what is solved more often teaches little.
    pub max_pass_rate: f64,
    /// Most rollouts of a task, at least 1. Default 2.
    pub per_task: usize,
    /// Most rollouts in all, at least 1. Default: no limit.
    pub total: Option<usize>,
    /// Similarity to a rollout of the same task from which on one is left out, above 0 to 1: the share
    /// of common runs of tokens (Jaccard). Default 0.6.
    pub similarity: f64,
    /// Length of those runs, tokens, at least 1. Default 4.
    pub run: usize,
    /// Whether a rollout whose thinking was ended for it may be taken. Default false.
    pub forced: bool,
}

impl Default for HarvestConfig {
    fn default() -> Self {
        Self {
            min_reward: 1.0,
            min_pass_rate: 0.1,
            max_pass_rate: 0.7,
            per_task: 2,
            total: None,
            similarity: 0.6,
            run: 4,
            forced: false,
        }
    }
}

impl HarvestConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<(), Error> {
        let (low, high) = (self.min_pass_rate, self.max_pass_rate);
        require(
            self.min_reward.is_finite(),
            "harvest.min_reward",
            self.min_reward,
            "finite",
        )?;
        require(
            (0.0..=1.0).contains(&low),
            "harvest.min_pass_rate",
            low,
            "0 to 1",
        )?;
        let expected = "from min_pass_rate to 1";
        require(
            (low..=1.0).contains(&high),
            "harvest.max_pass_rate",
            high,
            expected,
        )?;
        require(
            self.per_task > 0,
            "harvest.per_task",
            self.per_task,
            "at least 1",
        )?;
        require(self.run > 0, "harvest.run", self.run, "at least 1")?;
        require(self.total != Some(0), "harvest.total", 0, "at least 1")?;
        let (key, value) = ("harvest.similarity", self.similarity);
        require(value > 0.0 && value <= 1.0, key, value, "above 0, to 1")
    }
}

/// A rollout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate<'a> {
    /// Index of the task.
    pub task: usize,
    /// Believed or measured pass rate of the task, 0..=1.
    pub pass_rate: f64,
    /// Reward.
    pub reward: f64,
    /// The completion keeps its grammar and style.
    pub is_well_formed: bool,
    /// It did not end by itself.
    pub is_truncated: bool,
    /// Its thinking was ended for it.
    pub is_forced: bool,
    /// Its tokens.
    pub tokens: &'a [u32],
}

/// What was taken, and why the rest was not. Each candidate is counted once, by the first reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Harvest {
    /// Indices of the candidates taken, tasks of middle difficulty first.
    pub taken: Vec<usize>,
    /// Below the least reward, or no finite one.
    pub not_right: usize,
    /// Against the grammar or style, truncated, empty, or ended by force.
    pub not_well_formed: usize,
    /// Of tasks that are too easy or too hard.
    pub not_informative: usize,
    /// Too like another one of the task.
    pub not_different: usize,
    /// More than were asked for.
    pub surplus: usize,
}

/// Selects rollouts. One of each task is taken before a second of any; of a task, the best and
/// then the shortest first.
///
/// # Errors
/// [`Error::Setting`].
pub fn harvest(candidates: &[Candidate<'_>], config: &HarvestConfig) -> Result<Harvest, Error> {
    config.check()?;
    let mut result = Harvest::default();
    let mut by_task: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        if let Some(reason) = refuse(candidate, config, &mut result) {
            *reason += 1;
        } else {
            by_task.entry(candidate.task).or_default().push(index);
        }
    }
    let mut tasks: Vec<Vec<usize>> = by_task.into_values().collect();
    let distance = |task: &[usize]| (candidates[task[0]].pass_rate - 0.5).abs();
    tasks.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    for task in &mut tasks {
        task.sort_by(|&a, &b| {
            let (a, b) = (&candidates[a], &candidates[b]);
            b.reward
                .total_cmp(&a.reward)
                .then(a.tokens.len().cmp(&b.tokens.len()))
        });
        *task = different(task, candidates, config, &mut result);
    }
    for place in 0..config.per_task {
        result
            .taken
            .extend(tasks.iter().filter_map(|task| task.get(place)));
    }
    let total = config.total.unwrap_or(usize::MAX).min(result.taken.len());
    result.surplus += result.taken.len() - total;
    result.taken.truncate(total);
    Ok(result)
}

/// The counter of the reason why a candidate is left out on its own account.
fn refuse<'a>(
    candidate: &Candidate<'_>,
    config: &HarvestConfig,
    result: &'a mut Harvest,
) -> Option<&'a mut usize> {
    let is_spoilt = !candidate.is_well_formed
        || candidate.is_truncated
        || candidate.tokens.is_empty()
        || (candidate.is_forced && !config.forced);
    let middle = config.min_pass_rate..=config.max_pass_rate;
    let is_right = candidate.reward.is_finite() && candidate.reward >= config.min_reward;
    match () {
        () if !is_right => Some(&mut result.not_right),
        () if is_spoilt => Some(&mut result.not_well_formed),
        () if !middle.contains(&candidate.pass_rate) => Some(&mut result.not_informative),
        () => None,
    }
}

/// The first rollouts of a task that are unlike each other, at most `per_task`.
fn different(
    task: &[usize],
    candidates: &[Candidate<'_>],
    config: &HarvestConfig,
    result: &mut Harvest,
) -> Vec<usize> {
    let mut taken: Vec<(usize, BTreeSet<&[u32]>)> = Vec::new();
    for &index in task {
        let tokens = candidates[index].tokens;
        let runs: BTreeSet<&[u32]> = tokens.windows(config.run.min(tokens.len())).collect();
        let is_alike = |(_, other): &(usize, BTreeSet<&[u32]>)| {
            let common = runs.intersection(other).count();
            let all = runs.len() + other.len() - common;
            common as f64 >= config.similarity * all as f64
        };
        if taken.iter().any(is_alike) {
            result.not_different += 1;
        } else if taken.len() == config.per_task {
            result.surplus += 1;
        } else {
            taken.push((index, runs));
        }
    }
    taken.into_iter().map(|(index, _)| index).collect()
}
