//! GSPO (arXiv 2507.18071): one ratio per sequence, `s = exp(mean_t(log p - log p_old))` over the
//! counted tokens, clipped as in PPO: `J = min(s A, clip(s, 1 - low, 1 + high) A)`. The default
//! bounds are those of its §5.1, where s is far closer to 1 than a token's ratio.

use super::config::{AggregationKind, Preset, Truncated};
use super::grpo::Clipped;
use super::terms::{Row, Surrogate, Terms};
use crate::advantage::Normalise;

pub(super) const PRESET: Preset = Preset {
    clip_low: 3e-4,
    clip_high: 4e-4,
    aggregation: AggregationKind::PerSample,
    advantage: Normalise::Std,
    truncated: Truncated::Force,
};

/// The clipped surrogate of a whole sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gspo {
    /// The clip of the sequence's ratio.
    pub clip: Clipped,
}

impl Surrogate for Gspo {
    fn terms(&self, row: &Row) -> Terms {
        let counted = row.at.len();
        if counted == 0 {
            return Terms::default();
        }
        let mean = row.log_ratio.iter().sum::<f64>() / counted as f64;
        let (value, slope, is_low, is_high) = self.clip.of(mean, row.advantage);
        // Every token's J is the sequence's: their sum is `counted * J`, and `d mean / d logp` is
        // `1 / counted`, so the slope of the sum by each token is that of J by the mean.
        Terms {
            value: vec![value; counted],
            slope: vec![slope; counted],
            clipped_low: if is_low { counted } else { 0 },
            clipped_high: if is_high { counted } else { 0 },
        }
    }
}
