//! Completions that run out of tokens: where the end of thinking is inserted, which tokens do not
//! count in the loss, and how often that happens. Pure functions on token ids; the engine inserts by
//! the same rule ([`glmv_sampling::ThinkBudget`]).
//!
//! Source: force answering, GLM-V paper (arXiv 2507.01006), §5.3: at the thinking budget `</think>`
//! is inserted (and `<answer>` in the style of GLM-4.1V), the answer is rewarded like any other.

use glmv_sampling::{PromptThink, ThinkBudget, ThinkIds};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::error::require;
use crate::objective::Truncated;

/// How many tokens a completion may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budgets {
    /// Tokens of reasoning, tags not counted.
    pub thinking: usize,
    /// Tokens after it.
    pub answer: usize,
}

impl Budgets {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<(), Error> {
        require(
            self.answer > 0,
            "rollout.answer_tokens",
            self.answer,
            "at least 1",
        )
    }

    /// The thinking budget that the engine is given: none where the end is not forced.
    pub fn forced_at(&self, handling: Truncated) -> Option<usize> {
        match handling {
            Truncated::Force => Some(self.thinking),
            Truncated::Mask | Truncated::Keep => None,
        }
    }

    /// The most tokens of a completion, tags (`<think>`, and what may be inserted) included. It is the
    /// same for every handling, so that runs can be compared.
    pub fn max_tokens(&self, ids: &ThinkIds) -> usize {
        let tags = usize::from(ids.open.is_some())
            + usize::from(ids.close.is_some())
            + ids.after_close.len();
        self.thinking + tags + self.answer
    }
}

/// Tokens to insert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insertion {
    /// Before this token of the completion; its length where they follow the last.
    pub at: usize,
    /// `</think>`, then what follows it in a forced end.
    pub tokens: Vec<u32>,
}

/// Where the end of thinking belongs in a completion whose thinking was not limited: `None` where it
/// closes within the budget, or does not think.
///
/// # Errors
/// [`Error::Sampling`] where there is no `</think>` to insert.
pub fn insertion(
    tokens: &[u32],
    prompt: PromptThink,
    ids: &ThinkIds,
    budget: usize,
) -> Result<Option<Insertion>, Error> {
    let mut state = ThinkBudget::new(ids.clone(), prompt, Some(budget))?;
    for at in 0..=tokens.len() {
        if state.forced().is_some() {
            let tokens = ids
                .close
                .into_iter()
                .chain(ids.after_close.iter().copied())
                .collect();
            return Ok(Some(Insertion { at, tokens }));
        }
        if let Some(&token) = tokens.get(at) {
            state.observe(token);
        }
    }
    Ok(None)
}

/// Which tokens of a finished completion were inserted by the engine, under the budget it ran with.
///
/// # Errors
/// [`Error::NotForced`] where the completion has another token than the budget forces,
/// [`Error::Sampling`] where there is a budget and no `</think>`.
pub fn inserted(
    tokens: &[u32],
    prompt: PromptThink,
    ids: &ThinkIds,
    budget: Option<usize>,
) -> Result<Vec<bool>, Error> {
    let mut state = ThinkBudget::new(ids.clone(), prompt, budget)?;
    let mut inserted = Vec::with_capacity(tokens.len());
    for (index, &found) in tokens.iter().enumerate() {
        let forced = state.forced();
        if let Some(expected) = forced.filter(|&expected| expected != found) {
            return Err(Error::NotForced {
                index,
                found,
                expected,
            });
        }
        inserted.push(forced.is_some());
        state.observe(found);
    }
    Ok(inserted)
}

/// Which tokens of a completion count in the loss: never those that were inserted, and none of a
/// truncated completion under [`Truncated::Mask`].
pub fn loss_mask(inserted: &[bool], is_truncated: bool, handling: Truncated) -> Vec<bool> {
    let is_masked = match handling {
        Truncated::Mask => is_truncated,
        Truncated::Force | Truncated::Keep => false,
    };
    inserted
        .iter()
        .map(|&was_inserted| !was_inserted && !is_masked)
        .collect()
}

/// How often completions run out of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndRates {
    /// Completions.
    pub completions: usize,
    /// Completions that did not end by themselves.
    pub truncated: usize,
    /// Completions whose thinking was ended for them.
    pub forced: usize,
    /// Completions of which no token counts.
    pub masked: usize,
    /// Tokens of all completions.
    pub tokens: usize,
    /// Tokens that were inserted.
    pub inserted_tokens: usize,
}

impl EndRates {
    /// Takes note of a completion; `mask` is its [`loss_mask`].
    pub fn take(&mut self, inserted: &[bool], is_truncated: bool, mask: &[bool]) {
        let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
        self.completions += 1;
        self.truncated += usize::from(is_truncated);
        self.forced += usize::from(count(inserted) > 0);
        self.masked += usize::from(count(mask) == 0);
        self.tokens += inserted.len();
        self.inserted_tokens += count(inserted);
    }

    /// Adds the counts of others.
    pub fn merge(&mut self, other: &Self) {
        self.completions += other.completions;
        self.truncated += other.truncated;
        self.forced += other.forced;
        self.masked += other.masked;
        self.tokens += other.tokens;
        self.inserted_tokens += other.inserted_tokens;
    }

    /// Share of completions that were truncated; `None` without any.
    pub fn truncated_rate(&self) -> Option<f64> {
        self.share(self.truncated)
    }

    /// Share of completions whose thinking was ended for them; `None` without any.
    pub fn forced_rate(&self) -> Option<f64> {
        self.share(self.forced)
    }

    fn share(&self, part: usize) -> Option<f64> {
        (self.completions > 0).then(|| part as f64 / self.completions as f64)
    }
}
