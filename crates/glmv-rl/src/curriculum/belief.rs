//! What is believed about the difficulty of a task: offline grades and a person's label as a prior,
//! every rollout since with decaying weight.

use serde::{Deserialize, Serialize};

use super::pass_at_k;
use super::task::{Task, Tier};
use crate::Error;
use crate::error::require;

/// The `[curriculum.belief]` section: how offline grades, labels and rollouts are merged. The paper
/// gives no merge rule; this is a Beta distribution with pseudo-counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BeliefConfig {
    /// k of the offline pass@k, 1 to the samples of every grade. Default 1.
    pub pass_k: u64,
    /// Weight of the offline grades, in completions. Default 4.
    pub offline: f64,
    /// Weight of a person's label, in completions. Default 2.
    pub label: f64,
    /// Weight of "nothing is known" (a pass rate of one half), in completions. Default 1.
    pub unknown: f64,
    /// What remains of older rollouts' weight with each new one, 0..1. Default 0.5.
    pub decay: f64,
    /// What remains of the rollouts' weight with each iteration, above 0 to 1: what a task once gave
    /// says less and less of a model that learns. Default 0.98.
    pub fade: f64,
    /// How much a task that is asked for the first time moves what is believed of all that were graded
    /// alike and were not asked yet, 0 to 1: offline grades are those of an older model. Default 0.02.
    pub drift: f64,
}

impl Default for BeliefConfig {
    fn default() -> Self {
        Self {
            pass_k: 1,
            offline: 4.0,
            label: 2.0,
            unknown: 1.0,
            decay: 0.5,
            fade: 0.98,
            drift: 0.02,
        }
    }
}

impl BeliefConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<(), Error> {
        require(
            self.pass_k > 0,
            "curriculum.belief.pass_k",
            self.pass_k,
            "at least 1",
        )?;
        for (key, value) in [
            ("curriculum.belief.offline", self.offline),
            ("curriculum.belief.label", self.label),
        ] {
            require((0.0..=1e6).contains(&value), key, value, "0 to a million")?;
        }
        let (key, value) = ("curriculum.belief.unknown", self.unknown);
        require(
            (1e-3..=1e6).contains(&value),
            key,
            value,
            "0.001 to a million",
        )?;
        let (key, value) = ("curriculum.belief.decay", self.decay);
        require((0.0..1.0).contains(&value), key, value, "from 0 to below 1")?;
        let (key, value) = ("curriculum.belief.fade", self.fade);
        let in_range = value > 0.0 && value <= 1.0;
        require(in_range, key, value, "above 0 to 1")?;
        let (key, value) = ("curriculum.belief.drift", self.drift);
        require((0.0..=1.0).contains(&value), key, value, "0 to 1")
    }
}

/// Pseudo-counts of right and wrong completions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Belief {
    prior_right: f64,
    prior_wrong: f64,
    right: f64,
    wrong: f64,
    /// Groups rolled out so far.
    pub seen: u64,
    /// What is added to the pass rate of the prior: how much better tasks like this one did.
    #[serde(default)]
    shift: f64,
}

impl Belief {
    /// What is known before the first rollout.
    ///
    /// # Errors
    /// [`Error::PassAtK`] where a grade has fewer samples than `pass_k`.
    pub fn new(task: &Task, config: &BeliefConfig) -> Result<Self, Error> {
        let mut belief = Self {
            prior_right: config.unknown * 0.5,
            prior_wrong: config.unknown * 0.5,
            right: 0.0,
            wrong: 0.0,
            seen: 0,
            shift: 0.0,
        };
        let mut add = |pass_rate: f64, weight: f64| {
            belief.prior_right += weight * pass_rate;
            belief.prior_wrong += weight * (1.0 - pass_rate);
        };
        for grade in &task.grades {
            let rate = pass_at_k(grade.samples, grade.right, config.pass_k)?;
            add(rate, config.offline / task.grades.len() as f64);
        }
        if let Some(label) = task.label {
            add(label.middle(), config.label);
        }
        Ok(belief)
    }

    /// Takes note of a group: `size` completions of which the share `pass_rate` was right.
    pub fn observe(&mut self, pass_rate: f64, size: usize, config: &BeliefConfig) {
        let size = size as f64;
        self.right = config.decay * self.right + size * pass_rate;
        self.wrong = config.decay * self.wrong + size * (1.0 - pass_rate);
        self.seen += 1;
    }

