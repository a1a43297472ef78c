//! Thresholds of the watch.

use serde::Deserialize;

use super::WatchError;

/// Thresholds of the watch; see the module for what each is held against.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WatchConfig {
    /// Records of the short trend, 10..=1000; the long one has four times as many. Default 40.
    pub window: usize,
    /// Records in a row in which a divergence must hold, at least 1. Default 3.
    pub persist: usize,
    /// Records after which a held-out warning becomes a pause. Default 10.
    pub pause_after: usize,
    /// How much more than the held-out accuracy the reward may gain over a window before the warning
    /// is a pause. Default 0.15.
    pub pause_gap: f64,
    /// Least rise of the mean reward over a window. Default 0.05.
    pub min_rise: f64,
    /// Least Mann-Kendall z of a trend. Default 3.
    pub trend_z: f64,
    /// One-sided confidence of slopes, in standard deviations. Default 3.
    pub confidence_z: f64,
    /// Least share of a rise in reward that the held-out accuracy must gain. Default 0.25.
    pub min_transfer: f64,
    /// Least held-out values that a trend is fitted to, at least 6. Default 12.
    pub min_held_out: usize,
    /// Records whose median is "now", at least 3. Default 8.
    pub recent: usize,
    /// Records before them whose median is "before", at least 8. Default 32.
    pub reference: usize,
    /// Least size of a jump in robust standard deviations. Default 4.
    pub shift_sigmas: f64,
    /// Least factor of a jump in length, above 1. Default 1.4.
    pub length_ratio: f64,
    /// Factor to the start of the run above which a length without gain is too much. Default 4.
    pub length_limit: f64,
    /// Least jump of the repetition rate. Default 0.05.
    pub repetition_rise: f64,
    /// Rise of the repetition rate since the start that is too much. Default 0.2.
    pub repetition_limit: f64,
    /// Least fall of the format rate. Default 0.1.
    pub format_fall: f64,
    /// Fall of the format rate since the start that is too much. Default 0.2.
    pub format_limit: f64,
    /// Least fall of an entropy, as a share of its value before. Default 0.4.
    pub entropy_fall: f64,
    /// Share of the entropy at the start below which it has collapsed. Default 0.15.
    pub entropy_limit: f64,
    /// Least reward of the sample answers that are looked at. Default 0.5.
    pub high_reward: f64,
    /// Most answers an alarm names. Default 3.
    pub max_answers: usize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            window: 40,
            persist: 3,
            pause_after: 10,
            pause_gap: 0.15,
            min_rise: 0.05,
            trend_z: 3.0,
            confidence_z: 3.0,
            min_transfer: 0.25,
            min_held_out: 12,
            recent: 8,
            reference: 32,
            shift_sigmas: 4.0,
            length_ratio: 1.4,
            length_limit: 4.0,
            repetition_rise: 0.05,
            repetition_limit: 0.2,
            format_fall: 0.1,
            format_limit: 0.2,
            entropy_fall: 0.4,
            entropy_limit: 0.15,
            high_reward: 0.5,
            max_answers: 3,
        }
    }
}

impl WatchConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`WatchError::Config`] with the first field that cannot be used.
    pub(super) fn check(&self) -> Result<(), WatchError> {
        for (field, value, range) in [
            ("window", self.window, 10..=1000),
            ("persist", self.persist, 1..=1000),
            ("pause_after", self.pause_after, 1..=100_000),
            ("min_held_out", self.min_held_out, 6..=64),
            ("recent", self.recent, 3..=1000),
            ("reference", self.reference, 8..=1000),
            ("max_answers", self.max_answers, 0..=1000),
        ] {
            if !range.contains(&value) {
                return Err(WatchError::Config {
                    field,
                    value: value.to_string(),
                    expected: "in its range",
                });
            }
        }
        for (field, value, least, most) in [
            ("pause_gap", self.pause_gap, 0.0, 1e6),
            ("min_rise", self.min_rise, 0.0, 1e6),
            ("trend_z", self.trend_z, 0.0, 100.0),
            ("confidence_z", self.confidence_z, 0.1, 100.0),
            ("min_transfer", self.min_transfer, -1.0, 1.0),
            ("shift_sigmas", self.shift_sigmas, 0.0, 1000.0),
            ("length_ratio", self.length_ratio, 1.0, 1e6),
            ("length_limit", self.length_limit, 1.0, 1e6),
            ("repetition_rise", self.repetition_rise, 0.0, 1.0),
            ("repetition_limit", self.repetition_limit, 0.0, 1.0),
            ("format_fall", self.format_fall, 0.0, 1.0),
            ("format_limit", self.format_limit, 0.0, 1.0),
            ("entropy_fall", self.entropy_fall, 0.0, 1.0),
            ("entropy_limit", self.entropy_limit, 0.0, 1.0),
            ("high_reward", self.high_reward, -1e6, 1e6),
        ] {
            if !(least..=most).contains(&value) {
                return Err(WatchError::Config {
                    field,
                    value: value.to_string(),
                    expected: "in its range",
                });
            }
        }
        Ok(())
    }
}
