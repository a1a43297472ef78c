//! The `[curriculum]` section of a recipe, and what every curriculum needs beside it.

use serde::{Deserialize, Serialize};

use super::BeliefConfig;
use crate::Error;
use crate::error::require;
use crate::mixture::MixtureConfig;

/// What every curriculum needs from the rest of the recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Groups of a training step.
    pub batch: usize,
    /// Completions of a group.
    pub group: usize,
    /// Seed of all draws.
    pub seed: u64,
    /// Shares of domains and of thinking.
    pub mixture: MixtureConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch: 32,
            group: 8,
            seed: 0,
            mixture: MixtureConfig::default(),
        }
    }
}

impl Settings {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`]; a group of fewer than two has nothing to compare.
    pub fn check(&self) -> Result<(), Error> {
        require(self.batch > 0, "batch_groups", self.batch, "at least 1")?;
        require(self.group >= 2, "group_size", self.group, "at least 2")?;
        self.mixture.check()
    }
}

/// Which curriculum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Reinforcement learning with curriculum sampling (GLM-V).
    #[default]
    Rlcs,
    /// Every task in turn.
    Uniform,
    /// Every task in turn, groups without a difference replaced (DAPO).
    Dapo,
    /// Every task in turn, few completions first (SPEED).
    Speed,
}

/// The `[curriculum]` section.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CurriculumConfig {
    /// `rlcs`, `uniform`, `dapo` or `speed`. Default `rlcs`.
    pub kind: Kind,
    /// How grades, labels and rollouts are merged.
    pub belief: BeliefConfig,
    /// Settings of `rlcs`.
    pub rlcs: RlcsConfig,
    /// Settings of `dapo`.
    pub dapo: DapoConfig,
    /// Settings of `speed`.
    pub speed: SpeedConfig,
}

impl CurriculumConfig {
    /// Checks every field, for groups of `group`.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self, group: usize) -> Result<(), Error> {
        self.belief.check()?;
        self.rlcs.check()?;
        let rounds = self.dapo.max_rounds;
        require(
            rounds > 0,
            "curriculum.dapo.max_rounds",
            rounds,
            "at least 1",
        )?;
        if self.kind == Kind::Speed {
            self.speed.check(group)?;
        }
        Ok(())
    }
}

/// The `[curriculum.rlcs]` section. The paper gives none of these figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RlcsConfig {
    /// Added to `p (1 - p)` in the weight of a tier, above 0 (at most 0.25 comes from `p`): every
    /// tier is asked now and then, and graded again. Default 0.02.
    pub floor: f64,
    /// Power of the number of tasks in the weight of a tier, 0..=1: 0 lets a small tier be asked
    /// as often as a large one, 1 makes every task of equal tiers equally likely. Default 0.5.
    pub count_power: f64,
    /// How much a sub-domain below the mean of its domain is preferred, from 0: its factor is
    /// `1 + deficit * (mean of the domain - mean of the sub-domain)`, within 0.5..=2. Default 1.
    pub deficit: f64,
    /// What remains of the mean expansion ratio with each iteration, 0..1. Default 0.9.
    pub expansion_decay: f64,
    /// Largest expansion ratio, from 1. Default 4.
    pub expansion_max: f64,
    /// Whether a batch short of groups with a gradient is filled with others, so that a step's
    /// size stays the same. Default true.
    pub fill: bool,
}

impl Default for RlcsConfig {
    fn default() -> Self {
        Self {
            floor: 0.02,
            count_power: 0.5,
            deficit: 1.0,
            expansion_decay: 0.9,
            expansion_max: 4.0,
            fill: true,
        }
    }
}

impl RlcsConfig {
    pub(super) fn check(&self) -> Result<(), Error> {
        let in_unit = |key, value: f64| require((0.0..=1.0).contains(&value), key, value, "0 to 1");
        in_unit("curriculum.rlcs.count_power", self.count_power)?;
        let (key, value) = ("curriculum.rlcs.floor", self.floor);
        require(
            (1e-6..=1e3).contains(&value),
            key,
            value,
            "a millionth to 1000",
        )?;
        let (key, value) = ("curriculum.rlcs.deficit", self.deficit);
        require((0.0..=1e3).contains(&value), key, value, "0 to 1000")?;
        let (key, value) = ("curriculum.rlcs.expansion_decay", self.expansion_decay);
        require((0.0..1.0).contains(&value), key, value, "from 0 to below 1")?;
        let (key, value) = ("curriculum.rlcs.expansion_max", self.expansion_max);
        require((1.0..=1e3).contains(&value), key, value, "1 to 1000")
    }
}

/// The `[curriculum.dapo]` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DapoConfig {
    /// Rounds of rollouts after which a step trains on what there is, at least 1. Default 10.
    pub max_rounds: usize,
}

impl Default for DapoConfig {
    fn default() -> Self {
        Self { max_rounds: 10 }
    }
}

/// The `[curriculum.speed]` section.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpeedConfig {
    /// Completions that decide whether a task gets the rest, from 2 to below the group's size.
    /// Default 4.
    pub screen: usize,
    /// Tasks that are screened in a round, as a multiple of the batch, from 1. Default 2.
    pub pool: f64,
    /// Rounds of screening after which a step goes on with what there is, at least 1. Default 4.
    pub max_rounds: usize,
}

impl Default for SpeedConfig {
    fn default() -> Self {
        Self {
            screen: 4,
            pool: 2.0,
            max_rounds: 4,
        }
    }
}

impl SpeedConfig {
    pub(super) fn check(&self, group: usize) -> Result<(), Error> {
        let expected = "from 2 to below group_size";
        require(
            (2..group).contains(&self.screen),
            "curriculum.speed.screen",
            self.screen,
            expected,
        )?;
        let (key, value) = ("curriculum.speed.pool", self.pool);
        require((1.0..=1e3).contains(&value), key, value, "1 to 1000")?;
        let (key, value) = ("curriculum.speed.max_rounds", self.max_rounds);
        require(value > 0, key, value, "at least 1")
    }
}
