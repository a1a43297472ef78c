//! The crate's error type.

use std::path::PathBuf;

/// Failures of a training step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model refused its input, or a weight cannot be used.
    #[error(transparent)]
    Model(#[from] glmv_model::Error),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] glmv_kernels::device::Error),
    /// A sample that no gradient can be computed for.
    #[error("sample: {reason}")]
    Sample { reason: String },
    /// A checkpoint that cannot be written, or is not what was saved.
    #[error("{path}: {reason}", path = path.display())]
    Checkpoint { path: PathBuf, reason: String },
    /// Gradients that were NaN or infinite too often.
    #[error(
        "the gradients of {steps} steps in a row, up to step {step}, were not finite (norm {norm}){rows}"
    )]
    NotFinite {
        steps: u64,
        step: u64,
        norm: f64,
        /// What the last of them learnt from, where that is known.
        rows: String,
    },
    /// A recipe that cannot be used.
    #[error("{path}: {reason}", path = path.display())]
    Recipe { path: PathBuf, reason: String },
    /// Data that cannot be used.
    #[error(transparent)]
    Data(#[from] glmv_data::Error),
    /// The engine that rolls out failed.
    #[error(transparent)]
    Engine(#[from] glmv_engine::Error),
    /// Settings, curricula, rewards and lengths that do not go together.
    #[error(transparent)]
    Rl(#[from] glmv_rl::Error),
    /// A task that cannot be used.
    #[error("{place}: {reason}")]
    Task { place: String, reason: String },
    /// Rollout and trainer do not agree on the same weights.
    #[error("rollout and trainer do not agree: {0}")]
    Disagreement(Box<crate::rl::Mismatch>),
    /// A worker failed, and the step with it.
    #[error("worker {name}: {error}")]
    Worker { name: String, error: Box<Error> },
    /// What happens outside of training: a report that cannot be written, an answer that fails.
    #[error("{0}")]
    Other(String),
    /// Settings that contradict each other or the model.
    #[error("{key}: {reason}")]
    Setting { key: String, reason: String },
}
