//! From a completion to a [`Verdict`]: grammar, style, comparison, composition.

use crate::compare::language;
use crate::config::Weights;
use crate::domain::{Domain, Extraction, Params};
use crate::grammar::{self, Fault};
use crate::{Error, Parts, Verdict};

/// Everything that decides the reward of one data source.
#[derive(Debug, Clone)]
pub struct Scorer {
    /// The domain.
    pub domain: &'static Domain,
    /// Its parameters.
    pub params: Params,
    /// How the answer is found.
    pub extraction: Extraction,
    /// How much each part counts.
    pub weights: Weights,
    /// The reward where the format or the style fails.
    pub min_reward: f64,
    /// Language mixing and repetition are looked for.
    pub check_style: bool,
}

impl Scorer {
    /// The scorer of a domain with its own parameters.
    ///
    /// # Errors
    /// If there is no such domain.
    pub fn of_domain(name: &str) -> Result<Self, Error> {
        let domain = Domain::find(name)?;
        Ok(Self {
            domain,
            params: domain.params,
            extraction: domain.extraction,
            weights: Weights::default(),
            min_reward: 0.0,
            check_style: true,
        })
    }

    /// Judges a whole completion. The truth may be a bare answer or a completion itself.
    ///
    /// # Errors
    /// If the truth is not what the domain needs; never because of the completion.
    pub fn completion(&self, completion: &str, truth: &str) -> Result<Verdict, Error> {
        let truth = grammar::truth_answer(truth).ok_or_else(|| Error::GroundTruth {
            domain: self.domain.name,
            reason: "its box is not closed".into(),
        })?;
        let (think, answer, extracted) = match self.extraction {
            Extraction::Whole => ("", completion, completion),
            Extraction::Grammar(think, boxed) => match grammar::read(completion, think, boxed) {
                Ok(found) => (
                    found.think,
                    found.answer,
                    found.boxed.unwrap_or(found.answer),
                ),
                Err(fault) => return Ok(self.malformed(fault)),
            },
        };
        if self.extraction == Extraction::Whole {
            let tail = completion
                .rsplit_once("</think>")
                .map_or(completion, |(_, tail)| tail);
            if grammar::is_too_long(tail) {
                return Ok(self.malformed(Fault::TooLong));
            }
        }
        let fault = if self.check_style {
            self.style_fault(think, answer, truth)
        } else {
            None
        };
        self.ruled(extracted, truth, fault)
    }

    /// Judges an answer that was extracted already: neither grammar nor style are looked at.
    ///
    /// # Errors
    /// If the truth is not what the domain needs.
    pub fn answer(&self, answer: &str, truth: &str) -> Result<Verdict, Error> {
        if grammar::is_too_long(answer) {
            return Ok(self.malformed(Fault::TooLong));
        }
        let truth = if truth.contains(grammar::BEGIN_BOX) {
            grammar::truth_answer(truth).unwrap_or(truth)
        } else {
            truth
        };
        self.ruled(answer.trim(), truth, None)
    }

    /// Completes a verdict that waits for a model's score, 0 to 1.
    #[must_use]
    pub fn settle(&self, mut verdict: Verdict, score: f64, why: &str) -> Verdict {
        let score = if score.is_finite() {
            score.clamp(0.0, 1.0)
        } else {
            return verdict;
        };
        if verdict.needs_judge {
            verdict.parts.accuracy = Some(score);
            verdict.needs_judge = false;
            verdict.reward = self.composed(&verdict.parts);
            verdict.why = why.into();
        }
        verdict
    }

    /// What to ask the judge about a verdict that needs one.
    pub fn judge_prompt(&self, question: &str, answer: &str, truth: &str) -> Option<String> {
        let truth = grammar::truth_answer(truth).unwrap_or(truth);
        self.domain.judge_prompt(question, answer, truth)
    }

    fn ruled(&self, answer: &str, truth: &str, style: Option<&str>) -> Result<Verdict, Error> {
        let ruling = self.domain.rule(answer, truth, &self.params)?;
        let faulty = style.is_some();
        let parts = Parts {
            accuracy: ruling.score,
            format: 1.0,
            style: if faulty { 0.0 } else { 1.0 },
        };
        let reward = if faulty {
            Some(self.min_reward)
        } else {
            self.composed(&parts)
        };
        Ok(Verdict {
            reward,
            parts,
            format_ok: true,
            extracted: Some(answer.to_owned()),
            why: style.map_or_else(|| ruling.why.into_owned(), str::to_owned),
            needs_judge: reward.is_none(),
        })
    }

    /// The weighted mean; `None` while the accuracy counts and is not known.
    fn composed(&self, parts: &Parts) -> Option<f64> {
        let Weights {
            accuracy,
            format,
            style,
        } = self.weights;
        let known = match parts.accuracy {
            Some(score) => accuracy * score,
            None if accuracy == 0.0 => 0.0,
            None => return None,
        };
        Some((known + format * parts.format + style * parts.style) / (accuracy + format + style))
    }

