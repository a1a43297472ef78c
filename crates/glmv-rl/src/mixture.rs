//! How many prompts each domain gets, and which of them are to think. State is what rounding owes,
//! so that shares hold exactly over many steps. Used by the curricula.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::Error;
use crate::allot::allot;
use crate::error::require;

/// The `[mixture]` section of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixtureConfig {
    /// Weight of each domain, above 0; they need not sum to 1. Default: none, which weighs every
    /// domain by its number of tasks.
    pub domains: BTreeMap<String, f64>,
    /// Share of prompts that are asked to think, 0..=1, among those tasks that leave it open.
    /// Default 1.
    pub thinking: f64,
}

impl Default for MixtureConfig {
    fn default() -> Self {
        Self {
            domains: BTreeMap::new(),
            thinking: 1.0,
        }
    }
}

impl MixtureConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`], [`Error::Domain`].
    pub fn check(&self) -> Result<(), Error> {
        let share = self.thinking;
        require(
            (0.0..=1.0).contains(&share),
            "mixture.thinking",
            share,
            "0 to 1",
        )?;
        let bad = self
            .domains
            .iter()
            .find(|(_, w)| !(w.is_finite() && **w > 0.0));
        match bad {
            None => Ok(()),
            Some((domain, _)) => Err(Error::Domain {
                domain: domain.clone(),
                reason: "has a weight that is not above 0",
            }),
        }
    }
}

/// Shares of the domains and what rounding owes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mixture {
    weights: BTreeMap<String, f64>,
    credit: BTreeMap<String, f64>,
    thinking: f64,
    thinking_credit: f64,
}

impl Mixture {
    /// A mixture of the domains that there are tasks of: `tasks` counts them by domain.
    ///
    /// # Errors
    /// [`Error::Domain`] where config and tasks name different domains, [`Error::Setting`].
    pub fn new(config: &MixtureConfig, tasks: &BTreeMap<String, usize>) -> Result<Self, Error> {
        config.check()?;
        let weights: BTreeMap<String, f64> = match config.domains.is_empty() {
            true => tasks
                .iter()
                .map(|(name, &n)| (name.clone(), n as f64))
                .collect(),
            false => config.domains.clone(),
        };
        let fault = |domain: &String, reason| Error::Domain {
            domain: domain.clone(),
            reason,
        };
        if let Some(name) = weights
            .keys()
            .find(|name| tasks.get(*name).is_none_or(|&n| n == 0))
        {
            return Err(fault(name, "of the mixture has no tasks"));
        }
        if let Some(name) = tasks.keys().find(|name| !weights.contains_key(*name)) {
            return Err(fault(name, "has tasks and no weight in the mixture"));
        }
        Ok(Self {
            credit: weights.keys().map(|name| (name.clone(), 0.0)).collect(),
            weights,
            thinking: config.thinking,
            thinking_credit: 0.0,
        })
    }

    /// How many of `total` each domain gets, at most what `available` says. What a domain cannot
    /// fill goes to the others by weight.
    pub fn quotas(
        &mut self,
        total: usize,
        available: &BTreeMap<String, usize>,
    ) -> BTreeMap<String, usize> {
        let weights: Vec<f64> = self.weights.values().copied().collect();
        let limit = |name| available.get(name).copied().unwrap_or(0);
        let limits: Vec<usize> = self.weights.keys().map(limit).collect();
        let mut credit: Vec<f64> = self.credit.values().copied().collect();
        let counts = allot(&weights, &limits, total, &mut credit);
        for (owed, now) in self.credit.values_mut().zip(credit) {
            *owed = now;
        }
        self.weights.keys().cloned().zip(counts).collect()
    }

    /// Share of each domain, 0 to 1.
    pub fn shares(&self) -> BTreeMap<String, f64> {
        let sum: f64 = self.weights.values().sum();
        self.weights
            .iter()
            .map(|(name, w)| (name.clone(), w / sum))
            .collect()
    }

    /// Which prompts think. `fixed[i]` is what the task itself says; where it says nothing, the share
    /// of the mixture is given out evenly over the list.
    pub fn modes(&mut self, fixed: &[Option<bool>]) -> Vec<bool> {
        let mut modes = Vec::with_capacity(fixed.len());
        for mode in fixed {
            modes.push(mode.unwrap_or_else(|| {
                self.thinking_credit += self.thinking;
                // Within half of a prompt of the share at every moment.
                let thinks = self.thinking_credit >= 0.5;
                self.thinking_credit -= f64::from(u8::from(thinks));
                thinks
            }));
        }
        modes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
        pairs
            .iter()
            .map(|&(name, n)| (name.to_owned(), n))
            .collect()
    }

    fn config(pairs: &[(&str, f64)], thinking: f64) -> MixtureConfig {
        MixtureConfig {
            domains: pairs
                .iter()
                .map(|&(name, w)| (name.to_owned(), w))
                .collect(),
            thinking,
        }
    }

    #[test]
    fn quotas_follow_the_weights_and_what_there_is() {
        let tasks = counts(&[("math", 100), ("ocr", 100)]);
        let mut mixture = Mixture::new(&config(&[("math", 3.0), ("ocr", 1.0)], 1.0), &tasks)
            .expect("the same domains");
        assert_eq!(mixture.shares()["math"], 0.75);
        let mut sum = 0;
        for _ in 0..4 {
            sum += mixture.quotas(5, &tasks)["ocr"];
        }
        assert_eq!(sum, 5, "a quarter of 20, whatever the rounding");
        let short = counts(&[("math", 1), ("ocr", 100)]);
        assert_eq!(
            mixture.quotas(5, &short),
            counts(&[("math", 1), ("ocr", 4)])
        );
        let by_size = Mixture::new(&config(&[], 1.0), &counts(&[("a", 1), ("b", 3)]));
        assert_eq!(by_size.expect("tasks").shares()["b"], 0.75);
    }

    #[test]
    fn shares_of_thinking_are_exact_and_even() {
        let tasks = counts(&[("math", 9)]);
        for share in [0.0, 0.25, 0.5, 0.9, 1.0] {
            let mut mixture = Mixture::new(&config(&[], share), &tasks).expect("tasks");
            let modes = mixture.modes(&[None; 100]);
            assert_eq!(
                modes.iter().filter(|&&m| m).count(),
                (share * 100.0) as usize
            );
            let first = modes[..10].iter().filter(|&&m| m).count() as f64;
            assert!(
                (first - share * 10.0).abs() <= 0.5 + 1e-9,
                "{share}: {first}"
            );
        }
        let mut mixture = Mixture::new(&config(&[], 0.0), &tasks).expect("tasks");
        assert_eq!(
            mixture.modes(&[Some(true), None, Some(false)]),
            [true, false, false]
        );
    }

    #[test]
    fn domains_must_fit() {
        let tasks = counts(&[("math", 1)]);
        for (domains, words) in [
            (
                &[("math", 1.0), ("ocr", 1.0)][..],
                "\"ocr\" of the mixture has no tasks",
            ),
            (&[("ocr", 1.0)], "\"ocr\""),
            (&[("math", 0.0)], "not above 0"),
            (&[("math", f64::NAN)], "not above 0"),
        ] {
            let error = Mixture::new(&config(domains, 1.0), &tasks).expect_err(words);
            assert!(error.to_string().contains(words), "{error}");
        }
        let both = counts(&[("math", 1), ("gui", 1)]);
        let error = Mixture::new(&config(&[("math", 1.0)], 1.0), &both).expect_err("no weight");
        assert!(error.to_string().contains("\"gui\" has tasks"), "{error}");
        assert!(Mixture::new(&config(&[], 1.5), &tasks).is_err());
    }
}
