//! One question about one picture: load a checkpoint, ask, print the answer.
//!
//!     cargo run --example describe_image [-- MODEL_DIR PICTURE]
//!
//! Without arguments it uses the tiny random checkpoint of the tests, whose answer is noise.

use anyhow::{Context, Result};
use glmv::engine::{
    Conversation, Engine, ImageSource, Message, Part, Precision, RenderOptions, Role,
    SamplingOverrides,
};
use glmv::kernels::device::{Choice, select};
use glmv::sampling::{PromptThink, split_completion};
use std::ops::ControlFlow;
use std::path::PathBuf;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden");

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let model = args
        .next()
        .unwrap_or_else(|| format!("{GOLDEN}/glm4v_moe-f32").into());
    let picture = args
        .next()
        .unwrap_or_else(|| format!("{GOLDEN}/media/grad.png").into());

    // A hardware GPU if there is one, else the CPU.
    let selected = select(Choice::Auto)?;
    println!("{} ({})", selected.info.name, selected.info.backend);
    let mut engine = Engine::load(&model, &selected.device, Precision::F32, &|_, _| {})
        .with_context(|| format!("cannot load {}", model.display()))?;

    let question = Message::new(
        Role::User,
        vec![
            Part::Image(ImageSource::Path(picture)),
            Part::Text("What is in this picture?".to_owned()),
        ],
    );
    let options = RenderOptions {
        add_generation_prompt: true,
        ..RenderOptions::default()
    };
    let prompt = engine.prepare(&Conversation::new(vec![question]), &options)?;
    let params = engine.params(&SamplingOverrides {
        greedy: true,
        max_new_tokens: Some(24),
        ..SamplingOverrides::default()
    })?;

    let think = PromptThink::of_prompt(&prompt.prompt);
    let go_on = &mut |_| ControlFlow::Continue(());
    let (completions, timings) = engine.generate(&[prompt], &[params], go_on)?;
    let completion = &completions[0];
    let text = engine
        .processor()
        .tokenizer
        .decode(&completion.token_ids, true)?;
    let parts = split_completion(&text, think);
    println!("reasoning: {:?}", parts.reasoning);
    println!("answer: {:?}", parts.answer);
    println!("{:?}, {:?}", completion.finish_reason, completion.usage);
    println!("{timings:?}");
    Ok(())
}
