//! Learning rate by step: linear warm-up, then constant, linear or cosine decay.

use serde::{Deserialize, Serialize};

/// How the rate falls after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    #[default]
    Constant,
    Linear,
    Cosine,
}

/// Learning rate over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Rate after the warm-up.
    pub rate: f64,
    /// Steps over which the rate rises from 0, the first step having `rate / warmup`.
    #[serde(default)]
    pub warmup: u64,
    #[serde(default)]
    pub decay: Decay,
    /// Rate at the last step, as a share of `rate`; for `linear` and `cosine`.
    #[serde(default)]
    pub floor: f64,
}

impl Schedule {
    /// The rate of `step` (from 0) in a run of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup {
            return self.rate * (step + 1) as f64 / self.warmup as f64;
        }
        let span = steps.saturating_sub(self.warmup + 1).max(1) as f64;
        let at = ((step - self.warmup) as f64 / span).min(1.0);
        let share = match self.decay {
            Decay::Constant => return self.rate,
            Decay::Linear => 1.0 - at,
            Decay::Cosine => (1.0 + (std::f64::consts::PI * at).cos()) / 2.0,
        };
        self.rate * (self.floor + (1.0 - self.floor) * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_and_fall() {
        let mut s = Schedule {
            rate: 2.0,
            warmup: 4,
            decay: Decay::Linear,
            floor: 0.5,
        };
        let rates: Vec<f64> = (0..9).map(|step| s.rate(step, 9)).collect();
        assert_eq!(rates, [0.5, 1.0, 1.5, 2.0, 2.0, 1.75, 1.5, 1.25, 1.0]);
        s.decay = Decay::Constant;
        assert_eq!(s.rate(100, 9), 2.0);
        s.decay = Decay::Cosine;
        assert_eq!(s.rate(4, 9), 2.0);
        assert!((s.rate(6, 9) - 1.5).abs() < 1e-12);
        assert!((s.rate(50, 9) - 1.0).abs() < 1e-12);
    }
}
