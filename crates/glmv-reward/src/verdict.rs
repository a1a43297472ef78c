//! What the reward system says about one answer.

use serde::Serialize;

/// The parts of a reward, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Parts {
    /// How right the answer is; `None` until a model was asked.
    pub accuracy: Option<f64>,
    /// 1 where the completion keeps its grammar.
    pub format: f64,
    /// 1 where the text neither mixes languages nor repeats large blocks.
    pub style: f64,
}

/// The judgement of one answer. An error is never a verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// The reward; `None` while a model must be asked.
    pub reward: Option<f64>,
    /// What it was made of.
    pub parts: Parts,
    /// The completion keeps its grammar.
    pub format_ok: bool,
    /// The answer that was compared; `None` where the grammar does not give one.
    pub extracted: Option<String>,
    /// The reason, for people.
    pub why: String,
    /// No rule decides: ask a model, then [`crate::Scorer::settle`].
    pub needs_judge: bool,
}
