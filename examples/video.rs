//! A video made in code: a square that moves across eight frames. Shows what the processor makes of
//! it (frame pairs with their seconds in the prompt) and asks about it.
//!
//!     cargo run --example video [-- MODEL_DIR]

use anyhow::{Context, Result};
use glmv::engine::{
    Conversation, Engine, Message, Part, Precision, RenderOptions, Role, SamplingOverrides,
    VideoSource,
};
use glmv::kernels::device::{Choice, select};
use glmv::processor::RgbImage;
use std::ops::ControlFlow;
use std::path::PathBuf;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden/glm4v_moe-f32");

fn main() -> Result<()> {
    let model = std::env::args_os()
        .nth(1)
        .map_or_else(|| MODEL.into(), PathBuf::from);
    let device = select(Choice::Auto)?.device;
    let mut engine = Engine::load(&model, &device, Precision::F32, &|_, _| {})?;

    // Files work the same way: VideoSource::Path takes a folder of frames, an animated GIF or WebP,
    // a y4m file, or whatever an installed ffmpeg reads.
    let video = VideoSource::Frames {
        frames: (0..8).map(frame).collect(),
        fps: Some(2.0),
        duration_secs: None,
    };
    let question = Message::new(
        Role::User,
        vec![
            Part::Video(video),
            Part::Text("Which way does the square move?".to_owned()),
        ],
    );
    let options = RenderOptions {
        add_generation_prompt: true,
        ..RenderOptions::default()
    };
    let prompt = engine.prepare(&Conversation::new(vec![question]), &options)?;
    let patches = prompt.videos.as_ref().context("no video in the prompt")?;
    for [pairs, height, width] in &patches.grid_thw {
        println!("{pairs} frame pairs of {height} x {width} patches");
    }
    println!("prompt: {}", prompt.prompt);

    let params = engine.params(&SamplingOverrides {
        greedy: true,
        max_new_tokens: Some(24),
        ..SamplingOverrides::default()
    })?;
    let go_on = &mut |_| ControlFlow::Continue(());
    let (completions, _) = engine.generate(&[prompt], &[params], go_on)?;
    let tokenizer = &engine.processor().tokenizer;
    println!(
        "answer: {}",
        tokenizer.decode(&completions[0].token_ids, true)?
    );
    println!("{:?}", completions[0].usage);
    Ok(())
}

/// Frame `i` of eight: a white square on black, further to the right each time.
fn frame(i: u32) -> RgbImage {
    let mut frame = RgbImage::new(96, 64);
    for (x, y, pixel) in frame.enumerate_pixels_mut() {
        if (i * 10..i * 10 + 20).contains(&x) && (22..42).contains(&y) {
            pixel.0 = [255; 3];
        }
    }
    frame
}
