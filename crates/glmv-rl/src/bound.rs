//! Rollout against trainer before the first update: both take log-probabilities of the same tokens
//! under the same weights, so whatever differs is an error of one of them. The trainer refuses to
//! start beyond the bound.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;
use crate::objective::k3;

/// How far rollout and trainer may be apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Largest mean k3-KL, nats per token.
    pub mean_kl: f64,
    /// Largest |difference of log p|, nats; `None` is no bound.
    pub max_difference: Option<f64>,
}

impl Bound {
    /// Weights and cache in f32: mean 1e-8, largest 1e-4.
    pub const F32: Self = Self {
        mean_kl: 1e-8,
        max_difference: Some(1e-4),
    };
    /// Quantised or f16 weights or cache: mean 1e-4.
    pub const REDUCED: Self = Self {
        mean_kl: 1e-4,
        max_difference: None,
    };
}

/// The `[bound]` section of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoundConfig {
    /// Largest mean k3-KL, nats per token, above 0. Default: 1e-8 in f32, 1e-4 else.
    pub mean_kl: Option<f64>,
    /// Largest |difference of log p|, nats, above 0. Default: 1e-4 in f32, none else.
    pub max_difference: Option<f64>,
}

impl BoundConfig {
    /// The bound, for weights and cache in f32 or not.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn resolve(&self, is_f32: bool) -> Result<Bound, Error> {
        let keys = [
            ("bound.mean_kl", self.mean_kl),
            ("bound.max_difference", self.max_difference),
        ];
        for (key, value) in keys {
            let value = value.unwrap_or(1.0);
            require(value > 0.0 && value.is_finite(), key, value, "above 0")?;
        }
        let default = if is_f32 { Bound::F32 } else { Bound::REDUCED };
        Ok(Bound {
            mean_kl: self.mean_kl.unwrap_or(default.mean_kl),
            max_difference: self.max_difference.or(default.max_difference),
        })
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct StepZero {
    /// Tokens compared.
    pub tokens: usize,
    /// Largest |difference of log p|, nats.
    pub max_difference: f64,
    /// Sample of the largest difference.
    pub sample: usize,
    /// Token of the largest difference.
    pub token: usize,
    kl: f64,
}

impl StepZero {
    /// Compares the counted tokens of a sample.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`].
    pub fn take<T: Copy + Into<f64>>(
        &mut self,
        sample: usize,
        rollout: &[T],
        trainer: &[T],
        mask: &[bool],
    ) -> Result<(), Error> {
        for (what, found) in [
            ("rollout's log-probability", rollout.len()),
            ("trainer's log-probability", trainer.len()),
        ] {
            if found != mask.len() {
                let expected = mask.len();
                return Err(Error::Length {
                    what,
                    sample,
                    found,
                    expected,
                });
            }
        }
        let mut next = *self;
        for token in (0..mask.len()).filter(|&t| mask[t]) {
            let (rollout, trainer): (f64, f64) = (rollout[token].into(), trainer[token].into());
            let difference = trainer - rollout;
            if !difference.is_finite() {
                return Err(Error::NotFinite {
                    what: "difference of the trainer's log-probability to the rollout's",
                    sample,
                    token,
                    value: difference,
                });
            }
            next.tokens += 1;
            next.kl += k3(difference);
            if difference.abs() > next.max_difference {
                (next.max_difference, next.sample, next.token) = (difference.abs(), sample, token);
            }
        }
        *self = next;
        Ok(())
    }

    /// Mean k3 estimate of KL(rollout, trainer), nats per token; `None` without a token.
    pub fn mean_kl(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.kl / self.tokens as f64)
    }

    /// Holds what was measured against a bound.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with the figures, [`Error::NothingMeasured`] without a token.
    pub fn check(&self, bound: &Bound) -> Result<(), Error> {
        let mean_kl = self.mean_kl().ok_or(Error::NothingMeasured {
            what: "the agreement of rollout and trainer",
        })?;
        let is_close = bound
            .max_difference
            .is_none_or(|most| self.max_difference <= most);
        if mean_kl <= bound.mean_kl && is_close {
            return Ok(());
        }
        let words = bound.max_difference.map(|most| format!("{most:.1e}"));
        Err(Error::Mismatch {
            mean_kl,
            bound_mean_kl: bound.mean_kl,
            max_difference: self.max_difference,
            bound_max_difference: words.unwrap_or_else(|| "none".into()),
            sample: self.sample,
            token: self.token,
            tokens: self.tokens,
        })
    }
}
