//! The crate's error type.

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
    /// Settings that contradict each other or the model.
    #[error("{key}: {reason}")]
    Setting { key: String, reason: String },
}
