//! DAPO (arXiv 2503.14476): GRPO's surrogate averaged over all tokens of the batch, truncated
//! completions masked, groups without a difference filtered ([`crate::curriculum::Dapo`]), and a
//! soft penalty of overlong completions.

use super::config::{AggregationKind, Preset, Truncated};
use crate::Error;
use crate::advantage::Normalise;
use crate::error::require;

pub(super) const PRESET: Preset = Preset {
    clip_low: 0.2,
    clip_high: 0.28,
    aggregation: AggregationKind::PerToken,
    advantage: Normalise::Std,
    truncated: Truncated::Mask,
};

/// What is added to the reward of a completion of `length` tokens: 0 up to `max - buffer`, then
/// falling linearly to -1 at `max`, -1 beyond (DAPO, §3.4, equation 13).
///
/// # Errors
/// [`Error::Setting`] unless `1 <= buffer <= max`.
pub fn overlong_penalty(length: usize, max: usize, buffer: usize) -> Result<f64, Error> {
    let expected = "from 1 to the longest completion";
    require(
        (1..=max).contains(&buffer),
        "overlong_buffer",
        buffer,
        expected,
    )?;
    let over = length.saturating_sub(max - buffer).min(buffer);
    Ok(-(over as f64) / buffer as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalty_is_linear_in_the_buffer() {
        let at = |length| overlong_penalty(length, 100, 20).expect("a buffer");
        assert_eq!(
            [at(0), at(80), at(85), at(100), at(900)],
            [0.0, 0.0, -0.25, -1.0, -1.0]
        );
        assert!(overlong_penalty(1, 100, 0).is_err() && overlong_penalty(1, 100, 101).is_err());
    }
}
