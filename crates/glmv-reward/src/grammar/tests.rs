use super::*;
use proptest::prelude::*;

fn boxed(text: &str) -> Result<&str, Fault> {
    read(text, Think::Required, Boxed::One).map(|c| c.boxed.expect("a box was asked for"))
}

#[test]
fn both_styles_are_read() {
    for text in [
        "<think>t</think><answer>It is <|begin_of_box|>42<|end_of_box|>.</answer>",
        "<think>t</think>\nIt is <|begin_of_box|> 42 <|end_of_box|>.",
        "\n<think>\nt\n</think>\n\n<answer>\n<|begin_of_box|>42<|end_of_box|>\n</answer>\n",
        "<THINK>t</THINK><Answer><|begin_of_box|>42<|end_of_box|></Answer>",
        "<think></think><|begin_of_box|>42<|end_of_box|>",
        "<think>is 1 < 2? \\boxed{7}</think><|begin_of_box|>42<|end_of_box|>",
    ] {
        assert_eq!(boxed(text), Ok("42"), "{text}");
    }
    let whole = read(
        "<think>why</think> So <|begin_of_box|>x<|end_of_box|>",
        Think::Required,
        Boxed::One,
    );
    let whole = whole.expect("well formed");
    assert_eq!((whole.think, whole.boxed), ("why", Some("x")));
}

#[test]
fn every_fault_is_named() {
    let cases = [
        ("<|begin_of_box|>42<|end_of_box|>", Fault::NoThink),
        ("t</think><|begin_of_box|>42<|end_of_box|>", Fault::NoThink),
        (
            "<think>t <|begin_of_box|>42<|end_of_box|>",
            Fault::UnclosedThink,
        ),
        (
            "<think>a<think>b</think><|begin_of_box|>42<|end_of_box|>",
            Fault::ThinkTags,
        ),
        (
            "<think>a</think></think><|begin_of_box|>42<|end_of_box|>",
            Fault::ThinkTags,
        ),
        (
            "</think><think><|begin_of_box|>42<|end_of_box|>",
            Fault::ThinkTags,
        ),
        (
            "Sure: <think>t</think><|begin_of_box|>42<|end_of_box|>",
            Fault::TextBefore,
        ),
        (
            "<think>t</think><answer><|begin_of_box|>42<|end_of_box|>",
            Fault::UnclosedAnswer,
        ),
        (
            "<think>t</think><|begin_of_box|>42<|end_of_box|></answer>",
            Fault::UnclosedAnswer,
        ),
        (
            "<think>t</think><answer><answer><|begin_of_box|>42<|end_of_box|></answer>",
            Fault::AnswerTags,
        ),
        (
            "<think>t<answer></think><|begin_of_box|>42<|end_of_box|></answer>",
            Fault::AnswerTags,
        ),
        (
            "<think>t</think>so <answer><|begin_of_box|>42<|end_of_box|></answer>",
            Fault::TextAround,
        ),
        (
            "<think>t</think><answer><|begin_of_box|>42<|end_of_box|></answer> bye",
            Fault::TextAround,
        ),
        ("<think>t</think><answer></answer>", Fault::EmptyAnswer),
        ("<think>t</think>", Fault::EmptyAnswer),
        ("<think>t</think>42", Fault::NoBox),
        ("<think>t</think>\\boxed{42}", Fault::LatexBox),
        (
            "<think>t</think>\\boxed{1} <|begin_of_box|>2<|end_of_box|>",
            Fault::LatexBox,
        ),
        ("<think>t</think><|begin_of_box|>42", Fault::UnclosedBox),
        (
            "<think>t</think><answer><|begin_of_box|>42</answer><|end_of_box|>",
            Fault::TextAround,
        ),
        ("<think>t</think>42<|end_of_box|>", Fault::StrayBoxEnd),
        (
            "<think>t</think><|begin_of_box|>4<|begin_of_box|>2<|end_of_box|><|end_of_box|>",
            Fault::NestedBox,
        ),
        (
            "<think>t</think><|begin_of_box|>1<|end_of_box|><|begin_of_box|>2<|end_of_box|>",
            Fault::SeveralBoxes,
        ),
        (
            "<think><|begin_of_box|>1<|end_of_box|></think><|begin_of_box|>2<|end_of_box|>",
            Fault::BoxInThink,
        ),
        ("", Fault::NoThink),
    ];
    for (text, fault) in cases {
        assert_eq!(boxed(text), Err(fault), "{text}");
    }
    let long = format!(
        "<think>t</think><|begin_of_box|>{}<|end_of_box|>",
        "长".repeat(20_001)
    );
    assert_eq!(boxed(&long), Err(Fault::TooLong));
    let thought = format!(
        "<think>{}</think><|begin_of_box|>1<|end_of_box|>",
        "想 ".repeat(30_000)
    );
    assert_eq!(boxed(&thought), Ok("1"), "only the answer has a limit");
}

#[test]
fn an_answer_that_cannot_be_verified_has_no_box() {
    let open = |text| read(text, Think::Required, Boxed::None);
    assert!(open("<think>t</think>A poem.").is_ok_and(|c| c.answer == "A poem."));
    let faulty = open("<think>t</think>A <|begin_of_box|>poem<|end_of_box|>.");
    assert_eq!(faulty.map(|c| c.answer), Err(Fault::UnexpectedBox));
}

#[test]
fn the_prompt_may_have_opened_the_block_or_there_may_be_none() {
    let text = "t</think><|begin_of_box|>42<|end_of_box|>";
    assert!(read(text, Think::Opened, Boxed::One).is_ok_and(|c| c.think == "t"));
    let bare = "Memory: x\nAction: <|begin_of_box|>DONE()<|end_of_box|>";
    assert!(read(bare, Think::Optional, Boxed::One).is_ok_and(|c| c.boxed == Some("DONE()")));
    let broken = "<think>Action: <|begin_of_box|>DONE()<|end_of_box|>";
    assert_eq!(
        read(broken, Think::Optional, Boxed::One),
        Err(Fault::UnclosedThink)
    );
}

#[test]
fn a_truth_may_be_a_completion_or_bare() {
    for text in [
        "42",
        "<think>t</think><answer><|begin_of_box|> 42 <|end_of_box|></answer>",
        "<think>t</think><answer>42</answer>",
        "Action: <|begin_of_box|>42<|end_of_box|>",
    ] {
        assert_eq!(truth_answer(text), Some("42"), "{text}");
    }
    assert_eq!(truth_answer("<|begin_of_box|>42"), None);
}

proptest! {
    #[test]
    fn what_is_boxed_is_read_back(think in "[^<]{0,40}", answer in "[^<]{0,40}", tail in "[^<\\\\]{0,10}", tagged: bool) {
        prop_assume!(!answer.contains("\\boxed{"));
        let core = format!("{BEGIN_BOX}{answer}{END_BOX}{tail}");
        let text = if tagged { format!("<think>{think}</think><answer>{core}</answer>") } else { format!("<think>{think}</think>{core}") };
        prop_assert_eq!(boxed(&text), Ok(answer.trim()));
    }

    #[test]
    fn any_order_of_tags_is_read_or_refused(parts in prop::collection::vec(0_usize..8, 0..10)) {
        let text: String = parts.iter().map(|i| TAGS.get(*i).map_or("x ", |(name, _)| name)).collect();
        for think in [Think::Required, Think::Opened, Think::Optional] {
            if let Ok(completion) = read(&text, think, Boxed::One) {
                let inside = completion.boxed.expect("a box");
                prop_assert!(!inside.contains("<|"), "{}", text);
            }
        }
    }
}
