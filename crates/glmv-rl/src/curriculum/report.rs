//! Figures of a curriculum for logs and the dashboard: how difficult the tasks are now, what is
//! asked and why.

use serde::Serialize;
use std::collections::BTreeMap;

use super::Tier;
use super::core::Core;
use crate::group::Validity;

/// What a curriculum has to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Name of the curriculum.
    pub kind: &'static str,
    /// Iterations that are over.
    pub iteration: u64,
    /// Completions rolled out so far.
    pub completions: u64,
    /// States of the groups of the last iteration.
    pub last: Validity,
    /// Tasks per tier, from the easiest to the hardest, by domain.
    pub tiers: BTreeMap<String, [usize; 5]>,
    /// Mean believed pass rate, by domain.
    pub pass_rate: BTreeMap<String, f64>,
    /// Factor of prompts rolled out to prompts trained on; `None` where the curriculum has none.
    pub expansion: Option<f64>,
    /// How the last iteration's prompts were chosen; empty where tasks are asked in turn.
    pub cells: Vec<Cell>,
}

/// Tasks of one domain, sub-domain and tier, and why they were asked as often as they were.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Cell {
    /// Domain.
    pub domain: String,
    /// Sub-domain.
    pub sub_domain: String,
    /// Tier.
    pub tier: Tier,
    /// Tasks in it.
    pub tasks: usize,
    /// Mean of `p (1 - p)` over them: how much a binary reward varies.
    pub variance: f64,
    /// Factor of the sub-domain, 0.5 to 2.
    pub deficit: f64,
    /// `(variance + floor) * deficit * tasks ^ count_power`.
    pub weight: f64,
    /// Its share of the domain's prompts, 0 to 1.
    pub share: f64,
    /// Prompts that were asked of it.
    pub asked: usize,
}

impl Report {
    pub(super) fn of(kind: &'static str, core: &Core) -> Self {
        let mut tiers: BTreeMap<String, [usize; 5]> = BTreeMap::new();
        let mut rates: BTreeMap<String, (f64, usize)> = BTreeMap::new();
        for (task, belief) in core.tasks.iter().zip(&core.beliefs) {
            tiers.entry(task.domain.clone()).or_default()[belief.tier().index()] += 1;
            let (sum, count) = rates.entry(task.domain.clone()).or_default();
            *sum += belief.pass_rate();
            *count += 1;
        }
        let mean = |(name, (sum, count)): (String, (f64, usize))| (name, sum / count as f64);
        Self {
            kind,
            iteration: core.iteration,
            completions: core.completions,
            last: core.last,
            tiers,
            pass_rate: rates.into_iter().map(mean).collect(),
            expansion: None,
            cells: Vec::new(),
        }
    }
}
