use proptest::prelude::*;

use super::*;
use PromptThink::{Closed, Open, Undecided};

fn parts(text: &str, prompt: PromptThink) -> (String, Option<String>, Vec<String>) {
    let parts = split_completion(text, prompt);
    assert_eq!(parts.raw, text);
    (parts.reasoning, parts.answer, parts.boxes)
}

fn want(reasoning: &str, answer: &str, boxes: &[&str]) -> (String, Option<String>, Vec<String>) {
    (
        reasoning.into(),
        Some(answer.into()),
        boxes.iter().map(|b| (*b).into()).collect(),
    )
}

#[test]
fn both_families_are_split() {
    let old = "<think>\nlook\n</think>\n<answer>It is <|begin_of_box|> 42 <|end_of_box|>.</answer>";
    assert_eq!(parts(old, Undecided), want("look", "It is  42 .", &["42"]));
    let cut_at_eos = "<think>look</think><answer>yes";
    assert_eq!(parts(cut_at_eos, Undecided), want("look", "yes", &[]));
    let new = "\n<think>a < b</think>\n\n<|begin_of_box|>[[1,2,3,4]]<|end_of_box|> and <|begin_of_box|>2<|end_of_box|>\n";
    assert_eq!(
        parts(new, Undecided),
        want("a < b", "[[1,2,3,4]] and 2", &["[[1,2,3,4]]", "2"])
    );
}

#[test]
fn prompt_state_decides_the_beginning() {
    assert_eq!(parts("why</think>so", Open), want("why", "so", &[]));
    assert_eq!(parts("so", Closed), want("", "so", &[]));
    assert_eq!(parts("<think>x", Closed), want("", "<think>x", &[]));
    assert_eq!(parts("so", Undecided), want("", "so", &[]));
    assert_eq!(parts("", Undecided), want("", "", &[]));
    assert_eq!(parts("<answer>so</answer>", Undecided), want("", "so", &[]));
}

#[test]
fn unclosed_reasoning_has_no_answer() {
    for (text, prompt) in [
        ("<think>still thinking", Undecided),
        ("still thinking", Open),
    ] {
        let got = split_completion(text, prompt);
        assert_eq!(
            (got.reasoning.as_str(), got.answer),
            ("still thinking", None)
        );
    }
    let got = split_completion("<think>cut in a tag </thi", Undecided);
    assert_eq!(
        (got.reasoning.as_str(), got.answer),
        ("cut in a tag </thi", None)
    );
    let got = split_completion("<think>boxed <|begin_of_box|>1<|end_of_box|>", Undecided);
    assert_eq!(
        (got.answer, got.boxes),
        (None, vec![]),
        "boxes count in answers only"
    );
    let got = split_completion("<think></think>", Undecided);
    assert_eq!(
        (got.reasoning.as_str(), got.answer.as_deref()),
        ("", Some(""))
    );
}

#[test]
fn tags_out_of_place_are_text() {
    let text = "Use <think> and <answer>, then </answer>.";
    assert_eq!(parts(text, Undecided), want("", text, &[]));
    let text = "<think>a <think> b <answer></think>c </think> d";
    assert_eq!(
        parts(text, Undecided),
        want("a <think> b <answer>", "c </think> d", &[])
    );
    assert_eq!(parts("<thin", Undecided), want("", "<thin", &[]));
    assert_eq!(parts("<think >x", Undecided), want("", "<think >x", &[]));
}

#[test]
fn broken_boxes_are_no_boxes() {
    assert_eq!(parts("<|begin_of_box|>4", Closed), want("", "4", &[]));
    assert_eq!(parts("4<|end_of_box|>", Closed), want("", "4", &[]));
    assert_eq!(
        parts("<|begin_of_box|>a<|begin_of_box|>b<|end_of_box|>", Closed),
        want("", "ab", &["b"])
    );
    assert_eq!(
        parts("<|begin_of_box|><|end_of_box|>", Closed),
        want("", "", &[""])
    );
}

#[test]
fn text_streams_without_waiting_for_the_end() {
    let mut stream = SplitStream::new(Undecided);
    assert_eq!(stream.push("<thi"), []);
    assert_eq!(
        stream.push("nk>\nI see "),
        [SplitEvent::Reasoning("I see".into())]
    );
    assert_eq!(stream.push("1 <"), [SplitEvent::Reasoning(" 1".into())]);
    assert_eq!(stream.push(" 2 </"), [SplitEvent::Reasoning(" < 2".into())]);
    assert_eq!(stream.push("think>\nY"), [SplitEvent::Answer("Y".into())]);
    assert_eq!(stream.push("es. "), [SplitEvent::Answer("es.".into())]);
    let (events, parts) = stream.finish();
    assert_eq!((events, parts.answer.as_deref()), (vec![], Some("Yes.")));
}

fn piece() -> impl Strategy<Value = String> {
    const PIECES: [&str; 12] = [
        THINK, END_THINK, ANSWER, END_ANSWER, BOX, END_BOX, "<", "</", "<|", " ", "\n", "é🦀",
    ];
    prop_oneof![
        prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        "[a-z <>/|]{0,6}"
    ]
}

proptest! {
    /// Chunks of any size concatenate to what the whole text gives.
    #[test]
    fn chunks_equal_the_whole(pieces in prop::collection::vec(piece(), 0..14), cuts in prop::collection::vec(1_usize..9, 1..60), state in 0..3) {
        let text = pieces.concat();
        let prompt = [Undecided, Open, Closed][state as usize];
        let mut stream = SplitStream::new(prompt);
        let (mut reasoning, mut answer) = (String::new(), String::new());
        let mut collect = |events: Vec<SplitEvent>| for event in events {
            match event {
                SplitEvent::Reasoning(text) => reasoning.push_str(&text),
                SplitEvent::Answer(text) => answer.push_str(&text),
            }
        };
        let mut chars = text.chars();
        for cut in cuts.iter().cycle() {
            let chunk: String = chars.by_ref().take(*cut).collect();
            if chunk.is_empty() {
                break;
            }
            collect(stream.push(&chunk));
        }
        let (events, parts) = stream.finish();
        collect(events);
        prop_assert_eq!(&parts, &split_completion(&text, prompt));
        prop_assert_eq!(&parts.reasoning, &reasoning);
        prop_assert_eq!(parts.answer.unwrap_or_default(), answer);
    }

    /// Well-formed texts come apart as they were put together (an independent definition).
    #[test]
    fn parts_come_back(reasoning in "[a-z]([a-z .]{0,20}[a-z])?", answer in "[a-z]([a-z .]{0,20}[a-z])?", tagged: bool) {
        let text = if tagged {
            format!("<think>{reasoning}</think>\n<answer>{answer}</answer>")
        } else {
            format!("<think> {reasoning} </think>\n\n{answer}\n")
        };
        let got = split_completion(&text, Undecided);
        prop_assert_eq!(got.reasoning, reasoning);
        prop_assert_eq!(got.answer, Some(answer));
    }
}
