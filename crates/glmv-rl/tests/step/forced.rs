//! Where the end of thinking is inserted, and what does not count.

use glmv_rl::Error;
use glmv_rl::forced::{Budgets, EndRates, inserted, insertion, loss_mask};
use glmv_rl::objective::Truncated;
use glmv_sampling::{PromptThink, ThinkBudget, ThinkIds};
use proptest::prelude::*;

const OPEN: u32 = 50;
const CLOSE: u32 = 51;
const ANSWER: u32 = 52;

fn ids(after_close: &[u32]) -> ThinkIds {
    ThinkIds {
        open: Some(OPEN),
        close: Some(CLOSE),
        after_close: after_close.to_vec(),
    }
}

#[test]
fn the_end_goes_where_the_budget_is_spent() {
    let at = |tokens: &[u32], prompt, after: &[u32], budget| {
        let found = insertion(tokens, prompt, &ids(after), budget).expect("a close token");
        found.map(|i| (i.at, i.tokens))
    };
    use PromptThink::{Closed, Open, Undecided};
    assert_eq!(
        at(&[OPEN, 1, 2, 3], Undecided, &[], 2),
        Some((3, vec![CLOSE]))
    );
    assert_eq!(
        at(&[1, 2, 3], Open, &[ANSWER], 2),
        Some((2, vec![CLOSE, ANSWER]))
    );
    assert_eq!(
        at(&[1, 2], Open, &[], 2),
        Some((2, vec![CLOSE])),
        "after the last token"
    );
    assert_eq!(at(&[1], Open, &[], 2), None, "the budget is not spent");
    assert_eq!(
        at(&[1, CLOSE, 2, 3, 4], Open, &[], 2),
        None,
        "closed by itself"
    );
    assert_eq!(at(&[], Open, &[], 0), Some((0, vec![CLOSE])));
    assert_eq!(at(&[1, 2, 3], Closed, &[], 0), None);
    assert_eq!(at(&[1, 2, 3], Undecided, &[], 0), None, "it does not think");
    let none = ThinkIds {
        close: None,
        ..ids(&[])
    };
    assert!(matches!(
        insertion(&[1], Open, &none, 1),
        Err(Error::Sampling(_))
    ));
}

#[test]
fn inserted_tokens_do_not_count() {
    let tokens = [OPEN, 1, 2, CLOSE, ANSWER, 3, CLOSE, 4];
    let ids = ids(&[ANSWER]);
    let flags = inserted(&tokens, PromptThink::Undecided, &ids, Some(2)).expect("as forced");
    assert_eq!(
        flags,
        [false, false, false, true, true, false, false, false]
    );
    let mask = loss_mask(&flags, false, Truncated::Force);
    assert_eq!(mask, [true, true, true, false, false, true, true, true]);
    // The same tokens under a larger budget were all the model's own.
    let flags = inserted(&tokens, PromptThink::Undecided, &ids, Some(3)).expect("nothing forced");
    assert!(!flags.contains(&true));
    assert_eq!(
        flags,
        inserted(&tokens, PromptThink::Undecided, &ids, None).expect("no budget")
    );
    let error = inserted(&[OPEN, 1, 2, 9], PromptThink::Undecided, &ids, Some(2));
    assert_eq!(
        error,
        Err(Error::NotForced {
            index: 3,
            found: 9,
            expected: CLOSE
        })
    );
}

#[test]
fn truncated_completions_are_kept_or_masked() {
    let flags = [false, true, false];
    for handling in [Truncated::Force, Truncated::Keep] {
        for is_truncated in [false, true] {
            assert_eq!(
                loss_mask(&flags, is_truncated, handling),
                [true, false, true]
            );
        }
    }
    assert_eq!(loss_mask(&flags, true, Truncated::Mask), [false; 3]);
    assert_eq!(
        loss_mask(&flags, false, Truncated::Mask),
        [true, false, true]
    );
    assert!(loss_mask(&[], true, Truncated::Mask).is_empty());
}

#[test]
fn budgets_and_rates_are_exact() {
    let budgets = Budgets {
        thinking: 10,
        answer: 5,
    };
    assert_eq!(budgets.forced_at(Truncated::Force), Some(10));
    assert_eq!(budgets.forced_at(Truncated::Mask), None);
    assert_eq!(budgets.max_tokens(&ids(&[ANSWER])), 10 + 3 + 5);
    assert!(
        Budgets {
            answer: 0,
            ..budgets
        }
        .check()
        .is_err()
    );
    let mut rates = EndRates::default();
    assert_eq!(rates.forced_rate(), None);
    rates.take(&[false, true, false], false, &[true, false, true]);
    let mut others = EndRates::default();
    others.take(&[false, false], true, &[false, false]);
    others.take(&[false], false, &[true]);
    rates.merge(&others);
    let want = EndRates {
        completions: 3,
        truncated: 1,
        forced: 1,
        masked: 1,
        tokens: 6,
        inserted_tokens: 1,
    };
    assert_eq!(rates, want);
    assert_eq!(
        (rates.forced_rate(), rates.truncated_rate()),
        (Some(1.0 / 3.0), Some(1.0 / 3.0))
    );
}

proptest! {
    /// An engine that asks the budget at every token inserts where [`insertion`] says, and
    /// [`inserted`] finds just that.
    #[test]
    fn engine_and_functions_agree(
        wanted in prop::collection::vec(prop_oneof![0_u32..9, Just(OPEN), Just(CLOSE)], 0..40),
        budget in 0_usize..20,
        prompt in prop_oneof![
            Just(PromptThink::Open), Just(PromptThink::Closed), Just(PromptThink::Undecided)
        ],
    ) {
        let ids = ids(&[ANSWER]);
        let mut state = ThinkBudget::new(ids.clone(), prompt, Some(budget)).expect("a close token");
        let (mut tokens, mut flags) = (Vec::new(), Vec::new());
        let mut own = wanted.iter().copied();
        loop {
            let forced = state.forced();
            let Some(token) = forced.or_else(|| own.next()) else { break };
            state.observe(token);
            tokens.push(token);
            flags.push(forced.is_some());
        }
        prop_assert_eq!(&inserted(&tokens, prompt, &ids, Some(budget)).expect("as forced"), &flags);
        let place = insertion(&wanted, prompt, &ids, budget).expect("a close token");
        prop_assert_eq!(place.map(|p| p.at), flags.iter().position(|&f| f));
    }
}
