//! The object that `glmv run --json` prints.

use super::Answer;
use crate::session::Session;
use glmv_engine::{FinishReason, Usage};
use serde::Serialize;

#[derive(Serialize)]
struct Report<'a> {
    text: &'a str,
    reasoning: &'a str,
    answer: Option<&'a str>,
    boxes: &'a [String],
    token_ids: &'a [u32],
    logprobs: &'a [f32],
    finish_reason: FinishReason,
    usage: Usage,
    timings: Times,
    device: Device<'a>,
}

/// Seconds, and tokens per second where there is something to divide.
#[derive(Serialize)]
struct Times {
    load_s: f64,
    vision_s: f64,
    prefill_s: f64,
    decode_s: f64,
    prefill_tok_s: f64,
    decode_tok_s: Option<f64>,
}

#[derive(Serialize)]
struct Device<'a> {
    backend: &'a str,
    name: &'a str,
    driver: &'a str,
}

/// Prints the report of `answer` on stdout.
pub fn print(session: &Session, answer: &Answer) -> anyhow::Result<()> {
    let (completion, timings) = (&answer.completion, &answer.timings);
    // The first token comes from the prefill; the decode loop makes the others.
    let decoded = completion.token_ids.len().saturating_sub(1);
    let report = Report {
        text: &answer.text,
        reasoning: &answer.parts.reasoning,
        answer: answer.parts.answer.as_deref(),
        boxes: &answer.parts.boxes,
        token_ids: &completion.token_ids,
        logprobs: &completion.logprobs,
        finish_reason: completion.finish_reason,
        usage: completion.usage,
        timings: Times {
            load_s: session.load_s,
            vision_s: timings.vision_s,
            prefill_s: timings.prefill_s,
            decode_s: timings.decode_s,
            prefill_tok_s: completion.usage.prompt_tokens as f64 / timings.prefill_s,
            decode_tok_s: (decoded > 0).then(|| decoded as f64 / timings.decode_s),
        },
        device: Device {
            backend: &session.device.backend,
            name: &session.device.name,
            driver: &session.device.driver,
        },
    };
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
