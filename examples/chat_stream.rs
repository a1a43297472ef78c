//! A chat of two turns, streamed: every token is printed as soon as its text is certain, and the
//! second turn sees the first.
//!
//!     cargo run --example chat_stream [-- MODEL_DIR]

use anyhow::Result;
use glmv::engine::{
    Conversation, Engine, Message, Precision, RenderOptions, Role, SamplingOverrides, Step,
};
use glmv::kernels::device::{Choice, select};
use std::io::{Write, stdout};
use std::ops::ControlFlow;
use std::path::PathBuf;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden/glm4v_moe-f32");

fn main() -> Result<()> {
    let model = std::env::args_os()
        .nth(1)
        .map_or_else(|| MODEL.into(), PathBuf::from);
    let device = select(Choice::Auto)?.device;
    let mut engine = Engine::load(&model, &device, Precision::F32, &|_, _| {})?;

    let mut chat = Conversation::default();
    for question in ["Name a colour.", "And another one?"] {
        println!("> {question}");
        chat.messages.push(Message::text(Role::User, question));
        let answer = stream(&mut engine, &chat)?;
        chat.messages.push(Message::text(Role::Assistant, answer));
    }
    Ok(())
}

/// Prints the answer to the last turn while it is generated, and returns it.
fn stream(engine: &mut Engine, chat: &Conversation) -> Result<String> {
    let options = RenderOptions {
        add_generation_prompt: true,
        enable_thinking: Some(false),
        ..RenderOptions::default()
    };
    let prompt = engine.prepare(chat, &options)?;
    let params = engine.params(&SamplingOverrides {
        max_new_tokens: Some(32),
        seed: Some(1),
        ..SamplingOverrides::default()
    })?;

    // Holds back the bytes of a character that is split over tokens.
    let processor = engine.processor().clone();
    let mut decoder = processor.tokenizer.stream(true);
    let mut text = String::new();
    let mut failure = None;
    let mut show = |step: Step| {
        if step.stop {
            return ControlFlow::Continue(()); // a stop token is not part of the text
        }
        let shown = decoder.push(step.token).map_err(anyhow::Error::from);
        match shown.and_then(|chunk| print_chunk(chunk, &mut text)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    };
    engine.generate(&[prompt], &[params], &mut show)?;
    if let Some(error) = failure {
        return Err(error);
    }
    print_chunk(decoder.finish()?, &mut text)?;
    println!();
    Ok(text)
}

fn print_chunk(chunk: Option<String>, text: &mut String) -> Result<()> {
    let chunk = chunk.unwrap_or_default();
    print!("{chunk}");
    stdout().flush()?;
    text.push_str(&chunk);
    Ok(())
}
