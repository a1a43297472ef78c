//! Rewards of groups in, advantages out. Called by the trainer once per step, before packing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::Error;

/// What the standard deviation of a group is increased by before dividing.
pub const EPSILON: f64 = 1e-6;

/// What a reward is divided by after the mean of its group is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// `(r - mean) / (std + 1e-6)`, population standard deviation (GRPO).
    #[default]
    Std,
    /// `r - mean` (Dr. GRPO, arXiv 2503.20783).
    None,
}

/// Mean and population standard deviation. Equal values have exactly 0 deviation.
///
/// # Errors
/// [`Error::NotFinite`] for a reward that is no finite number (`sample` is its index).
pub fn mean_and_std(rewards: &[f64]) -> Result<(f64, f64), Error> {
    if let Some(sample) = rewards.iter().position(|r| !r.is_finite()) {
        return Err(Error::NotFinite {
            what: "reward",
            sample,
            token: 0,
            value: rewards[sample],
        });
    }
    let Some(&first) = rewards.first() else {
        return Ok((0.0, 0.0));
    };
    if rewards.iter().all(|&r| r == first) {
        return Ok((first, 0.0));
    }
    let n = rewards.len() as f64;
    let mean = rewards.iter().sum::<f64>() / n;
    let variance = rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n;
    Ok((mean, variance.sqrt()))
}

/// Advantages of one group: `A_i = (r_i - mean) / (std + 1e-6)` or `r_i - mean`.
///
/// All are 0 where the rewards are equal, which a group of one always is. Completions without a
/// token and truncated ones count in the mean like any other.
/// Source: GRPO, arXiv 2402.03300, §4.1; golden kind `grpo`.
///
/// # Errors
/// [`Error::NotFinite`].
pub fn of_group(rewards: &[f64], normalise: Normalise) -> Result<Vec<f64>, Error> {
    let (mean, std) = mean_and_std(rewards)?;
    let divisor = match normalise {
        Normalise::Std => std + EPSILON,
        Normalise::None => 1.0,
    };
    Ok(rewards.iter().map(|r| (r - mean) / divisor).collect())
}

/// Advantages of a batch in which `groups[i]` names the group of sample `i`, in any order.
///
/// # Errors
/// [`Error::Length`] if the lists differ in length, [`Error::NotFinite`].
pub fn of_groups(rewards: &[f64], groups: &[i64], normalise: Normalise) -> Result<Vec<f64>, Error> {
    if rewards.len() != groups.len() {
        return Err(Error::Length {
            what: "group names",
            sample: 0,
            found: groups.len(),
            expected: rewards.len(),
        });
    }
    mean_and_std(rewards)?; // names the index in the batch, not in the group
    let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, &group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(index);
    }
    let mut advantages = vec![0.0; rewards.len()];
    for indices in members.values() {
        let of_group_only: Vec<f64> = indices.iter().map(|&i| rewards[i]).collect();
        for (&index, advantage) in indices.iter().zip(of_group(&of_group_only, normalise)?) {
            advantages[index] = advantage;
        }
    }
    Ok(advantages)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exact_values() {
        let unnormalised = of_group(&[1.0, 0.0, 0.0, 1.0], Normalise::None).expect("finite");
        assert_eq!(unnormalised, [0.5, -0.5, -0.5, 0.5]);
        let std = of_group(&[1.0, 0.0, 0.0, 1.0], Normalise::Std).expect("finite");
        let want = 0.5 / (0.5 + 1e-6);
        assert_eq!(std, [want, -want, -want, want]);
        // Population, not sample, deviation: 3 of 4 right have variance 3/16.
        let std = of_group(&[1.0, 1.0, 0.0, 1.0], Normalise::Std).expect("finite");
        assert_eq!(std[2], -0.75 / (0.1875_f64.sqrt() + 1e-6));
    }

    #[test]
    fn groups_without_a_difference_have_exactly_zero() {
        // 0.1 + 0.1 + 0.1 is not 0.3, so the mean alone would leave a rest.
        for rewards in [vec![0.1; 3], vec![7.0], vec![], vec![-1.0; 5]] {
            for normalise in [Normalise::Std, Normalise::None] {
                let got = of_group(&rewards, normalise).expect("finite");
                assert!(got.iter().all(|&a| a == 0.0), "{rewards:?}: {got:?}");
                assert_eq!(got.len(), rewards.len());
            }
        }
    }

    #[test]
    fn bad_rewards_and_lists_are_errors() {
        let error = of_groups(&[0.0, f64::NAN], &[0, 1], Normalise::Std).expect_err("NaN");
        assert!(error.to_string().contains("reward of sample 1"), "{error}");
        assert!(of_group(&[f64::INFINITY, 0.0], Normalise::None).is_err());
        assert!(of_groups(&[0.0, 1.0], &[0], Normalise::Std).is_err());
    }

    proptest! {
        /// The advantages of a group sum to 0, and a shift of the rewards does not change them.
        #[test]
        fn zero_sum_and_shift(rewards in prop::collection::vec(-2.0_f64..2.0, 2..12), shift in -3.0_f64..3.0) {
            for normalise in [Normalise::Std, Normalise::None] {
                let base = of_group(&rewards, normalise).expect("finite");
                prop_assert!(base.iter().sum::<f64>().abs() < 1e-9);
                let moved: Vec<f64> = rewards.iter().map(|r| r + shift).collect();
                for (a, b) in base.iter().zip(of_group(&moved, normalise).expect("finite")) {
                    prop_assert!((a - b).abs() < 1e-6, "{a} {b}");
                }
            }
        }

        /// Interleaved groups give what each group gives alone.
        #[test]
        fn groups_do_not_mix(pairs in prop::collection::vec((0_i64..4, 0.0_f64..1.0), 1..30)) {
            let (groups, rewards): (Vec<i64>, Vec<f64>) = pairs.iter().copied().unzip();
            let all = of_groups(&rewards, &groups, Normalise::Std).expect("finite");
            for id in 0..4 {
                let alone: Vec<f64> = pairs.iter().filter(|p| p.0 == id).map(|p| p.1).collect();
                let mixed: Vec<f64> =
                    (0..groups.len()).filter(|&i| groups[i] == id).map(|i| all[i]).collect();
                prop_assert_eq!(mixed, of_group(&alone, Normalise::Std).expect("finite"));
            }
        }
    }
}
