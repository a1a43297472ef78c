//! Reinforcement learning with curriculum sampling (GLM-V, arXiv 2507.01006, §5.3): prompts of middle
//! difficulty are asked more, more are asked than trained on, and the most balanced groups are kept.
//!
//! The paper describes this without figures or formulas; what is ours: tiers and the merge of grades
//! ([`super::Tier`], [`super::BeliefConfig`]), weights ([`cells`](self)), the mean's coefficient and
//! the bound of the expansion, and that each domain keeps its share of the batch where it can.

mod cells;
mod keep;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::core::Core;
use super::{Ask, Cell, Curriculum, Expansion, Reply, Report, RlcsConfig, State, Step, Task};
use crate::Error;
use crate::mixture::Mixture;
use crate::random::{Purpose, draw_front, stream};

/// Curriculum sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rlcs {
    core: Core,
    config: RlcsConfig,
    expansion: Expansion,
    /// Shares of what is kept; those of what is asked are in `core`.
    kept: Mixture,
    /// What rounding owes each cell, by its name.
    credit: BTreeMap<String, f64>,
    /// How the last iteration was chosen.
    cells: Vec<Cell>,
}

impl Rlcs {
    pub(super) fn new(core: Core, config: RlcsConfig) -> Self {
        Self {
            expansion: Expansion::new(config.expansion_decay, config.expansion_max),
            kept: core.mixture.clone(),
            credit: BTreeMap::new(),
            cells: Vec::new(),
            core,
            config,
        }
    }

    /// Makes sure of what a saved state must hold.
    pub(super) fn check_saved(&self) -> Result<(), Error> {
        self.config.check()?;
        self.core.check_saved()
    }
}

impl Curriculum for Rlcs {
    fn begin(&mut self) -> Result<Vec<Ask>, Error> {
        self.core.check_idle()?;
        let count = self.expansion.prompts(self.core.settings.batch);
        let mut tasks = self.choose(count);
        let mut rng = stream(self.core.settings.seed, Purpose::Order, self.core.iteration);
        let len = tasks.len();
        draw_front(&mut tasks, len, &mut rng);
        Ok(self.core.ask(&tasks, self.core.settings.group))
    }

    fn receive(&mut self, replies: &[Reply]) -> Result<Step, Error> {
        self.core.take(replies)?;
        let groups = self.core.groups()?;
        let (train, filler) = self.keep(&groups);
        let selection = self.core.finish(&groups, train, filler);
        if let Some(rate) = selection.validity.not_valid_rate() {
            self.expansion.observe(rate);
        }
        Ok(Step::Train(selection))
    }

    fn pending(&self) -> &[Ask] {
        &self.core.pending
    }

    fn tasks(&self) -> &[Task] {
        &self.core.tasks
    }

    fn report(&self) -> Report {
        Report {
            expansion: Some(self.expansion.factor()),
            cells: self.cells.clone(),
            ..Report::of("rlcs", &self.core)
        }
    }

    fn save(&self) -> State {
        State::Rlcs(self.clone())
    }
}
