//! Tests of the verdict grammar.

use proptest::prelude::*;

use super::*;

fn binary(reply: &str) -> Result<Verdict, VerdictError> {
    VerdictForm::Binary.parse(reply)
}

fn score(reply: &str) -> Result<Verdict, VerdictError> {
    VerdictForm::Score.parse(reply)
}

#[test]
fn right_and_wrong_in_the_forms_judges_use() {
    let right = [
        "1",
        "1.0",
        "Verdict: 1",
        "They agree.\n\nVerdict: 1\n",
        "**Final verdict:** Correct.",
        "Judgement：`correct`",
        "<think>0 or 1?\nVerdict: 0</think>\n<|begin_of_box|>Correct<|end_of_box|>",
        "reason\n\\boxed{1.0}",
        "The ratio is\n11.0\n1.0",
        "> **Verdict: yes**",
        "# Answer: \"TRUE\"",
    ];
    for reply in right {
        assert_eq!(binary(reply), Ok(Verdict::Right), "{reply}");
    }
    let wrong = [
        "0",
        "Score: 0.0",
        "The ratio is 11.0\n0.0",
        "[0]",
        "Verdict: **Incorrect**",
        "No.",
    ];
    for reply in wrong {
        assert_eq!(binary(reply), Ok(Verdict::Wrong), "{reply}");
    }
}

#[test]
fn anything_else_is_an_error_and_says_why() {
    use VerdictError::*;
    let cases = [
        ("", Empty),
        (" \n\t", Empty),
        ("<think>1", Thinking),
        ("<think>1</think>  ", Empty),
        ("ratio 11.0 so 0.0", NoVerdict),
        ("the answer is 1.0", NoVerdict),
        ("0.5", NoVerdict),
        ("1 or 0", NoVerdict),
        ("11.0", NoVerdict),
        ("not correct", NoVerdict),
        ("Verdict: 1\nbut I am not sure", NoVerdict),
        ("Verdict: 1 0", NoVerdict),
        ("Verdict: 0\nVerdict: 1", Contradiction),
        (
            "Final verdict: correct\nhm\nVerdict: incorrect",
            Contradiction,
        ),
        ("{\"score\": 1}", NoVerdict),
        ("NaN", NoVerdict),
    ];
    for (reply, error) in cases {
        assert_eq!(binary(reply), Err(error), "{reply}");
    }
    assert_eq!(binary("Verdict: 1\nVerdict: 1"), Ok(Verdict::Right));
}

#[test]
fn scores() {
    let cases = [
        ("0.25", 0.25),
        ("Score: 1", 1.0),
        ("why\n{\"score\": 0.75, \"address\": 0.5}", 0.75),
        ("```json\n{\"score\": 0.0}\n```", 0.0),
        ("{\n \"score\": 1.0\n}", 1.0),
        ("<think>0.9</think>Score: 0.1.", 0.1),
    ];
    for (reply, value) in cases {
        assert_eq!(score(reply), Ok(Verdict::Score(value)), "{reply}");
    }
    for reply in [
        "NaN",
        "inf",
        "-0.5",
        "1e-3",
        "half",
        "{\"score\": \"0.5\"}",
        "{\"points\": 1}",
    ] {
        assert_eq!(score(reply), Err(VerdictError::NoVerdict), "{reply}");
    }
    for reply in ["1.01", "{\"score\": 7}", "{\"score\": -1}", "Score: 85"] {
        assert!(
            matches!(score(reply), Err(VerdictError::OutOfRange(_))),
            "{reply}"
        );
    }
}

#[test]
fn the_instruction_asks_for_what_parses() {
    for (form, lines) in [
        (VerdictForm::Binary, ["Verdict: 1", "Verdict: 0"]),
        (VerdictForm::Score, ["Score: 0.5", "Score: 1"]),
    ] {
        for line in lines {
            assert!(form.parse(line).is_ok(), "{line}");
            let (label, _) = line.split_once(' ').expect("a space");
            assert!(form.instruction().contains(label), "{label}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics_and_scores_are_in_range(reply in "\\PC{0,80}|[01.*: \n{}\"a-z<>/|_\\\\]{0,60}") {
        for form in [VerdictForm::Binary, VerdictForm::Score] {
            if let Ok(verdict) = form.parse(&reply) {
                prop_assert!(verdict.has_form(form));
                prop_assert!((0.0..=1.0).contains(&verdict.reward()));
            }
        }
    }

    #[test]
    fn a_sentence_around_a_verdict_is_never_one(
        before in "[a-z]{3,9}", value in "0|1|0\\.0|1\\.0", after in "[a-z]{3,9}"
    ) {
        let before_it = format!("{before} {value}");
        let after_it = format!("{value} {after}");
        prop_assert!(binary(&before_it).is_err(), "{}", before_it);
        prop_assert!(binary(&after_it).is_err(), "{}", after_it);
    }
}
