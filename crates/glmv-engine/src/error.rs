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
    /// Nothing to run.
    #[error("no prompt was given")]
    Empty,
    /// Prompts and parameters of a batch differ in number.
    #[error("{prompts} prompts with {params} sets of sampling parameters")]
    Count { prompts: usize, params: usize },
}
