//! Many requests on one engine: each is added when it comes, every step brings tokens of several, and
//! the second question about a picture finds the picture's features and the prompt's beginning.
//!
//!     cargo run --example batch [-- MODEL_DIR]

use anyhow::Result;
use glmv::engine::{
    Conversation, Engine, EngineConfig, Event, ImageSource, Message, ModelInputs, Part, Precision,
    RenderOptions, Request, Role, SamplingOverrides,
};
use glmv::kernels::device::{Choice, select};
use std::path::PathBuf;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/golden");

fn main() -> Result<()> {
    let model = std::env::args_os()
        .nth(1)
        .map_or_else(|| format!("{GOLDEN}/glm4v-f32").into(), PathBuf::from);
    let device = select(Choice::Auto)?.device;
    let mut engine = Engine::load(&model, &device, Precision::F32, &|_, _| {})?;
    engine.configure(EngineConfig {
        // Tiny prompts; real ones keep the defaults of 512 and 16.
        chunk: 16,
        block_size: 4,
        ..EngineConfig::default()
    })?;
    let params = engine.params(&SamplingOverrides {
        max_new_tokens: Some(12),
        temperature: Some(1.0),
        ..SamplingOverrides::default()
    })?;

    let mut questions = ["What is this?", "Which colours are in it?", "Is it dark?"].into_iter();
    let mut step = 0;
    loop {
        // A new request now and then, while the earlier ones go on; two answers to each.
        if step % 4 == 0
            && let Some(question) = questions.next()
        {
            let request = Request::new(ask(&engine, question)?, params.clone()).samples(2);
            println!("{:?} asks: {question}", engine.add(request)?);
        }
        if engine.is_idle() {
            break;
        }
        for event in engine.step()? {
            match event {
                Event::Token(t) => {
                    println!(
                        "{:?}.{} {:6} {:7.3}",
                        t.request, t.sample, t.token, t.logprob
                    );
                }
                Event::Finished {
                    request,
                    sample,
                    completion,
                } => {
                    let text = engine
                        .processor()
                        .tokenizer
                        .decode(&completion.token_ids, true)?;
                    println!(
                        "{request:?}.{sample} {:?}: {text}",
                        completion.finish_reason
                    );
                }
            }
        }
        step += 1;
    }
    let stats = engine.stats();
    println!(
        "{:.1} rows per pass, {} prompt tokens and {} pictures found again",
        stats.occupancy(),
        stats.prefix_hits,
        stats.feature_hits
    );
    Ok(())
}

fn ask(engine: &Engine, question: &str) -> Result<ModelInputs> {
    let picture = ImageSource::Path(format!("{GOLDEN}/media/grad.png").into());
    let parts = vec![Part::Image(picture), Part::Text(question.to_string())];
    let conversation = Conversation::new(vec![Message::new(Role::User, parts)]);
    let options = RenderOptions {
        add_generation_prompt: true,
        ..RenderOptions::default()
    };
    Ok(engine.prepare(&conversation, &options)?)
}
