//! The thinking budget: the engine shows every token and learns when to force `</think>`.

use crate::Error;

/// What the rendered prompt leaves the model to do about its reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PromptThink {
    /// Nothing is open: the model writes `<think>` itself, or answers directly.
    #[default]
    Undecided,
    /// The prompt ends inside of a `<think>` block: the first token is reasoning.
    Open,
    /// The prompt ends with a closed (empty) block: the first token is answer.
    Closed,
}

impl PromptThink {
    /// Reads the state off a rendered prompt: the last tag after its last `<|assistant|>` decides.
    pub fn of_prompt(prompt: &str) -> Self {
        let Some((_, turn)) = prompt.rsplit_once("<|assistant|>") else {
            return Self::Undecided;
        };
        match (turn.rfind("<think>"), turn.rfind("</think>")) {
            (Some(open), Some(close)) if open > close => Self::Open,
            (Some(_), None) => Self::Open,
            (_, Some(_)) => Self::Closed,
            (None, None) => Self::Undecided,
        }
    }
}

/// Token ids of the tags, from the tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ThinkIds {
    /// Id of `<think>`.
    pub open: Option<u32>,
    /// Id of `</think>`.
    pub close: Option<u32>,
    /// Ids forced after `</think>`: empty for GLM-4.5V; `<answer>` for GLM-4.1V, whose answers are
    /// tagged (GLM-V repository, the two-pass script of issue 22).
    pub after_close: Vec<u32>,
}

/// Counts the tokens of reasoning and forces the end of the block when the budget is spent.
///
/// Per step the engine asks [`ThinkBudget::forced`]; it emits that token, or samples one where the
/// answer is `None`; then it shows the token to [`ThinkBudget::observe`].
/// Source: GLM-V paper (arXiv 2507.01006), "force answering".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThinkBudget {
    ids: ThinkIds,
    budget: Option<usize>,
    phase: Phase,
    spent: usize,
    was_forced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No block has been opened yet.
    Waiting,
    /// Inside of the block.
    Thinking,
    /// `</think>` was forced; this many of `after_close` have been emitted.
    Forcing(usize),
    /// The block is closed; a later `<think>` is ordinary text.
    Answering,
}

impl ThinkBudget {
    /// A budget of `budget` tokens of reasoning (tags not counted; 0 closes the block at once,
    /// `None` never does).
    ///
    /// # Errors
    /// [`Error::NoCloseToken`] if there is a budget and no `</think>` to force.
    pub fn new(ids: ThinkIds, prompt: PromptThink, budget: Option<usize>) -> Result<Self, Error> {
        if let (Some(budget), None) = (budget, ids.close) {
            return Err(Error::NoCloseToken { budget });
        }
        let phase = match prompt {
            PromptThink::Undecided => Phase::Waiting,
            PromptThink::Open => Phase::Thinking,
            PromptThink::Closed => Phase::Answering,
        };
        Ok(Self {
            ids,
            budget,
            phase,
            spent: 0,
            was_forced: false,
        })
    }

    /// The token that must come next, or `None` where the engine samples.
    pub fn forced(&self) -> Option<u32> {
        match self.phase {
            Phase::Thinking if self.budget.is_some_and(|budget| self.spent >= budget) => {
                self.ids.close
            }
            Phase::Forcing(done) => self.ids.after_close.get(done).copied(),
            Phase::Waiting | Phase::Thinking | Phase::Answering => None,
        }
    }

    /// Takes note of the token that was emitted, sampled or forced.
    pub fn observe(&mut self, token: u32) {
        let forced = self.forced() == Some(token);
        self.phase = match self.phase {
            Phase::Waiting if Some(token) == self.ids.open => Phase::Thinking,
            Phase::Thinking if Some(token) == self.ids.close => {
                self.was_forced = forced;
                if forced {
                    self.after_close(0)
                } else {
                    Phase::Answering
                }
            }
            Phase::Thinking => {
                self.spent += 1;
                Phase::Thinking
            }
            Phase::Forcing(done) if forced => self.after_close(done + 1),
            phase @ (Phase::Waiting | Phase::Forcing(_) | Phase::Answering) => phase,
        };
    }

    fn after_close(&self, done: usize) -> Phase {
        if done < self.ids.after_close.len() {
            Phase::Forcing(done)
        } else {
            Phase::Answering
        }
    }

    /// Tokens of reasoning so far, tags not counted.
    pub fn spent(&self) -> usize {
        self.spent
    }

