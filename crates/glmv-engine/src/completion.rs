//! What a generation gives back.

use crate::request::RequestId;
use serde::Serialize;

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// A stop token.
    Stop,
    /// The token limit, the context's end or the KV pool's end.
    Length,
    /// The caller asked to stop.
    Cancelled,
}

/// Token counts of one completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub visual_tokens: usize,
    pub completion_tokens: usize,
}

/// Wall time of one batch, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    pub vision_s: f64,
    pub prefill_s: f64,
    pub decode_s: f64,
}

/// One generated sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// Generated ids, a final stop token included.
    pub token_ids: Vec<u32>,
    /// Log-probability of each generated id, as [`glmv_sampling::SamplingParams::logprobs`] asks for.
    pub logprobs: Vec<f32>,
    /// Places in `token_ids` that the thinking budget chose: trainers leave them out of the loss.
    pub forced: Vec<usize>,
    pub finish_reason: FinishReason,
    pub usage: Usage,
}

/// A new token of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token {
    pub request: RequestId,
    /// Which of the request's samples.
    pub sample: usize,
    /// Place in the completion.
    pub index: usize,
    pub token: u32,
    pub logprob: f32,
    /// Chosen by the thinking budget, not sampled.
    pub forced: bool,
    /// True for a stop token, which is not part of the text.
    pub stop: bool,
}

/// What a step of the engine brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Token(Token),
    /// The last event of a sample.
    Finished {
        request: RequestId,
        sample: usize,
        completion: Completion,
    },
}

impl Event {
    /// The request the event belongs to.
    pub fn request(&self) -> RequestId {
        match self {
            Event::Token(token) => token.request,
            Event::Finished { request, .. } => *request,
        }
    }
}

/// A new token, as the callback of [`Engine::generate`](crate::Engine::generate) sees it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Row of the batch.
    pub row: usize,
    pub token: u32,
    pub logprob: f32,
    /// True for a stop token, which is not part of the text.
    pub stop: bool,
}