    fn malformed(&self, fault: Fault) -> Verdict {
        Verdict {
            reward: Some(self.min_reward),
            parts: Parts {
                accuracy: Some(0.0),
                format: 0.0,
                style: 1.0,
            },
            format_ok: false,
            extracted: None,
            why: fault.to_string(),
            needs_judge: false,
        }
    }

    /// What is wrong with the style; a truth with the same property is no fault of the answer.
    fn style_fault(&self, think: &str, answer: &str, truth: &str) -> Option<&'static str> {
        if self.domain.name == "language_mix" {
            return None;
        }
        if language::mixes_across(&[think, answer]) && !language::mixes(truth) {
            return Some("mixes long Chinese and long English paragraphs");
        }
        if language::repeats(think) {
            return Some("repeats a large block while thinking");
        }
        (language::repeats(answer) && !language::repeats(truth))
            .then_some("repeats a large block in the answer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(think: &str, answer: &str) -> String {
        format!("<think>{think}</think><|begin_of_box|>{answer}<|end_of_box|>")
    }

    #[test]
    fn parts_make_the_reward() {
        let mut scorer = Scorer::of_domain("math").expect("a domain");
        let right = scorer
            .completion(&completion("t", "1/2"), "0.5")
            .expect("a verdict");
        assert_eq!(
            (right.reward, right.format_ok, right.extracted.as_deref()),
            (Some(1.0), true, Some("1/2"))
        );
        scorer.weights = Weights {
            accuracy: 3.0,
            format: 1.0,
            style: 0.0,
        };
        let wrong = scorer
            .completion(&completion("t", "3"), "0.5")
            .expect("a verdict");
        assert_eq!(wrong.reward, Some(0.25));
        scorer.min_reward = -1.0;
        let faulty = scorer.completion("3", "0.5").expect("a verdict");
        assert_eq!(
            (faulty.reward, faulty.format_ok, faulty.extracted),
            (Some(-1.0), false, None)
        );
        assert!(faulty.why.contains("<think>"));
    }

    #[test]
    fn a_judge_settles_what_rules_do_not() {
        let scorer = Scorer::of_domain("vqa").expect("a domain");
        let open = scorer
            .completion(&completion("t", "a feline"), "cat")
            .expect("a verdict");
        assert!(open.needs_judge && open.reward.is_none());
        let prompt = scorer
            .judge_prompt("What is it?", "a feline", "cat")
            .expect("a prompt");
        assert!(prompt.contains("a feline") && prompt.contains("What is it?"));
        let failed = scorer.settle(open.clone(), f64::NAN, "garbage");
        assert!(
            failed.needs_judge && failed.reward.is_none(),
            "garbage is no score"
        );
        assert_eq!(scorer.settle(open, 1.0, "judge").reward, Some(1.0));
        let decided = scorer
            .completion(&completion("t", ""), "cat")
            .expect("a verdict");
        assert_eq!(
            scorer.settle(decided, 1.0, "judge").reward,
            Some(0.0),
            "rules stand"
        );
    }

    #[test]
    fn style_costs_the_reward() {
        let scorer = Scorer::of_domain("math").expect("a domain");
        let zh: String = "中".repeat(60);
        let mixed = format!("{zh}\n\n{}", "word ".repeat(210));
        for (think, why) in [
            (mixed, "mixes"),
            (
                "I must check this again, slowly and with care, now. ".repeat(12),
                "repeats",
            ),
        ] {
            let verdict = scorer
                .completion(&completion(&think, "42"), "42")
                .expect("a verdict");
            assert_eq!((verdict.reward, verdict.parts.style), (Some(0.0), 0.0));
            assert!(
                verdict.why.contains(why) && verdict.format_ok,
                "{}",
                verdict.why
            );
        }
        let ocr = Scorer::of_domain("ocr").expect("a domain");
        let table = "cell ".repeat(200);
        let read = ocr
            .completion(&completion("t", &table), &table)
            .expect("a verdict");
        assert_eq!(
            read.reward,
            Some(1.0),
            "what is repeated on the page may be repeated"
        );
    }

    #[test]
    fn a_box_in_an_open_answer_costs_the_reward() {
        let scorer = Scorer::of_domain("open_ended").expect("a domain");
        let boxed = scorer
            .completion(&completion("t", "poem"), "")
            .expect("a verdict");
        assert_eq!((boxed.reward, boxed.format_ok), (Some(0.0), false));
        let plain = scorer
            .completion("<think>t</think>A poem.", "")
            .expect("a verdict");
        assert!(plain.needs_judge);
    }
}
