//! Attacks a domain with answers of known truth, and counts what passes.

use super::generate;
use super::mutate::{Mutation, completion};
use super::rng::Rng;
use crate::{Error, Scorer};
use serde::Serialize;
use std::fmt;

/// A reward from here on accepts an answer.
pub const ACCEPT: f64 = 0.9;
/// Most examples of mistakes in a report.
const MAX_EXAMPLES: usize = 20;

/// What became of answers of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Answers made.
    pub made: usize,
    /// Rewarded.
    pub accepted: usize,
    /// Not rewarded.
    pub rejected: usize,
    /// Left to a judge.
    pub asked: usize,
}

/// An answer that was judged against its label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// The kind of answer.
    pub mutation: &'static str,
    /// The truth.
    pub truth: String,
    /// The completion.
    pub completion: String,
    /// What the rule said.
    pub why: String,
}

/// Outcome of an attack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FuzzReport {
    /// The domain.
    pub domain: String,
    /// The seed.
    pub seed: u64,
    /// Answers that deserve the reward.
    pub right: Tally,
    /// Answers that do not.
    pub wrong: Tally,
    /// By kind of answer.
    pub by_mutation: Vec<(&'static str, Tally)>,
    /// Accepted-wrong and rejected-right answers, the first of them.
    pub mistakes: Vec<Mistake>,
}

impl FuzzReport {
    /// Share of right answers among the accepted ones; 1 where none was accepted.
    pub fn precision(&self) -> f64 {
        share(
            self.right.accepted,
            self.right.accepted + self.wrong.accepted,
        )
    }

    /// Share of accepted answers among the right ones; what is left to a judge counts as missed.
    pub fn recall(&self) -> f64 {
        share(self.right.accepted, self.right.made)
    }

    /// True for a precision of at least 99 % and a recall of at least 95 %.
    pub fn is_good(&self) -> bool {
        self.precision() >= 0.99 && self.recall() >= 0.95
    }

    /// Share of accepted answers among the wrong ones.
    pub fn accepted_wrong_rate(&self) -> f64 {
        1.0 - share(self.wrong.made - self.wrong.accepted, self.wrong.made)
    }

    /// Share of rejected answers among the right ones.
    pub fn rejected_right_rate(&self) -> f64 {
        1.0 - share(self.right.made - self.right.rejected, self.right.made)
    }
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 {
        1.0
    } else {
        part as f64 / all as f64
    }
}

impl fmt::Display for FuzzReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.right.made + self.wrong.made;
        writeln!(f, "{}: {all} answers, seed {}", self.domain, self.seed)?;
        writeln!(
            f,
            "{:<18}{:>7}{:>10}{:>10}{:>7}",
            "answer", "made", "accepted", "rejected", "asked"
        )?;
        for (name, t) in &self.by_mutation {
            writeln!(
                f,
                "{name:<18}{:>7}{:>10}{:>10}{:>7}",
                t.made, t.accepted, t.rejected, t.asked
            )?;
        }
        for mistake in &self.mistakes {
            let Mistake {
                mutation,
                truth,
                completion,
                why,
            } = mistake;
            writeln!(
                f,
                "MISTAKE ({mutation}) truth {truth:?}: {completion:?}: {why}"
            )?;
        }
        let percent = |x: f64| 100.0 * x;
        writeln!(
            f,
            "accepted wrong {:.2} %, rejected right {:.2} %, precision {:.2} %, recall {:.2} %",
            percent(self.accepted_wrong_rate()),
            percent(self.rejected_right_rate()),
            percent(self.precision()),
            percent(self.recall())
        )
    }
}

/// Domains that can be attacked.
pub const DOMAINS: &[&str] = &generate::DOMAINS;

/// Makes `count` answers of known truth for `domain` and scores them.
///
/// # Errors
/// If the domain is unknown, or has no generator.
pub fn fuzz(domain: &str, count: usize, seed: u64) -> Result<FuzzReport, Error> {
    let scorer = Scorer::of_domain(domain)?;
    let name = scorer.domain.name;
    let mut rng = Rng::new(seed);
    let mut report = FuzzReport {
        domain: name.into(),
        seed,
        right: Tally::default(),
        wrong: Tally::default(),
        by_mutation: Mutation::ALL
            .iter()
            .map(|m| (m.name(), Tally::default()))
            .collect(),
        mistakes: Vec::new(),
    };
    for _ in 0..count {
        let task = generate::task(name, &mut rng).ok_or_else(|| Error::Domain {
            name: name.into(),
            known: format!("with a generator: {}", DOMAINS.join(", ")),
        })?;
        let kind = Mutation::pick(&mut rng);
        let text = completion(kind, &task, &mut rng);
        let verdict = scorer.completion(&text, &task.truth)?;
        let accepted = verdict.reward.is_some_and(|r| r >= ACCEPT);
        let side = if kind.is_right() {
            &mut report.right
        } else {
            &mut report.wrong
        };
        let kind_at = Mutation::ALL.iter().position(|m| *m == kind).unwrap_or(0);
        for tally in [side, &mut report.by_mutation[kind_at].1] {
            tally.made += 1;
            match verdict.reward {
                None => tally.asked += 1,
                Some(_) if accepted => tally.accepted += 1,
                Some(_) => tally.rejected += 1,
            }
        }
        let mistaken = verdict.reward.is_some() && accepted != kind.is_right();
        if mistaken && report.mistakes.len() < MAX_EXAMPLES {
            report.mistakes.push(Mistake {
                mutation: kind.name(),
                truth: task.truth,
                completion: text,
                why: verdict.why,
            });
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_is_precise_and_finds_right_answers() {
        for domain in DOMAINS {
            let report = fuzz(domain, 2400, 20_250_701).expect("a domain with a generator");
            println!(
                "| {domain} | {:.2} | {:.2} | {:.1} |",
                100.0 * report.precision(),
                100.0 * report.recall(),
                100.0 * share(report.wrong.asked, report.wrong.made)
            );
            assert!(report.is_good(), "{report}");
        }
    }

    #[test]
    fn a_domain_that_accepts_too_much_would_be_seen() {
        // The generator of one domain against the rule of another: OCR takes near misses.
        let strict = fuzz("counting", 2000, 7).expect("a domain");
        assert!(
            strict.wrong.accepted == 0 && strict.mistakes.is_empty(),
            "{strict}"
        );
        assert_eq!(strict.right.made + strict.wrong.made, 2000);
        assert!(
            strict
                .by_mutation
                .iter()
                .all(|(_, t)| t.made == t.accepted + t.rejected + t.asked)
        );
        assert!(fuzz("open_ended", 10, 0).is_err() && fuzz("no domain", 10, 0).is_err());
    }

    #[test]
    fn the_same_seed_gives_the_same_report() {
        assert_eq!(fuzz("math", 500, 3).ok(), fuzz("math", 500, 3).ok());
        assert_ne!(fuzz("math", 500, 3).ok(), fuzz("math", 500, 4).ok());
    }
}
