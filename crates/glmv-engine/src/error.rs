//! The crate's error type.

use std::path::PathBuf;

/// Failures of loading or generating.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Model(#[from] glmv_model::Error),
    #[error(transparent)]
    Processor(#[from] glmv_processor::Error),
    #[error(transparent)]
    Sampling(#[from] glmv_sampling::Error),
    #[error(transparent)]
    Device(#[from] glmv_kernels::device::Error),
    /// A file of the checkpoint folder cannot be read.
    #[error("{path}: {reason}", path = path.display())]
    File { path: PathBuf, reason: String },
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {prompt} tokens, the model's context is {limit}: shorten it or use smaller pictures"
    )]
    TooLong { prompt: usize, limit: usize },
    /// The prompt does not fit the KV pool.
    #[error(
        "the prompt has {prompt} tokens, the KV cache holds {limit}: shorten it or give the cache more blocks"
    )]
    NoRoom { prompt: usize, limit: usize },
    /// Nothing to run.
    #[error("no prompt was given")]
    Empty,
    /// Pixel values and grids disagree.
    #[error("the grids of the prompt need {needed} pixel values, there are {found}")]
    Pixels { needed: usize, found: usize },
    /// Tokens could not be chosen: a bug in the bookkeeping of rows.
    #[error("choosing tokens: {reason}")]
    Sample { reason: String },
    /// Prompts and parameters of a batch differ in number.
    #[error("{prompts} prompts with {params} sets of sampling parameters")]
    Count { prompts: usize, params: usize },
    /// A request for no completion.
    #[error("a request for 0 samples")]
    NoSamples,
    /// A size of the configuration is out of range.
    #[error("engine configuration: {reason}")]
    Config { reason: String },
    /// The bookkeeping of blocks failed: a bug, not a full cache.
    #[error("requests wait for KV blocks and none runs; {available} of {limit} are available")]
    Stuck { available: usize, limit: usize },
}

impl From<glmv_kernels::SampleError> for Error {
    fn from(error: glmv_kernels::SampleError) -> Self {
        use glmv_kernels::SampleError;
        match error {
            SampleError::Device(error) => error.into(),
            SampleError::Sampling(error) => error.into(),
            error => Error::Sample {
                reason: error.to_string(),
            },
        }
    }
}
