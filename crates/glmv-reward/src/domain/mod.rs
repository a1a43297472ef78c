//! Domains as a table: which extraction, which comparisons in which order, which parameters, and
//! what to ask a model where no rule decides. A new domain is a row in [`table`].

mod params;
mod prompts;
mod steps;
mod table;

pub use params::Params;
pub use steps::Step;
pub use table::DOMAINS;

use crate::Error;
use crate::compare::Ruling;
use crate::grammar::{Boxed, Think};

/// How the answer is taken out of a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extraction {
    /// The grammar of [`crate::grammar`].
    Grammar(Think, Boxed),
    /// The whole text is the answer.
    Whole,
}

/// One row of the table.
#[derive(Debug)]
pub struct Domain {
    /// Its name in configs and case files.
    pub name: &'static str,
    /// Other names it goes by.
    pub aliases: &'static [&'static str],
    /// What it is about.
    pub about: &'static str,
    /// How the answer is found.
    pub extraction: Extraction,
    /// Comparisons, in order; the first that decides is the ruling.
    pub steps: &'static [Step],
    /// Parameters it has.
    pub keys: &'static [&'static str],
    /// Their values.
    pub params: Params,
    /// What to ask a model where no step decides; `{question}`, `{predict}`, `{label}`.
    pub prompt: Option<&'static str>,
}

/// An answer with what it is compared with; all trimmed.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The extracted answer.
    pub answer: &'a str,
    /// The true answer.
    pub truth: &'a str,
}

impl Domain {
    /// The domain of a name or alias.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(name: &str) -> Result<&'static Self, Error> {
        let hit = |d: &&Self| d.name == name || d.aliases.contains(&name);
        DOMAINS.iter().find(hit).ok_or_else(|| Error::Domain {
            name: name.into(),
            known: DOMAINS
                .iter()
                .map(|d| d.name)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// Runs the steps until one decides.
    ///
    /// # Errors
    /// If the truth is not what the domain needs.
    pub fn rule(&self, answer: &str, truth: &str, params: &Params) -> Result<Ruling, Error> {
        let bad = |reason: String| Error::GroundTruth {
            domain: self.name,
            reason,
        };
        if crate::grammar::is_too_long(truth) {
            return Err(bad("it is longer than any answer may be".into()));
        }
        let item = Item {
            answer: answer.trim(),
            truth: truth.trim(),
        };
        for step in self.steps {
            if let Some(ruling) = step.run(item, params).map_err(bad)? {
                return Ok(ruling);
            }
        }
        Ok(match self.prompt {
            Some(_) => Ruling::undecided("no rule decides: a model must be asked"),
            None => Ruling::wrong("no rule accepts it"),
        })
    }

    /// True where the judge grades from 0 to 1; elsewhere it says right or wrong.
    pub fn is_graded(&self) -> bool {
        self.prompt
            .is_some_and(|p| p == prompts::PLACE || p == prompts::OPEN)
    }

    /// The question for the judge; `None` for a domain that rules alone decide.
    ///
    /// The texts are inserted as they are; a brace in one of them is not replaced again.
    pub fn judge_prompt(&self, question: &str, answer: &str, truth: &str) -> Option<String> {
        let template = self.prompt?;
        let mut out = String::with_capacity(template.len() + question.len() + answer.len());
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let places = [
                ("{question}", question),
                ("{predict}", answer),
                ("{label}", truth),
            ];
            match places.iter().find(|(place, _)| rest.starts_with(place)) {
                Some((place, text)) => {
                    out.push_str(text);
                    rest = &rest[place.len()..];
                }
                None => {
                    out.push('{');
                    rest = &rest[1..];
                }
            }
        }
        out.push_str(rest);
        Some(out)
    }
}

#[cfg(test)]
mod tests;
