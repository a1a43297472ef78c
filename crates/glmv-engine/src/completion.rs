//! What a generation gives back.

use serde::Serialize;

/// Why a completion ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// A stop token.
    Stop,
    /// The token limit or the context's end.
    Length,
    /// The callback asked to stop.
    Cancelled,
}

/// Token counts of one completion.
#[derive(Clone, Copy, Debug, Default, Serialize)]
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
#[derive(Clone, Debug)]
pub struct Completion {
    /// Generated ids, a final stop token included.
    pub token_ids: Vec<u32>,
    /// Log-softmax of the raw logits at each generated id.
    pub logprobs: Vec<f32>,
    pub finish_reason: FinishReason,
    pub usage: Usage,
}

/// A new token, as the callback sees it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Row of the batch.
    pub row: usize,
    pub token: u32,
    pub logprob: f32,
    /// True for a stop token, which is not part of the text.
    pub stop: bool,
}
