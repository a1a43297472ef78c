//! The crate's error type: every message names the file, key or tensor and what was expected.

use std::path::PathBuf;

/// Failures of reading a configuration or a checkpoint, or of running the model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {reason}", path = path.display())]
    File { path: PathBuf, reason: String },
    /// A configuration key is absent.
    #[error("{file}: key {key} is missing")]
    MissingKey { file: String, key: String },
    /// A configuration value cannot be used.
    #[error("{file}: {key} is {found}, expected {expected}")]
    BadValue {
        file: String,
        key: String,
        found: String,
        expected: String,
    },
    /// A shard is not a well-formed safetensors file.
    #[error("{path}: not a valid safetensors file: {reason}", path = path.display())]
    Shard { path: PathBuf, reason: String },
    /// A tensor of the configuration is not in the checkpoint.
    #[error("tensor {name} is missing from the checkpoint{more}")]
    MissingTensor { name: String, more: String },
    /// Tensors that the configuration does not know.
    #[error("the checkpoint has {count} tensor(s) this model does not use, first {name}")]
    SurplusTensor { name: String, count: usize },
    /// A tensor of another shape than the configuration gives.
    #[error("tensor {name} has shape {found:?}, the configuration needs {expected:?}")]
    Shape {
        name: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    /// A tensor of a type this loader cannot read.
    #[error("tensor {name} has dtype {found}, expected F32, F16 or BF16")]
    Dtype { name: String, found: String },
    /// A weight is NaN or infinite, in the file or after the cast.
    #[error("tensor {name} holds {value} at element {index}")]
    NotFinite {
        name: String,
        index: usize,
        value: f32,
    },
    /// A weight that cannot be quantised.
    #[error("tensor {name} cannot be quantised: {source}")]
    Quantise {
        name: String,
        source: glmv_quant::Error,
    },
    /// Codes or scales in a file that do not fit the configuration or the request.
    #[error("{name}: {reason}")]
    Codes { name: String, reason: String },
    /// A row of a matrix does not fit one buffer of the device.
    #[error(
        "tensor {name}: one row of {needed} bytes exceeds the device's buffer limit of {limit}"
    )]
    TooLarge {
        name: String,
        needed: u64,
        limit: u64,
    },
    /// An adapter that cannot be, or not for this model.
    #[error("adapter: {reason}")]
    Adapter { reason: String },
    /// Inputs of a forward pass disagree.
    #[error("model input: {reason}")]
    Input { reason: String },
    /// A KV cache that cannot be.
    #[error("KV cache: {reason}")]
    KvPool { reason: String },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] glmv_kernels::device::Error),
}
