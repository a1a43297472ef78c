//! Chat templates and the tokenizer.

use glmv_processor::{
    ChatTemplate, Conversation, MediaAccess, Processor, RenderOptions, Tokenizer,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{cases, golden_dir, ids, list, processor, string};

fn options(row: &Value) -> RenderOptions {
    RenderOptions {
        add_generation_prompt: row["add_generation_prompt"].as_bool().expect("a switch"),
        enable_thinking: row["kwargs"]["enable_thinking"].as_bool(),
        ..RenderOptions::default()
    }
}

/// The row's messages as a request would carry them: every picture and video has an address.
fn request(row: &Value) -> Value {
    let mut messages = row["messages"].clone();
    for message in messages.as_array_mut().expect("messages") {
        for part in message["content"].as_array_mut().into_iter().flatten() {
            if let Some(kind) = part["type"]
                .as_str()
                .filter(|&k| k != "text")
                .map(str::to_owned)
            {
                part[kind] = json!("somewhere");
            }
        }
    }
    json!({"messages": messages, "tools": row["kwargs"].get("tools")})
}

fn check_ids(tokenizer: &Tokenizer, row: &Value, text: &str) {
    let want = ids(&row["input_ids"]);
    let encode = |text: &str| tokenizer.encode(text).expect("encodes");
    assert_eq!(encode(text), want, "{}", row["name"]);
    assert_ne!(encode(&format!("{text}.")), want, "control");
    let decode = |skip| tokenizer.decode(&want, skip).expect("decodes");
    assert_eq!(decode(false), string(&row["decoded"]));
    assert_eq!(decode(true), string(&row["decoded_skip_special"]));
}

#[test]
fn templates_and_ids_match() {
    let mut rows = 0;
    for case in cases(&["chat_template"]) {
        let Processor {
            template,
            tokenizer,
            ..
        } = processor(&case);
        for row in list(&case["rows"]) {
            let want = string(&row["text"]);
            let tools = row["kwargs"].get("tools");
            let raw = template
                .render_messages(&row["messages"], tools, &options(row))
                .expect("renders");
            assert_eq!(raw, want, "{}", row["name"]);
            let request = request(row);
            let conversation =
                Conversation::from_json(&request, MediaAccess::LocalFiles).expect("valid");
            let typed = template
                .render(&conversation, &options(row))
                .expect("renders");
            assert_eq!(typed, want, "{} through Conversation", row["name"]);
            let written = conversation.to_json().expect("writable");
            let again = Conversation::from_json(&written, MediaAccess::LocalFiles).expect("valid");
            assert_eq!(again, conversation, "{} read back", row["name"]);
            check_ids(&tokenizer, row, &raw);
            rows += 1;
        }
        for (token, id) in case["special_ids"].as_object().expect("ids") {
            assert_eq!(tokenizer.id(token).map(u64::from), id.as_u64(), "{token}");
        }
    }
    assert!(rows >= 46, "{rows} rows");
}

#[test]
fn another_switch_gives_another_prompt() {
    let cases = cases(&["chat_template"]);
    let case = cases
        .iter()
        .find(|c| c["id"] == "glm4v_moe.chat_template")
        .expect("the case");
    let template = processor(case).template;
    let row = list(&case["rows"])
        .iter()
        .find(|r| r["name"] == "nothink")
        .expect("the row");
    let flipped = RenderOptions {
        enable_thinking: Some(true),
        ..options(row)
    };
    let text = template
        .render_messages(&row["messages"], None, &flipped)
        .expect("renders");
    assert_ne!(text, string(&row["text"]));
}

#[test]
fn the_template_may_be_in_a_json_file() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let source = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
    let write = |name: &str, value: &Value| {
        std::fs::write(dir.path().join(name), value.to_string()).expect("writable");
    };
    let render = || {
        let template = ChatTemplate::from_dir(dir.path())?;
        template.render_messages(
            &json!([{"role": "user", "content": "hi"}]),
            None,
            &RenderOptions::default(),
        )
    };
    assert!(
        render()
            .expect_err("none")
            .to_string()
            .contains("chat_template.jinja")
    );
    write(
        "tokenizer_config.json",
        &json!({"bos_token": {"content": "<s>"}, "chat_template": source}),
    );
    assert_eq!(render().expect("renders"), "<s>hi");
    write("chat_template.json", &json!({"chat_template": "other"}));
    assert_eq!(render().expect("renders"), "other");
    std::fs::write(dir.path().join("chat_template.jinja"), "first\n").expect("writable");
    assert_eq!(render().expect("renders"), "first");
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_file(&golden_dir().join("glm4v_moe-f32/tokenizer.json")).expect("a tokenizer")
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip_special: bool) -> Vec<String> {
    let mut stream = tokenizer.stream(skip_special);
    let mut chunks: Vec<String> = ids
        .iter()
        .filter_map(|&id| stream.push(id).expect("decodes"))
        .collect();
    chunks.extend(stream.finish().expect("decodes"));
    chunks
}

#[test]
fn an_emoji_over_several_tokens_arrives_whole() {
    let tokenizer = tokenizer();
    let text = "ok 🙂 naïve 天气 <think>";
    let ids = tokenizer.encode(text).expect("encodes");
    assert!(
        ids.len() > text.chars().count() / 2,
        "the tiny vocabulary splits characters"
    );
    let chunks = streamed(&tokenizer, &ids, true);
    assert!(chunks.iter().all(|c| !c.contains('\u{FFFD}')), "{chunks:?}");
    assert!(chunks.iter().any(|c| c.contains('🙂')), "{chunks:?}");
    assert!(
        chunks.len() > 5,
        "text must not wait for the end: {chunks:?}"
    );
    assert_eq!(chunks.concat(), text);
}

#[test]
fn endless_broken_bytes_neither_stall_nor_change() {
    let tokenizer = tokenizer();
    let emoji = tokenizer.encode("🙂").expect("encodes");
    assert!(emoji.len() > 1, "the tiny vocabulary splits the emoji");
    let mut ids: Vec<u32> = std::iter::repeat_n(emoji[0], 300).collect();
    ids.extend(std::iter::repeat_n(emoji[emoji.len() - 1], 300));
    ids.extend(&emoji);
    let chunks = streamed(&tokenizer, &ids, false);
    assert_eq!(
        chunks.concat(),
        tokenizer.decode(&ids, false).expect("decodes")
    );
    assert!(chunks.len() > 100, "{} chunks", chunks.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn decoding_undoes_encoding(text in "\\PC{0,60}|(a|é|天|🙂| |\n|\t|7|<\\|image\\|>){0,30}") {
        let tokenizer = tokenizer();
        let ids = tokenizer.encode(&text).expect("encodes");
        prop_assert_eq!(tokenizer.decode(&ids, false).expect("decodes"), text);
    }

    #[test]
    fn chunks_concatenate(ids in proptest::collection::vec(0_u32..490, 0..120), skip_special: bool) {
        let tokenizer = tokenizer();
        let whole = tokenizer.decode(&ids, skip_special).expect("decodes");
        prop_assert_eq!(streamed(&tokenizer, &ids, skip_special).concat(), whole);
    }
}
