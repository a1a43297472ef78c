//! Bad input of every kind ends in an error that names it.

use std::path::Path;

use glmv_processor::{
    Conversation, Error, ImageSource, MediaAccess, Message, Part, Processor, RenderOptions,
    RgbImage, Role, VideoSource,
};
use serde_json::{Value, json};

use crate::support::golden_dir;

pub fn checkpoint() -> Processor {
    Processor::from_dir(&golden_dir().join("glm4v-f32")).expect("a checkpoint")
}

/// A copy of the small files of a checkpoint in which `edit` may change things.
fn edited(edit: impl FnOnce(&Path)) -> Error {
    let dir = tempfile::tempdir().expect("temporary folder");
    let source = golden_dir().join("glm4v-f32");
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "preprocessor_config.json",
        "video_preprocessor_config.json",
    ] {
        let bytes = std::fs::read(source.join(name)).expect("a golden file");
        std::fs::write(dir.path().join(name), bytes).expect("writable");
    }
    edit(dir.path());
    Processor::from_dir(dir.path()).expect_err("must be refused")
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value: Value =
        serde_json::from_slice(&std::fs::read(path).expect("file")).expect("JSON");
    edit(&mut value);
    std::fs::write(path, value.to_string()).expect("writable");
}

pub fn assert_mentions(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

#[test]
fn broken_checkpoints_name_file_and_key() {
    let error = edited(|d| std::fs::remove_file(d.join("preprocessor_config.json")).expect("file"));
    assert_mentions(&error, &["preprocessor_config.json"]);
    let error = edited(|d| std::fs::remove_file(d.join("tokenizer.json")).expect("file"));
    assert_mentions(&error, &["tokenizer.json"]);
    let error = edited(|d| std::fs::write(d.join("config.json"), "{").expect("file"));
    assert_mentions(&error, &["config.json", "line 1"]);
    let error = edited(|d| edit_json(&d.join("config.json"), |c| c["image_token_id"] = json!("x")));
    assert_mentions(&error, &["config.json", "image_token_id", "\"x\""]);
    let error = edited(|d| edit_json(&d.join("config.json"), |c| c["image_token_id"] = json!(461)));
    assert_mentions(&error, &["<|image|>", "image_token_id", "461", "460"]);
    let error = edited(|d| {
        edit_json(&d.join("config.json"), |c| {
            c["vision_config"]["patch_size"] = json!(8)
        })
    });
    assert_mentions(&error, &["vision_config.patch_size", "14", "8"]);
    let error = edited(|d| {
        edit_json(&d.join("preprocessor_config.json"), |c| {
            c["size"]["shortest_edge"] = json!(-5)
        });
    });
    assert_mentions(
        &error,
        &["preprocessor_config.json", "size.shortest_edge", "-5"],
    );
    let error = edited(|d| {
        edit_json(&d.join("preprocessor_config.json"), |c| {
            c["image_std"] = json!([1, 0, 1])
        });
    });
    assert_mentions(&error, &["image_std"]);
    let error = edited(|d| std::fs::write(d.join("tokenizer.json"), "{}").expect("file"));
    assert_mentions(&error, &["tokenizer.json"]);
}

#[test]
fn a_tokenizer_without_the_image_token_is_refused() {
    let error = edited(|d| {
        let path = d.join("tokenizer.json");
        let text = std::fs::read_to_string(&path).expect("file");
        std::fs::write(&path, text.replace("\"<|image|>\"", "\"<|other|>\"")).expect("writable");
    });
    assert_mentions(
        &error,
        &["<|image|>", "image_token_id", "460", "no such token"],
    );
}

#[test]
fn conversations_are_checked() {
    let refuse = |json: Value, access, words: &[&str]| {
        assert_mentions(
            &Conversation::from_json(&json, access).expect_err("must be refused"),
            words,
        );
    };
    let user = |content: Value| json!([{"role": "user", "content": content}]);
    refuse(
        json!({"messages": 3}),
        MediaAccess::LocalFiles,
        &["messages", "a list"],
    );
    refuse(
        json!([{"role": "robot"}]),
        MediaAccess::LocalFiles,
        &["messages[0].role", "robot"],
    );
    refuse(
        user(json!([{"type": "smell"}])),
        MediaAccess::LocalFiles,
        &["content[0].type", "smell"],
    );
    let address = |url: &str| user(json!([{"type": "image_url", "image_url": {"url": url}}]));
    refuse(
        address("/etc/passwd"),
        MediaAccess::InlineOnly,
        &["content[0].image_url", "data:"],
    );
    refuse(
        address("https://example.com/a.png"),
        MediaAccess::LocalFiles,
        &["https://example.com"],
    );
    refuse(
        address("data:image/png;base64,!!"),
        MediaAccess::InlineOnly,
        &["base64"],
    );
    let call = json!([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "not json"}}]}]);
    refuse(call, MediaAccess::InlineOnly, &["tool_calls[0].arguments"]);
}

#[test]
fn pictures_in_memory_survive_json() {
    let pixels = RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8, y as u8, 3]));
    let clip = VideoSource::Frames {
        frames: vec![pixels.clone(); 2],
        fps: Some(2.0),
        duration_secs: None,
    };
    let parts = vec![
        Part::Image(ImageSource::Rgb(pixels.clone())),
        Part::Video(clip.clone()),
    ];
    let conversation = Conversation::new(vec![Message::new(Role::User, parts)]);
    let json = conversation.to_json().expect("writable");
    let again = Conversation::from_json(&json, MediaAccess::InlineOnly).expect("valid");
    assert_eq!(again.videos().collect::<Vec<_>>(), [&clip]);
    let processor = checkpoint();
    let options = RenderOptions::default();
    let [a, b] = [conversation, again].map(|c| processor.process(&c, &options).expect("valid"));
    assert_eq!(a, b);
}

#[test]
fn a_written_placeholder_is_refused() {
    let message = Message::text(Role::User, "What does <|image|> mean?");
    let inputs = checkpoint().process(&Conversation::new(vec![message]), &RenderOptions::default());
    assert_mentions(
        &inputs.expect_err("one placeholder, no picture"),
        &["1 `<|image|>`", "0 were given"],
    );
}
