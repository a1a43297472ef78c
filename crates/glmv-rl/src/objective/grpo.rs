//! GRPO with the clip's two sides apart: `J_t = min(rho_t A, clip(rho_t, 1 - low, 1 + high) A)`,
//! `rho_t = exp(log p - log p_old)`. DAPO and Dr. GRPO share it and differ in what is around it.
//! Source: GRPO, arXiv 2402.03300; clip-higher: DAPO, arXiv 2503.14476, §3.1. GLM-V raises the upper
//! clip as well and gives no figure; 0.2 and 0.28 are DAPO's.

use super::config::{AggregationKind, Preset, Truncated};
use super::terms::{Row, Surrogate, Terms};
use crate::advantage::Normalise;

/// GRPO as GLM-V runs it: the mean within a sample, then over samples (arXiv 2507.01006, §5.3).
pub(super) const PRESET: Preset = Preset {
    clip_low: 0.2,
    clip_high: 0.28,
    aggregation: AggregationKind::PerSample,
    advantage: Normalise::Std,
    truncated: Truncated::Force,
};

/// The clipped surrogate of PPO, per token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clipped {
    /// The ratio counts down to `1 - low` where the advantage is negative.
    pub low: f64,
    /// The ratio counts up to `1 + high` where the advantage is positive.
    pub high: f64,
}

impl Clipped {
    /// `(J, dJ / d log rho, clipped below, clipped above)` of one ratio.
    pub(super) fn of(&self, log_ratio: f64, advantage: f64) -> (f64, f64, bool, bool) {
        let ratio = log_ratio.exp();
        let is_low = advantage < 0.0 && ratio < 1.0 - self.low;
        let is_high = advantage > 0.0 && ratio > 1.0 + self.high;
        match (is_low, is_high) {
            (true, _) => ((1.0 - self.low) * advantage, 0.0, true, false),
            (_, true) => ((1.0 + self.high) * advantage, 0.0, false, true),
            // 0 times an infinite ratio would be NaN.
            _ if advantage == 0.0 => (0.0, 0.0, false, false),
            _ => (ratio * advantage, ratio * advantage, false, false),
        }
    }
}

impl Surrogate for Clipped {
    fn terms(&self, row: &Row) -> Terms {
        let mut terms = Terms::default();
        for &log_ratio in &row.log_ratio {
            let (value, slope, is_low, is_high) = self.of(log_ratio, row.advantage);
            terms.value.push(value);
            terms.slope.push(slope);
            terms.clipped_low += usize::from(is_low);
            terms.clipped_high += usize::from(is_high);
        }
        terms
    }
}
