//! The adapter of a run, as a recipe has it.

use crate::Error;
use glmv_model::plan::AdapterSettings;
use glmv_model::{AdapterConfig, Config, Glm4v, Precision, Targets};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How the frozen weights lie on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Base {
    #[default]
    F32,
    F16,
    /// Codes of 8 bits, vision f16.
    Q8,
    /// Codes of 4 bits, vision f16.
    Q4,
}

impl From<Base> for Precision {
    fn from(base: Base) -> Self {
        match base {
            Base::F32 => Precision::F32,
            Base::F16 => Precision::F16,
            Base::Q8 => Precision::Q8,
            Base::Q4 => Precision::Q4,
        }
    }
}

/// Low-rank adapters that learn in place of the weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterRecipe {
    /// Modules that get one, as in PEFT: `all-linear`, a regular expression over whole names, or a list
    /// of names or ends of names.
    pub target: Targets,
    /// Rows of A and columns of B.
    pub rank: usize,
    /// The update is scaled by alpha over the rank.
    pub alpha: f64,
    /// Share of a module's inputs that is zero in a training pass, in [0, 1).
    #[serde(default)]
    pub dropout: f64,
    /// Scales by alpha over the root of the rank instead.
    #[serde(default)]
    pub rslora: bool,
    /// Of the first values of A and of the dropout.
    #[serde(default)]
    pub seed: u64,
    /// Storage of the frozen weights.
    #[serde(default)]
    pub base: Base,
}

impl AdapterRecipe {
    /// The settings for the model.
    pub fn config(&self) -> AdapterConfig {
        AdapterConfig {
            target: self.target.clone(),
            rank: self.rank,
            alpha: self.alpha,
            dropout: self.dropout,
            rslora: self.rslora,
            seed: self.seed,
        }
    }

    /// What a plan of `config` needs to know of it.
    ///
    /// # Errors
    /// [`Error::Model`] for a target that is no module.
    pub fn planned(&self, config: &Config) -> Result<AdapterSettings, Error> {
        let base = Precision::from(self.base).into();
        Ok(AdapterSettings::new(config, &self.config(), base)?)
    }

    /// `model` with a new adapter, or with that of a checkpoint of the run.
    ///
    /// # Errors
    /// [`Error::Model`] for a target that is no module, or a damaged checkpoint.
    pub fn attach(&self, model: Glm4v, saved: Option<&Path>) -> Result<Glm4v, Error> {
        Ok(match saved {
            Some(dir) => model.with_adapter_from(dir, self.seed)?,
            None => model.with_adapter(self.config())?,
        })
    }
}
