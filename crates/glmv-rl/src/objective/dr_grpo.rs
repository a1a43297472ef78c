//! Dr. GRPO (arXiv 2503.20783): GRPO's surrogate without the two divisions that bias it: advantages
//! are not divided by the deviation, losses not by the length but by one constant. Its clip is PPO's.

use super::config::{AggregationKind, Preset, Truncated};
use crate::advantage::Normalise;

pub(super) const PRESET: Preset = Preset {
    clip_low: 0.2,
    clip_high: 0.2,
    aggregation: AggregationKind::ConstantLength,
    advantage: Normalise::None,
    truncated: Truncated::Keep,
};
