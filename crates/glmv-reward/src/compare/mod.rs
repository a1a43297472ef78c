//! Comparisons: an answer and the truth in, a [`Ruling`] out. Each file is one way to compare and
//! knows nothing of domains; [`crate::domain`] says which of them a domain uses, and in what order.
//! None of them asks a model: what they cannot decide is [`Ruling::undecided`].

pub mod anls;
pub mod bbox;
pub mod choice;
pub mod date;
pub mod edit_distance;
pub mod expression;
pub mod genotype;
pub mod gui_computer;
pub mod gui_mobile;
pub mod gui_web;
pub mod hedge;
pub mod interval;
pub mod language;
pub mod list;
pub mod literal;
pub mod number;
pub mod point;
pub mod quantity;
pub mod range;
pub mod similarity;
pub mod string;
pub mod words;

use std::borrow::Cow;

/// What a comparison says.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// 0 (wrong) to 1 (right); `None` where the rule does not decide.
    pub score: Option<f64>,
    /// The reason, for people.
    pub why: Cow<'static, str>,
}

impl Ruling {
    /// The answer is right.
    pub fn right(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            score: Some(1.0),
            why: why.into(),
        }
    }

    /// The answer is wrong.
    pub fn wrong(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            score: Some(0.0),
            why: why.into(),
        }
    }

    /// A score between wrong and right; kept within 0 to 1.
    pub fn score(score: f64, why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            score: Some(score.clamp(0.0, 1.0)),
            why: why.into(),
        }
    }

    /// The rule does not decide.
    pub fn undecided(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            score: None,
            why: why.into(),
        }
    }
}
