//! What is asked of the engine.

use glmv_processor::ModelInputs;
use glmv_sampling::SamplingParams;

/// Names a request of one engine; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(crate) u64);

/// A prompt and how to continue it.
#[derive(Clone, Debug)]
pub struct Request {
    pub inputs: ModelInputs,
    pub params: SamplingParams,
    /// Completions of the prompt, at least 1; they share its prefill and its visual features.
    pub samples: usize,
    /// Sample i draws from stream `stream + i` of the seed.
    pub stream: u64,
}

impl Request {
    /// One completion from stream 0.
    pub fn new(inputs: ModelInputs, params: SamplingParams) -> Self {
        Request {
            inputs,
            params,
            samples: 1,
            stream: 0,
        }
    }

    /// `samples` completions of the same prompt.
    #[must_use]
    pub fn samples(self, samples: usize) -> Self {
        Request { samples, ..self }
    }
}