    /// True once `</think>` was forced. Trainers leave forced tokens out of the loss.
    pub fn was_forced(&self) -> bool {
        self.was_forced
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: u32 = 50;
    const CLOSE: u32 = 51;

    fn ids(after_close: &[u32]) -> ThinkIds {
        ThinkIds {
            open: Some(OPEN),
            close: Some(CLOSE),
            after_close: after_close.to_vec(),
        }
    }

    /// Emits forced tokens, else the next of `wanted`, as an engine does.
    fn run(mut budget: ThinkBudget, wanted: &[u32]) -> (Vec<u32>, ThinkBudget) {
        let mut out = Vec::new();
        let mut wanted = wanted.iter();
        loop {
            let Some(token) = budget.forced().or_else(|| wanted.next().copied()) else {
                return (out, budget);
            };
            budget.observe(token);
            out.push(token);
        }
    }

    fn new(after: &[u32], prompt: PromptThink, budget: Option<usize>) -> ThinkBudget {
        ThinkBudget::new(ids(after), prompt, budget).expect("has a close token")
    }

    #[test]
    fn prompts_are_read() {
        use PromptThink::{Closed, Open, Undecided};
        let cases = [
            ("<|user|>\nhi<|assistant|>\n", Undecided),
            ("<|user|>\nhi<|assistant|>\n<think></think>\n", Closed),
            ("<|user|>\nhi<|assistant|>\n<think>", Open),
            ("<|user|>\nhi<|assistant|>\n<think>so far", Open),
            (
                "<|assistant|>\n<think></think>\nyes<|user|>\nhi<|assistant|>\n",
                Undecided,
            ),
            ("<|user|>\nwrite <think> please<|assistant|>\n", Undecided),
            ("plain text about <think>", Undecided),
            ("", Undecided),
        ];
        for (prompt, want) in cases {
            assert_eq!(PromptThink::of_prompt(prompt), want, "{prompt:?}");
        }
    }

    #[test]
    fn budget_forces_the_close_then_leaves_the_answer_alone() {
        let (out, end) = run(
            new(&[], PromptThink::Undecided, Some(2)),
            &[OPEN, 1, 2, 3, 4, OPEN, 5],
        );
        assert_eq!(out, [OPEN, 1, 2, CLOSE, 3, 4, OPEN, 5]);
        assert!(end.was_forced() && end.spent() == 2);
    }

    #[test]
    fn answer_tag_follows_only_a_forced_close() {
        let (out, _) = run(new(&[7, 8], PromptThink::Open, Some(1)), &[1, 2, 3]);
        assert_eq!(out, [1, CLOSE, 7, 8, 2, 3]);
        let (out, end) = run(new(&[7, 8], PromptThink::Open, Some(9)), &[1, CLOSE, 2]);
        assert_eq!(out, [1, CLOSE, 2]);
        assert!(!end.was_forced());
    }

    #[test]
    fn no_budget_closed_prompt_or_no_block_force_nothing() {
        for budget in [
            new(&[7], PromptThink::Open, None),
            new(&[7], PromptThink::Closed, Some(0)),
            new(&[7], PromptThink::Undecided, Some(0)),
        ] {
            assert_eq!(run(budget, &[1, 2, 3]).0, [1, 2, 3]);
        }
        assert_eq!(
            run(new(&[], PromptThink::Undecided, Some(0)), &[OPEN, 1]).0,
            [OPEN, CLOSE, 1]
        );
    }

    #[test]
    fn budget_without_a_close_token_is_an_error() {
        let ids = ThinkIds {
            close: None,
            ..ids(&[])
        };
        let error = ThinkBudget::new(ids.clone(), PromptThink::Open, Some(4));
        assert_eq!(error, Err(Error::NoCloseToken { budget: 4 }));
        assert!(ThinkBudget::new(ids, PromptThink::Open, None).is_ok());
    }

    proptest! {
        /// Never more than the budget between the tags, and every wanted token comes out.
        #[test]
        fn budget_holds(wanted in prop::collection::vec(0_u32..20, 0..60), budget in 0_usize..30) {
            let (out, _) = run(new(&[], PromptThink::Open, Some(budget)), &wanted);
            let close = out.iter().position(|&t| t == CLOSE);
            prop_assert_eq!(close, (wanted.len() >= budget).then_some(budget));
            let rest: Vec<u32> = out.into_iter().filter(|&t| t != CLOSE).collect();
            prop_assert_eq!(rest, wanted);
        }
    }
}
