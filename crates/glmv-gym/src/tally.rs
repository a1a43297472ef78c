//! Accuracy of a model's completions on gym items, per domain and level. Called by the evaluation.

use crate::{Error, Guesser, Item};
use glmv_reward::{Scorer, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Sums of one group of items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sum {
    /// Completions.
    pub n: usize,
    /// Sum of the rewards, each 0 to 1: graded domains give parts.
    pub reward: f64,
    /// Completions that keep the grammar of a think block and one box.
    pub well_formed: usize,
    /// Sum of the rewards of the guesser, where there was one.
    pub guessed: f64,
}

impl Sum {
    /// Mean reward; `None` without completions.
    pub fn accuracy(&self) -> Option<f64> {
        (self.n > 0).then(|| self.reward / self.n as f64)
    }

    fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.reward += other.reward;
        self.well_formed += other.well_formed;
        self.guessed += other.guessed;
    }
}

/// Results so far.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// Per domain and level, `counting/1`.
    pub groups: BTreeMap<String, Sum>,
}

impl Tally {
    /// Judges a completion, and what the guesser would have said.
    ///
    /// # Errors
    /// If the truth of the item is not what its reward domain needs, which does not happen with items
    /// of this crate. What no rule decides counts as wrong: no model is asked.
    pub fn add(
        &mut self,
        item: &Item,
        completion: &str,
        guesser: Option<&Guesser>,
    ) -> Result<Verdict, Error> {
        let judge = |text: &str| {
            let scorer = Scorer::of_domain(item.reward_domain)?;
            scorer.completion(text, &item.answer)
        };
        let unjudged = |reason: String| Error::Judgement {
            id: item.id.clone(),
            reason,
        };
        let verdict = judge(completion).map_err(|e| unjudged(e.to_string()))?;
        let reward = verdict.reward.unwrap_or(0.0);
        let guessed = match guesser.and_then(|g| g.guess(&item.template)) {
            None => 0.0,
            Some(guess) => {
                let said = Item {
                    answer: guess.to_owned(),
                    ..item.clone()
                }
                .direct();
                judge(&said)
                    .map_err(|e| unjudged(e.to_string()))?
                    .reward
                    .unwrap_or(0.0)
            }
        };
        let group = self
            .groups
            .entry(format!("{}/{}", item.domain.name(), item.level))
            .or_default();
        group.add(&Sum {
            n: 1,
            reward,
            well_formed: usize::from(verdict.format_ok),
            guessed,
        });
        Ok(verdict)
    }

    /// The sum over the groups whose name begins so: a domain with its `/`, or everything.
    pub fn total(&self, prefix: &str) -> Sum {
        let mut total = Sum::default();
        for (_, sum) in self
            .groups
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
        {
            total.add(sum);
        }
        total
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:16} {:>6} {:>9} {:>12} {:>9}",
            "domain/level", "n", "accuracy", "well-formed", "guesser"
        )?;
        let total = self.total("");
        let all = self.groups.iter().map(|(name, sum)| (name.as_str(), sum));
        for (name, sum) in all.chain([("all", &total)]) {
            let share = |part: f64| 100.0 * part / sum.n.max(1) as f64;
            writeln!(
                f,
                "{name:16} {:6} {:8.1}% {:11.1}% {:8.1}%",
                sum.n,
                share(sum.reward),
                share(sum.well_formed as f64),
                share(sum.guessed)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, Size, generate};

    #[test]
    fn right_wrong_and_malformed_completions_are_told_apart() {
        let mut tally = Tally::default();
        let mut guesser = Guesser::default();
        let item =
            |seed: u64| generate(Domain::Counting, 1, seed, Size { side: 28 }).expect("an item");
        for seed in 0..3 {
            guesser.count(&item(seed).template, "3");
        }
        let right = tally
            .add(&item(0), &item(0).completion(), Some(&guesser))
            .expect("judged");
        assert_eq!(right.reward, Some(1.0));
        let wrong = Item {
            answer: item(1).distractor,
            ..item(1)
        };
        tally
            .add(&item(1), &wrong.completion(), Some(&guesser))
            .expect("judged");
        tally.add(&item(2), "I do not know", None).expect("judged");
        let sum = tally.total("counting/");
        assert_eq!((sum.n, sum.reward, sum.well_formed), (3, 1.0, 2));
        let said: f64 = (0..2)
            .map(|s| f64::from(u8::from(item(s).answer == "3")))
            .sum();
        assert_eq!(sum.guessed, said);
        assert_eq!(tally.total("video/").accuracy(), None);
        assert!(tally.to_string().contains("counting/1"));
    }
}
