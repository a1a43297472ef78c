//! The bundled model's files: its template writes what GLM-4.5V's does, and its pictures have as many
//! tokens as its configuration says.

use glmv_processor::{
    Conversation, ImageSource, Message, Part, Processor, RenderOptions, Role, VideoSource,
};
use image::RgbImage;
use serde_json::Value;
use std::path::PathBuf;

use crate::support::{cases, list, string, unsigned};

fn folder() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/models/glmv-tiny").into()
}

fn bundled() -> Processor {
    Processor::from_dir(&folder()).expect("a whole folder")
}

#[test]
fn its_template_writes_every_golden_prompt_of_the_family() {
    let all = cases(&["chat_template"]);
    let case = all.iter().find(|c| c["id"] == "glm4v_moe.chat_template");
    let (case, template) = (case.expect("the case"), bundled().template);
    let mut rows = 0;
    for row in list(&case["rows"]) {
        let options = RenderOptions {
            add_generation_prompt: row["add_generation_prompt"].as_bool().expect("a switch"),
            enable_thinking: row["kwargs"]["enable_thinking"].as_bool(),
            ..RenderOptions::default()
        };
        let tools = row["kwargs"].get("tools");
        let text = template.render_messages(&row["messages"], tools, &options);
        assert_eq!(
            text.expect("renders"),
            string(&row["text"]),
            "{}",
            row["name"]
        );
        let flipped = RenderOptions {
            add_generation_prompt: !options.add_generation_prompt,
            ..options
        };
        let text = template.render_messages(&row["messages"], tools, &flipped);
        assert_ne!(text.expect("renders"), string(&row["text"]), "control");
        rows += 1;
    }
    assert!(rows >= 20, "{rows} rows");
}

fn asked(part: Part) -> usize {
    let text = Part::Text("How many circles are there?".into());
    let message = Message::new(Role::User, vec![part, text]);
    let inputs = bundled()
        .process(&Conversation::new(vec![message]), &RenderOptions::default())
        .expect("inputs");
    let config = std::fs::read_to_string(folder().join("config.json")).expect("config.json");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    let image = unsigned(&config["image_token_id"]);
    let tokens = inputs.input_ids.iter();
    tokens.filter(|id| u64::from(**id) == image).count()
}

#[test]
fn pictures_have_few_tokens() {
    for (side, tokens) in [(28, 1), (56, 4), (112, 16), (224, 64), (448, 64)] {
        let picture = RgbImage::new(side, side);
        assert_eq!(
            asked(Part::Image(ImageSource::Rgb(picture))),
            tokens,
            "{side} px"
        );
    }
    let video = VideoSource::Frames {
        frames: vec![RgbImage::new(112, 112); 12],
        fps: Some(2.0),
        duration_secs: Some(6.0),
    };
    assert_eq!(asked(Part::Video(video)), 6 * 16);
}

#[test]
fn its_configuration_and_its_tokenizer_agree() {
    let tokenizer = bundled().tokenizer;
    for name in [
        "config.json",
        "../../configs/tiny-dense.json",
        "../../configs/tiny-moe.json",
    ] {
        let text = std::fs::read_to_string(folder().join(name)).expect(name);
        let config: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            unsigned(&config["text_config"]["vocab_size"]),
            tokenizer.vocab_size() as u64
        );
        for (key, token) in [
            ("image_token_id", "<|image|>"),
            ("video_token_id", "<|video|>"),
            ("image_start_token_id", "<|begin_of_image|>"),
            ("image_end_token_id", "<|end_of_image|>"),
            ("video_start_token_id", "<|begin_of_video|>"),
            ("video_end_token_id", "<|end_of_video|>"),
        ] {
            assert_eq!(
                Some(unsigned(&config[key])),
                tokenizer.id(token).map(u64::from),
                "{name} {key}"
            );
        }
        let stops: Vec<u64> = list(&config["text_config"]["eos_token_id"])
            .iter()
            .map(unsigned)
            .collect();
        let named = ["<|endoftext|>", "<|user|>", "<|observation|>"];
        let named = named.map(|t| tokenizer.id(t).map(u64::from).expect(t));
        assert_eq!(stops, named, "{name}");
    }
    let config = |name| std::fs::read_to_string(folder().join(name)).expect("readable");
    assert!(
        config("config.json") == config("../../configs/tiny-moe.json"),
        "they differ"
    );
}
