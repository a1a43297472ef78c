//! Dynamic sampling expansion: how many more prompts to roll out than a batch trains on.

use serde::{Deserialize, Serialize};

/// The mean expansion ratio. Source: GLM-V paper (arXiv 2507.01006), §5.3: `ratio = 1 / (1 -
/// not_valid_sample_rate)`, whose mean is the next iteration's factor. The paper gives neither the
/// mean's coefficient nor what happens where no sample is valid; here the ratio is held to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expansion {
    mean: f64,
    decay: f64,
    max: f64,
}

impl Expansion {
    /// Starts at 1; `decay` in 0..1 is what remains of the mean, `max` from 1 holds the ratio.
    pub fn new(decay: f64, max: f64) -> Self {
        Self {
            mean: 1.0,
            decay,
            max,
        }
    }

    /// The ratio of a share of groups without a difference, 0..=1.
    pub fn ratio(&self, not_valid_rate: f64) -> f64 {
        let valid = 1.0 - not_valid_rate;
        match valid > 0.0 {
            true => (1.0 / valid).clamp(1.0, self.max),
            false => self.max,
        }
    }

    /// Takes note of an iteration.
    pub fn observe(&mut self, not_valid_rate: f64) {
        self.mean = self.decay * self.mean + (1.0 - self.decay) * self.ratio(not_valid_rate);
    }

    /// The factor of the next iteration, within 1..=max.
    pub fn factor(&self) -> f64 {
        self.mean
    }

    /// Prompts to roll out for a batch of `batch` groups.
    pub fn prompts(&self, batch: usize) -> usize {
        // What rounding added to the mean is no reason for one more prompt.
        (batch as f64 * self.mean - 1e-9).ceil() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_is_held_where_nothing_is_valid() {
        let expansion = Expansion::new(0.9, 4.0);
        let ratios = [0.0, 0.5, 0.75, 0.9, 1.0].map(|rate| expansion.ratio(rate));
        assert_eq!(ratios, [1.0, 2.0, 4.0, 4.0, 4.0]);
    }

    #[test]
    fn mean_and_prompts_are_exact() {
        let mut expansion = Expansion::new(0.5, 4.0);
        assert_eq!(expansion.prompts(32), 32);
        expansion.observe(0.5);
        assert_eq!((expansion.factor(), expansion.prompts(32)), (1.5, 48));
        expansion.observe(1.0);
        assert_eq!((expansion.factor(), expansion.prompts(3)), (2.75, 9));
        for _ in 0..200 {
            expansion.observe(0.0);
        }
        assert_eq!(expansion.prompts(32), 32, "back to one, rounding or not");
    }
}
