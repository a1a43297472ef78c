//! Which tokens are learnt: answers with their end, thinking or not, in both families' templates.

use glmv_data::{EncodeOptions, Encoded, Encoder, LongPolicy, Sample};
use glmv_processor::{Modality, RenderOptions};
use serde_json::{Value, json};

use crate::support::{DENSE, Folder, MOE, encoder, learnt, sample, text, with_options};

fn encode(encoder: &Encoder, row: &Value) -> Encoded {
    let sample = sample(&Folder::new(), row);
    encoder.encode(&sample).expect("encodes")
}

fn turn(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

fn thinks(content: &str, reasoning: &str) -> Value {
    json!({"role": "assistant", "content": content, "reasoning_content": reasoning})
}

#[test]
fn a_thinking_answer_is_learnt_with_thought_and_end() {
    let encoder = encoder(MOE);
    let row = json!({"messages": [turn("user", "2+2?"), thinks("4", "two and two")]});
    let encoded = encode(&encoder, &row);
    assert_eq!(
        learnt(&encoder, &encoded),
        "<think>two and two</think>\n4<|user|>‖"
    );
    let all = text(&encoder, &encoded.input_ids);
    assert_eq!(
        all,
        "[gMASK]<sop><|user|>\n2+2?<|assistant|>\n<think>two and two</think>\n4<|user|>"
    );
    assert!(encoded.modality.iter().all(|m| *m == Modality::Text));
    // The thought may also stand in the text.
    let inline = turn("assistant", "<think>two and two</think>\n4");
    let same = encode(
        &encoder,
        &json!({"messages": [turn("user", "2+2?"), inline]}),
    );
    assert_eq!(same.input_ids, encoded.input_ids);
    assert_eq!(same.loss_mask, encoded.loss_mask);
}

#[test]
fn an_answer_part_is_learnt_behind_nothink() {
    let messages = json!([turn("user", "2+2?"), thinks("4", "two and two")]);
    let row = json!({"messages": messages, "thinking": false});
    let moe = encoder(MOE);
    let encoded = encode(&moe, &row);
    let all = "[gMASK]<sop><|user|>\n2+2?/nothink<|assistant|>\n<think></think>\n4<|user|>";
    assert_eq!(text(&moe, &encoded.input_ids), all);
    assert_eq!(learnt(&moe, &encoded), "<think></think>\n4<|user|>‖");
    let options = EncodeOptions {
        learn_empty_think: false,
        ..EncodeOptions::default()
    };
    let without = with_options(MOE, options);
    let encoded = encode(&without, &row);
    assert_eq!(text(&without, &encoded.input_ids), all);
    assert_eq!(learnt(&without, &encoded), "4<|user|>‖");
    // GLM-4.1V's template has no switch: the same is written into the texts.
    let dense = encoder(DENSE);
    let encoded = encode(&dense, &row);
    let all = "[gMASK]<sop><|user|>\n2+2?/nothink<|assistant|>\n<think></think>4<|user|>";
    assert_eq!(text(&dense, &encoded.input_ids), all);
    assert_eq!(learnt(&dense, &encoded), "<think></think>4<|user|>‖");
}

#[test]
fn reasoning_decides_when_the_row_does_not() {
    let encoder = encoder(MOE);
    let row = json!({"messages": [turn("user", "hi"), turn("assistant", "ho")]});
    let plain = encode(&encoder, &row);
    assert!(text(&encoder, &plain.input_ids).contains("hi/nothink<|assistant|>"));
    let mut marked = sample(&Folder::new(), &row);
    marked.thinking = Some(true);
    let error = encoder
        .encode(&marked)
        .expect_err("no reasoning")
        .to_string();
    assert!(
        error.ends_with(":1: `thinking` is true but no answer has reasoning"),
        "{error}"
    );
}

#[test]
fn the_dense_family_writes_thought_and_answer_in_tags() {
    let encoder = encoder(DENSE);
    let row = json!({"messages": [turn("user", "2+2?"), thinks("4", "two and two")]});
    let encoded = encode(&encoder, &row);
    let expected = "<think>two and two</think><answer>4</answer><|user|>‖";
    assert_eq!(learnt(&encoder, &encoded), expected);
    let as_it_is = turn("assistant", "<think>a</think><answer>4</answer>");
    let encoded = encode(
        &encoder,
        &json!({"messages": [turn("user", "q"), as_it_is]}),
    );
    assert_eq!(
        learnt(&encoder, &encoded),
        "<think>a</think><answer>4</answer><|user|>‖"
    );
}

#[test]
fn every_turn_that_is_asked_for_is_learnt_with_its_end() {
    let row = json!({"messages": [
        turn("system", "Be kind."), turn("user", "a"), turn("assistant", "b"),
        turn("user", "c"), turn("assistant", "d"),
    ]});
    for checkpoint in [DENSE, MOE] {
        let encoder = encoder(checkpoint);
        let block = if checkpoint == MOE {
            "<think></think>\n"
        } else {
            ""
        };
        let encoded = encode(&encoder, &row);
        let expected = format!("{block}b<|user|>‖{block}d<|user|>‖");
        assert_eq!(learnt(&encoder, &encoded), expected);
        let mut last = sample(&Folder::new(), &row);
        last.targets = vec![4];
        let last = encoder.encode(&last).expect("encodes");
        assert_eq!(learnt(&encoder, &last), format!("{block}d<|user|>‖"));
        assert_eq!(last.input_ids, encoded.input_ids);
    }
}

#[test]
fn tool_calls_end_with_the_observation() {
    let encoder = encoder(MOE);
    let call = json!({"role": "assistant", "content": "", "reasoning_content": "ask",
        "tool_calls": [{"function": {"name": "f", "arguments": {"a": "1"}}}]});
    let row = json!({"messages": [
        turn("user", "w?"), call, turn("tool", "rain"), thinks("wet", "so"),
    ]});
    let encoded = encode(&encoder, &row);
    let call = "<think>ask</think>\n<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n</tool_call>";
    let expected = format!("{call}<|observation|>‖<think>so</think>\nwet<|user|>‖");
    assert_eq!(learnt(&encoder, &encoded), expected);
    let row = json!({"messages": [row["messages"][0], row["messages"][1]]});
    let encoded = encode(&encoder, &row);
    assert_eq!(
        learnt(&encoder, &encoded),
        format!("{call}<|observation|>‖")
    );
}

#[test]
fn thoughts_of_earlier_rounds_are_learnt_in_samples_of_their_own() {
    let encoder = encoder(MOE);
    let row = json!({"messages": [
        turn("user", "a"), thinks("b", "why b"), turn("user", "c"), thinks("d", "why d"),
    ]});
    let whole = sample(&Folder::new(), &row);
    // The template leaves out the first thought once a question follows.
    let error = encoder.encode(&whole).expect_err("not stable").to_string();
    assert!(
        error.contains("turn 1: the chat template writes it differently"),
        "{error}"
    );
    let pieces = encoder.expand(whole.clone());
    let learnt: Vec<String> = pieces
        .iter()
        .map(|piece| learnt(&encoder, &encoder.encode(piece).expect("encodes")))
        .collect();
    assert_eq!(
        learnt,
        [
            "<think>why b</think>\nb<|user|>‖",
            "<think>why d</think>\nd<|user|>‖"
        ]
    );
    let single = |sample: Sample| encoder.expand(sample).len();
    let mut off = whole.clone();
    off.thinking = Some(false);
    assert_eq!(single(off), 1);
    let dense = crate::support::encoder(DENSE);
    assert_eq!(dense.expand(whole).len(), 1);
}

#[test]
fn ids_are_those_of_prompt_and_answer_at_inference() {
    let encoder = encoder(MOE);
    let question = "Count: 1, 22,  333!\n\nand ünïcödé";
    let row = json!({"messages": [turn("user", question), thinks("three", "one two three")]});
    let encoded = encode(&encoder, &row);
    let first = encoded
        .loss_mask
        .iter()
        .position(|&m| m)
        .expect("an answer");
    let options = RenderOptions {
        add_generation_prompt: true,
        ..RenderOptions::default()
    };
    let asked = glmv_processor::Message::text(glmv_processor::Role::User, question);
    let asked = glmv_processor::Conversation::new(vec![asked]);
    let prompt = encoder
        .processor()
        .process(&asked, &options)
        .expect("a prompt");
    assert_eq!(encoded.input_ids[..first], prompt.input_ids);
}

#[test]
fn running_text_is_learnt_behind_its_prefix() {
    let encoder = encoder(MOE);
    let encoded = encode(&encoder, &json!({"text": "Once upon a time"}));
    assert_eq!(
        text(&encoder, &encoded.input_ids),
        "[gMASK]<sop>Once upon a time<|endoftext|>"
    );
    assert_eq!(learnt(&encoder, &encoded), "Once upon a time<|endoftext|>‖");
    let bare = EncodeOptions {
        text_prefix: String::new(),
        ..EncodeOptions::default()
    };
    let encoded = encode(
        &with_options(MOE, bare),
        &json!({"text": "Once upon a time"}),
    );
    assert_eq!(
        encoded.loss_mask.iter().position(|&m| m),
        Some(1),
        "nothing predicts the first"
    );
}

#[test]
fn long_samples_are_refused_dropped_or_cut() {
    let encoder = encoder(MOE);
    let encoded = encode(&encoder, &json!({"text": "one two three four five six"}));
    let tokens = encoded.input_ids.len();
    let fit = |max, policy| glmv_data::fit(encoded.clone(), max, policy);
    assert_eq!(
        fit(tokens, LongPolicy::Error).expect("fits"),
        glmv_data::Fit::Whole(encoded.clone())
    );
    let error = fit(tokens - 1, LongPolicy::Error)
        .expect_err("too long")
        .to_string();
    let expected = format!("{tokens} tokens, but a sequence takes {}", tokens - 1);
    assert!(error.ends_with(&expected), "{error}");
    assert_eq!(
        fit(5, LongPolicy::Drop).expect("no error"),
        glmv_data::Fit::Dropped
    );
    match fit(5, LongPolicy::Cut).expect("no error") {
        glmv_data::Fit::Cut {
            encoded: left,
            tokens: gone,
            visuals,
        } => {
            assert_eq!(left.input_ids, encoded.input_ids[..5]);
            assert_eq!((left.loss_mask.len(), left.modality.len()), (5, 5));
            assert_eq!((gone, visuals), (tokens - 5, 0));
        }
        other => panic!("{other:?}"),
    }
    // Only the prefix, without loss, would be left.
    assert_eq!(
        fit(2, LongPolicy::Cut).expect("no error"),
        glmv_data::Fit::Dropped
    );
}
