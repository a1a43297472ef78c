//! The `[objective]` section of a recipe: a method's name, and what to change of its settings.

use serde::{Deserialize, Serialize};

use super::{Aggregation, Cispo, Clipped, Gspo, Objective, Surrogate};
use super::{cispo, dapo, dr_grpo, grpo, gspo};
use crate::Error;
use crate::advantage::Normalise;
use crate::error::require;

/// The method, which sets the defaults of the other keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// GRPO as GLM-V runs it.
    #[default]
    Grpo,
    /// DAPO.
    Dapo,
    /// Dr. GRPO.
    DrGrpo,
    /// GSPO.
    Gspo,
    /// CISPO.
    Cispo,
}

/// Name of an [`Aggregation`] in a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AggregationKind {
    /// [`Aggregation::PerSample`].
    PerSample,
    /// [`Aggregation::PerSampleAll`].
    PerSampleAll,
    /// [`Aggregation::PerToken`].
    PerToken,
    /// [`Aggregation::ConstantLength`].
    ConstantLength,
}

/// What becomes of completions that run out of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truncated {
    /// The end of thinking is forced at the thinking budget, an answer follows, inserted tokens do
    /// not count (GLM-V, arXiv 2507.01006, §5.3). What is truncated all the same counts.
    Force,
    /// Their tokens do not count; their rewards stay in the group's statistics (DAPO).
    Mask,
    /// They count like any other.
    Keep,
}

/// A method's own settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preset {
    pub(super) clip_low: f64,
    pub(super) clip_high: f64,
    pub(super) aggregation: AggregationKind,
    pub(super) advantage: Normalise,
    pub(super) truncated: Truncated,
}

impl Method {
    fn preset(self) -> Preset {
        match self {
            Self::Grpo => grpo::PRESET,
            Self::Dapo => dapo::PRESET,
            Self::DrGrpo => dr_grpo::PRESET,
            Self::Gspo => gspo::PRESET,
            Self::Cispo => cispo::PRESET,
        }
    }
}

/// The `[objective]` section.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// `grpo`, `dapo`, `dr-grpo`, `gspo` or `cispo`. Default `grpo`.
    pub method: Method,
    /// Distance of the lower clip from a ratio of 1, 0..=1. Default: the method's (GRPO 0.2).
    pub clip_low: Option<f64>,
    /// Distance of the upper clip from a ratio of 1, from 0. Default: the method's (GRPO 0.28).
    pub clip_high: Option<f64>,
    /// `per-sample`, `per-sample-all`, `per-token` or `constant-length`. Default: the method's
    /// (GRPO `per-sample`).
    pub aggregation: Option<AggregationKind>,
    /// What a constant-length loss divides by, tokens; required there. No default.
    pub constant_length: Option<usize>,
    /// `std` or `none`. Default: the method's (GRPO `std`).
    pub advantage: Option<Normalise>,
    /// `force`, `mask` or `keep`. Default: the method's (GRPO `force`).
    pub truncated: Option<Truncated>,
    /// Weight of the KL divergence to the reference weights, from 0. Default 0: GLM-V has no KL
    /// term, because it grows faster in vision-language models and holds the ability down.
    pub kl: f64,
    /// Weight of the entropy, from 0. Default 0: GLM-V has no entropy term, it led to garbling.
    pub entropy: f64,
}

impl ObjectiveConfig {
    /// The objective.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value outside its range.
    pub fn resolve(&self) -> Result<Objective, Error> {
        let preset = self.method.preset();
        let low = self.clip_low.unwrap_or(preset.clip_low);
        let high = self.clip_high.unwrap_or(preset.clip_high);
        require(
            (0.0..=1.0).contains(&low),
            "objective.clip_low",
            low,
            "0 to 1",
        )?;
        require(
            high >= 0.0 && high.is_finite(),
            "objective.clip_high",
            high,
            "from 0",
        )?;
        for (key, value) in [
            ("objective.kl", self.kl),
            ("objective.entropy", self.entropy),
        ] {
            require(value >= 0.0 && value.is_finite(), key, value, "from 0")?;
        }
        let clip = Clipped { low, high };
        let surrogate: Box<dyn Surrogate> = match self.method {
            Method::Grpo | Method::Dapo | Method::DrGrpo => Box::new(clip),
            Method::Gspo => Box::new(Gspo { clip }),
            Method::Cispo => Box::new(Cispo { low, high }),
        };
        Ok(Objective {
            surrogate,
            aggregation: self.aggregation()?,
            kl: self.kl,
            entropy: self.entropy,
        })
    }

    /// How advantages are normalised.
    pub fn advantage(&self) -> Normalise {
        self.advantage.unwrap_or(self.method.preset().advantage)
    }

    /// What becomes of truncated completions.
    pub fn truncated(&self) -> Truncated {
        self.truncated.unwrap_or(self.method.preset().truncated)
    }

    fn aggregation(&self) -> Result<Aggregation, Error> {
        const KEY: &str = "objective.constant_length";
        let kind = self.aggregation.unwrap_or(self.method.preset().aggregation);
        match (kind, self.constant_length) {
            (AggregationKind::ConstantLength, length) => {
                let length = length.unwrap_or(0);
                require(
                    length > 0,
                    KEY,
                    length,
                    "given, and above 0, for this aggregation",
                )?;
                Ok(Aggregation::ConstantLength { length })
            }
            (AggregationKind::PerSample, None) => Ok(Aggregation::PerSample),
            (AggregationKind::PerSampleAll, None) => Ok(Aggregation::PerSampleAll),
            (AggregationKind::PerToken, None) => Ok(Aggregation::PerToken),
            (_, Some(length)) => Err(Error::Setting {
                key: KEY,
                value: length.to_string(),
                expected: "absent: only `constant-length` has one",
            }),
        }
    }
}
