//! CISPO (MiniMax-M1, arXiv 2506.13585, §3.1): the ratio only weighs the policy gradient, held to a
//! range and taken as a constant, so that no token loses its gradient:
//! `J_t = stop(clip(rho_t, 1 - low, 1 + high)) A log p_t`.
//!
//! The paper sets no lower bound (`low` 1 is none) and gives no upper one; the default caps the
//! weight at 5, a common choice.

use super::config::{AggregationKind, Preset, Truncated};
use super::terms::{Row, Surrogate, Terms};
use crate::advantage::Normalise;

pub(super) const PRESET: Preset = Preset {
    clip_low: 1.0,
    clip_high: 4.0,
    aggregation: AggregationKind::PerToken,
    advantage: Normalise::Std,
    truncated: Truncated::Mask,
};

/// Policy gradient with a bounded importance weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cispo {
    /// The weight is at least `1 - low`.
    pub low: f64,
    /// The weight is at most `1 + high`.
    pub high: f64,
}

impl Surrogate for Cispo {
    fn terms(&self, row: &Row) -> Terms {
        let mut terms = Terms::default();
        for (&log_ratio, &logp) in row.log_ratio.iter().zip(&row.logprobs) {
            let ratio = log_ratio.exp();
            let slope = ratio.clamp(1.0 - self.low, 1.0 + self.high) * row.advantage;
            terms.value.push(slope * logp);
            terms.slope.push(slope);
            terms.clipped_low += usize::from(ratio < 1.0 - self.low);
            terms.clipped_high += usize::from(ratio > 1.0 + self.high);
        }
        terms
    }
}