    /// An iteration is over: what rollouts said weighs less, and tasks graded like this one did better
    /// than that by `shift`.
    pub fn age(&mut self, shift: f64, config: &BeliefConfig) {
        self.right *= config.fade;
        self.wrong *= config.fade;
        self.shift = shift;
    }

    /// The chance that one completion is right by grades and label alone.
    pub fn prior(&self) -> f64 {
        self.prior_right / (self.prior_right + self.prior_wrong)
    }

    /// Mean of the distribution: the chance that one completion is right.
    pub fn pass_rate(&self) -> f64 {
        let weight = self.prior_right + self.prior_wrong;
        let prior_right = match self.shift == 0.0 {
            true => self.prior_right,
            false => weight * (self.prior() + self.shift).clamp(0.0, 1.0),
        };
        (prior_right + self.right) / (weight + self.right + self.wrong)
    }

    /// The tier of that chance.
    pub fn tier(&self) -> Tier {
        Tier::of(self.pass_rate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curriculum::Grade;

    fn graded(right: &[u64], label: Option<Tier>) -> Task {
        let grade = |&right: &u64| Grade {
            model: "m".into(),
            samples: 8,
            right,
        };
        Task {
            grades: right.iter().map(grade).collect(),
            label,
            ..Task::new("t", "math")
        }
    }

    #[test]
    fn priors_are_exact() {
        let config = BeliefConfig::default();
        let rate = |right: &[u64], label| {
            Belief::new(&graded(right, label), &config)
                .expect("possible")
                .pass_rate()
        };
        assert_eq!(rate(&[], None), 0.5);
        assert_eq!(rate(&[8], None), (0.5 + 4.0) / 5.0);
        assert_eq!(
            rate(&[8, 0], None),
            (0.5 + 2.0) / 5.0,
            "models share the weight"
        );
        let both = (0.5 + 4.0 + 2.0 * 0.05) / 7.0;
        assert!((rate(&[8], Some(Tier::VeryHard)) - both).abs() < 1e-15);
        let strict = BeliefConfig {
            pass_k: 9,
            ..config
        };
        assert!(matches!(
            Belief::new(&graded(&[8], None), &strict),
            Err(Error::PassAtK { .. })
        ));
    }

    #[test]
    fn rollouts_take_over_and_old_ones_fade() {
        let config = BeliefConfig::default();
        let mut belief = Belief::new(&graded(&[0], None), &config).expect("possible");
        assert_eq!(belief.tier(), Tier::Hard);
        belief.observe(1.0, 8, &config);
        assert_eq!(belief.pass_rate(), 8.5 / 13.0);
        belief.observe(1.0, 8, &config);
        assert_eq!(belief.pass_rate(), 12.5 / 17.0);
        for _ in 0..20 {
            belief.observe(0.0, 8, &config);
        }
        assert!(belief.pass_rate() < 0.03 && belief.seen == 22);
    }

    #[test]
    fn rollouts_fade_and_kin_move_the_prior() {
        let config = BeliefConfig {
            fade: 0.5,
            ..BeliefConfig::default()
        };
        let mut belief = Belief::new(&graded(&[0], None), &config).expect("possible");
        belief.observe(1.0, 8, &config);
        belief.age(0.0, &config);
        assert_eq!(belief.pass_rate(), 4.5 / 9.0, "four of eight remain");
        // A prior of 0.1 and 5 completions becomes one of 0.4.
        belief.age(0.3, &config);
        let moved = (5.0 * 0.4 + 2.0) / 7.0;
        assert!((belief.pass_rate() - moved).abs() < 1e-12);
        belief.age(2.0, &config);
        assert_eq!(belief.pass_rate(), 1.0, "held");
        for wrong in [
            BeliefConfig {
                fade: 0.0,
                ..config
            },
            BeliefConfig {
                drift: f64::NAN,
                ..config
            },
        ] {
            assert!(matches!(wrong.check(), Err(Error::Setting { .. })));
        }
    }

    #[test]
    fn tiers_cover_the_range() {
        let bounds = [1.0, 0.9, 0.89, 0.7, 0.69, 0.3, 0.29, 0.1, 0.09, 0.0];
        for (at, rate) in bounds.into_iter().enumerate() {
            assert_eq!(Tier::of(rate), Tier::ALL[at / 2], "{rate}");
        }
        for tier in Tier::ALL {
            assert_eq!(Tier::of(tier.middle()), tier);
            assert_eq!(Tier::ALL[tier.index()], tier);
        }
    }
}
