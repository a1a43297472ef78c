//! The rewards of one group in, what it can teach out: useful, or without a difference to learn
//! from. Called by the curricula (which groups are trained on) and for the metrics of a step.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::advantage::mean_and_std;

/// Rewards closer than this (as a standard deviation) are equal.
pub const EQUAL: f64 = 1e-6;

/// What a group can teach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupState {
    /// Its rewards differ and tokens of it count: it has a gradient.
    Useful,
    /// Every reward is 1.
    AllRight,
    /// Every reward is 0.
    AllWrong,
    /// Every reward is the same other number.
    AllEqual,
    /// The rewards differ, but no token counts: empty or masked completions.
    NoTokens,
    /// Fewer than two rewards are left: the group is dropped, and counted.
    Alone,
}

/// The rewards of a group, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupStats {
    /// Rewards in the group.
    pub size: usize,
    /// Mean reward.
    pub mean: f64,
    /// How far the group is from unanimity, 0 to 0.5 for rewards within 0 to 1: the population
    /// standard deviation, for binary rewards `sqrt(right * wrong) / size` (so that equally
    /// balanced groups are exactly equal).
    pub spread: f64,
    /// Mean of the rewards held to 0..=1: the share of right answers for binary rewards.
    pub pass_rate: f64,
    /// What the group can teach.
    pub state: GroupState,
}

impl GroupStats {
    /// Looks at the rewards of a group of which `counted_tokens` tokens enter the loss.
    ///
    /// # Errors
    /// [`Error::NotFinite`].
    pub fn of(rewards: &[f64], counted_tokens: usize) -> Result<Self, Error> {
        let (mean, std) = mean_and_std(rewards)?;
        let size = rewards.len();
        let right = rewards.iter().filter(|&&r| r == 1.0).count();
        let wrong = rewards.iter().filter(|&&r| r == 0.0).count();
        let is_binary = right + wrong == size && size > 0;
        let spread = match is_binary {
            true => ((right * wrong) as f64).sqrt() / size as f64,
            false => std,
        };
        let state = match () {
            () if size < 2 => GroupState::Alone,
            () if right == size => GroupState::AllRight,
            () if wrong == size => GroupState::AllWrong,
            () if spread <= EQUAL => GroupState::AllEqual,
            () if counted_tokens == 0 => GroupState::NoTokens,
            () => GroupState::Useful,
        };
        let held: f64 = rewards.iter().map(|r| r.clamp(0.0, 1.0)).sum();
        Ok(Self {
            size,
            mean,
            spread,
            pass_rate: if size == 0 { 0.0 } else { held / size as f64 },
            state,
        })
    }
}

/// How many groups were in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Validity {
    /// Groups with a gradient.
    pub useful: usize,
    /// Groups with every reward 1.
    pub all_right: usize,
    /// Groups with every reward 0.
    pub all_wrong: usize,
    /// Groups with the same other reward everywhere.
    pub all_equal: usize,
    /// Groups in which no token counts.
    pub no_tokens: usize,
    /// Groups reduced to fewer than two rewards; dropped, not part of the rate.
    pub alone: usize,
}

impl Validity {
    /// Counts groups.
    pub fn of(groups: impl IntoIterator<Item = GroupState>) -> Self {
        let mut validity = Self::default();
        for state in groups {
            *match state {
                GroupState::Useful => &mut validity.useful,
                GroupState::AllRight => &mut validity.all_right,
                GroupState::AllWrong => &mut validity.all_wrong,
                GroupState::AllEqual => &mut validity.all_equal,
                GroupState::NoTokens => &mut validity.no_tokens,
                GroupState::Alone => &mut validity.alone,
            } += 1;
        }
        validity
    }

    /// Share of groups that teach nothing, 0 to 1: `not_valid_sample_rate` of the GLM-V paper
    /// (arXiv 2507.01006, §5.3), which counts all-right and all-wrong prompts; groups without a
    /// counted token are counted as well here. `None` if there was no group of two or more.
    pub fn not_valid_rate(&self) -> Option<f64> {
        let not_valid = self.all_right + self.all_wrong + self.all_equal + self.no_tokens;
        let groups = not_valid + self.useful;
        (groups > 0).then(|| not_valid as f64 / groups as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(rewards: &[f64], tokens: usize) -> GroupState {
        GroupStats::of(rewards, tokens).expect("finite").state
    }

    #[test]
    fn every_state_is_told_apart() {
        assert_eq!(state(&[1.0, 0.0], 3), GroupState::Useful);
        assert_eq!(state(&[1.0, 0.0], 0), GroupState::NoTokens);
        assert_eq!(state(&[1.0, 1.0], 3), GroupState::AllRight);
        assert_eq!(state(&[0.0, 0.0, 0.0], 3), GroupState::AllWrong);
        assert_eq!(state(&[0.3, 0.3], 3), GroupState::AllEqual);
        assert_eq!(state(&[0.3, 0.3 + 1e-9], 3), GroupState::AllEqual);
        assert_eq!(state(&[0.3, 0.31], 3), GroupState::Useful);
        assert_eq!(state(&[1.0], 3), GroupState::Alone);
        assert_eq!(state(&[], 0), GroupState::Alone);
        assert!(GroupStats::of(&[f64::NAN, 0.0], 1).is_err());
    }

    #[test]
    fn spread_is_symmetric_and_largest_in_the_middle() {
        let spread = |right: usize| {
            let rewards: Vec<f64> = (0..7).map(|i| f64::from(u8::from(i < right))).collect();
            GroupStats::of(&rewards, 1).expect("finite").spread
        };
        for right in 0..=7 {
            assert_eq!(
                spread(right),
                spread(7 - right),
                "exactly, for stable order"
            );
        }
        assert!(spread(0) < spread(1) && spread(1) < spread(2) && spread(2) < spread(3));
        let soft = GroupStats::of(&[-1.0, 0.5, 2.0, 0.5], 1).expect("finite");
        assert_eq!((soft.mean, soft.pass_rate), (0.5, 0.5));
    }

    #[test]
    fn rate_leaves_dropped_groups_out() {
        use GroupState::{AllRight, AllWrong, Alone, NoTokens, Useful};
        let rate = |states: &[GroupState]| Validity::of(states.iter().copied()).not_valid_rate();
        assert_eq!(rate(&[Useful, AllRight, AllWrong, Alone]), Some(2.0 / 3.0));
        assert_eq!(rate(&[AllRight, NoTokens]), Some(1.0));
        assert_eq!(rate(&[Useful]), Some(0.0));
        assert_eq!(rate(&[Alone, Alone]), None);
        assert_eq!(Validity::of([Alone, Alone]).alone, 2);
    }
}
