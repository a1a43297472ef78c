//! One model turn: prepare, generate, stream to stdout.

use crate::args::RunArgs;
use crate::session::{Interruptible, Session};
use glmv_engine::{Completion, Conversation, RenderOptions, Step, Timings};
use glmv_sampling::{CompletionParts, PromptThink, SamplingOverrides, split_completion};
use std::io::Write;
use std::ops::ControlFlow;

/// A finished or interrupted answer.
pub struct Answer {
    /// Decoded tokens without special ones.
    pub text: String,
    pub parts: CompletionParts,
    pub completion: Completion,
    pub timings: Timings,
}

/// Generates the assistant's turn after `conversation`; streams it unless `--json`.
pub fn run(
    args: &RunArgs,
    session: &mut Session,
    conversation: &Conversation,
) -> anyhow::Result<Answer> {
    let engine = &mut session.engine;
    let processor = engine.processor().clone();
    let options = RenderOptions {
        add_generation_prompt: true,
        enable_thinking: args.no_think.then_some(false),
        ..Default::default()
    };
    let inputs = engine.prepare(conversation, &options)?;
    let think = PromptThink::of_prompt(&inputs.prompt);
    let params = engine.params(&SamplingOverrides::from(&args.sampling))?;
    let mut decoder = processor.tokenizer.stream(true);
    let (mut text, mut failure) = (String::new(), None);
    let running = Interruptible::start();
    let mut show = |chunk: String| -> std::io::Result<()> {
        if !args.json {
            print!("{chunk}");
            std::io::stdout().flush()?;
        }
        text.push_str(&chunk);
        Ok(())
    };
    let mut on_step = |step: Step| {
        let chunk = if step.stop {
            Ok(None)
        } else {
            decoder.push(step.token)
        };
        let shown = chunk
            .map_err(anyhow::Error::from)
            .and_then(|chunk| chunk.map_or(Ok(()), |c| show(c).map_err(anyhow::Error::from)));
        match shown {
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
            Ok(()) if running.stopped() => ControlFlow::Break(()),
            Ok(()) => ControlFlow::Continue(()),
        }
    };
    let (mut completions, timings) = engine.generate(&[inputs], &[params], &mut on_step)?;
    drop(running);
    if let Some(error) = failure {
        return Err(error);
    }
    if let Some(rest) = decoder.finish()? {
        show(rest)?;
    }
    if !args.json {
        println!();
    }
    let Some(completion) = completions.pop() else {
        anyhow::bail!("the engine returned no completion for the prompt");
    };
    Ok(Answer {
        parts: split_completion(&text, think),
        text,
        completion,
        timings,
    })
}
