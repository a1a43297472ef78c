//! The arithmetic part of an RL recipe: TOML in, checked settings out. The trainer's recipe embeds
//! [`Recipe`]; `recipe.toml` beside this crate's manifest lists every key with its default.

use serde::Deserialize;
use std::path::Path;

use crate::Error;
use crate::bound::BoundConfig;
use crate::curriculum::{CurriculumConfig, Settings};
use crate::error::require;
use crate::forced::Budgets;
use crate::harvest::HarvestConfig;
use crate::mixture::MixtureConfig;
use crate::objective::ObjectiveConfig;
use crate::pack::PackConfig;

/// Everything of a run that this crate computes with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Seed of every draw. Default 0.
    pub seed: u64,
    /// Completions of a prompt, at least 2. Default 8.
    pub group_size: usize,
    /// Groups of a training step, at least 1. Default 32.
    pub batch_groups: usize,
    /// Rollouts.
    pub rollout: RolloutConfig,
    /// Method and loss.
    pub objective: ObjectiveConfig,
    /// Which prompts.
    pub curriculum: CurriculumConfig,
    /// Shares of domains and of thinking.
    pub mixture: MixtureConfig,
    /// Micro-steps.
    pub pack: PackConfig,
    /// What goes back to fine-tuning.
    pub harvest: HarvestConfig,
    /// Rollout against trainer.
    pub bound: BoundConfig,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 0,
            group_size: 8,
            batch_groups: 32,
            rollout: RolloutConfig::default(),
            objective: ObjectiveConfig::default(),
            curriculum: CurriculumConfig::default(),
            mixture: MixtureConfig::default(),
            pack: PackConfig::default(),
            harvest: HarvestConfig::default(),
            bound: BoundConfig::default(),
        }
    }
}

/// The `[rollout]` section.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutConfig {
    /// Temperature, above 0; log-probabilities are taken after it on both sides. Default 1.
    pub temperature: f64,
    /// Share of the probability that tokens are drawn from, above 0, at most 1. Log-probabilities stay
    /// those of the whole distribution, on both sides. Default 1: less raises the risk of garbling
    /// (GLM-V, arXiv 2507.01006, §5.3).
    pub top_p: f64,
    /// Tokens of reasoning, tags not counted. Default 8192.
    pub thinking_tokens: usize,
    /// Tokens of the answer, at least 1. Default 8192.
    pub answer_tokens: usize,
}

impl Default for RolloutConfig {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            thinking_tokens: 8192,
            answer_tokens: 8192,
        }
    }
}

impl RolloutConfig {
    /// The budgets of a completion.
    pub fn budgets(&self) -> Budgets {
        Budgets {
            thinking: self.thinking_tokens,
            answer: self.answer_tokens,
        }
    }
}

impl Recipe {
    /// Reads and checks a recipe.
    ///
    /// # Errors
    /// As [`Recipe::from_toml`]; [`Error::Toml`] where the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Error::Toml {
            file: file.clone(),
            reason: e.to_string(),
        })?;
        Self::from_toml(&text, &file)
    }

    /// Reads and checks a recipe; `file` names it in messages.
    ///
    /// # Errors
    /// [`Error::Toml`] for what is no TOML, an unknown key or a wrong type; [`Error::Recipe`] with
    /// line and key for a value outside its range.
    pub fn from_toml(text: &str, file: &str) -> Result<Self, Error> {
        let recipe: Self = toml::from_str(text).map_err(|e| Error::Toml {
            file: file.to_owned(),
            reason: e.to_string(),
        })?;
        match recipe.check() {
            Ok(()) => Ok(recipe),
            Err(Error::Setting {
                key,
                value,
                expected,
            }) => Err(Error::Recipe {
                file: file.to_owned(),
                line: line_of(text, key),
                key: key.to_owned(),
                value,
                expected,
            }),
            Err(other) => Err(Error::Toml {
                file: file.to_owned(),
                reason: other.to_string(),
            }),
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::Domain`].
    pub fn check(&self) -> Result<(), Error> {
        let temperature = self.rollout.temperature;
        let is_warm = temperature > 0.0 && temperature.is_finite();
        self.settings().check()?;
        require(is_warm, "rollout.temperature", temperature, "above 0")?;
        let top_p = self.rollout.top_p;
        let is_share = top_p > 0.0 && top_p <= 1.0;
        require(is_share, "rollout.top_p", top_p, "above 0 to 1")?;
        self.rollout.budgets().check()?;
        self.objective.resolve()?;
        self.curriculum.check(self.group_size)?;
        self.pack.check()?;
        self.harvest.check()?;
        self.bound.resolve(true).map(drop)
    }

    /// What a curriculum needs beside its own section.
    pub fn settings(&self) -> Settings {
        Settings {
            batch: self.batch_groups,
            group: self.group_size,
            seed: self.seed,
            mixture: self.mixture.clone(),
        }
    }
}

/// The line, from 1, on which a text sets `key` (`section.name`), as far as plain layout tells:
/// under its `[section]`, or with dots.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let mut section = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
        {
            section = format!("{}.", name.trim());
        } else if let Some((name, _)) = line.split_once('=') {
            let full = format!("{section}{}", name.trim());
            if full.strip_prefix('.').unwrap_or(&full) == key {
                return Some(index + 1);
            }
        }
    }
    None
}
