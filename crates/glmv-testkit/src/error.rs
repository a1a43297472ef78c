//! The crate's error type.

use std::path::PathBuf;

/// What can go wrong while reading golden files or writing test checkpoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A JSON file is not what it should be.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
    /// A case of `cases.json` is not what it should be.
    #[error("{}: case {case}: {reason}", path.display())]
    Case {
        /// The `cases.json`.
        path: PathBuf,
        /// The case's id, or its number where it has none.
        case: String,
        /// What was expected and found.
        reason: String,
    },
    /// No case of this id.
    #[error("{}: no case {id}", path.display())]
    NoCase {
        /// The `cases.json`.
        path: PathBuf,
        /// The id asked for.
        id: String,
    },
    /// A safetensors file is broken.
    #[error("{}: not a safetensors file: {reason}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor is missing, surplus or of another type or shape.
    #[error("{}: tensor {tensor}: {reason}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What was expected and found.
        reason: String,
    },
    /// A tolerance of a form this reader does not know.
    #[error("tolerance {text} is not understood: {reason}")]
    Tolerance {
        /// The JSON text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two lists that should be compared have different lengths.
    #[error("{got} values were given where {want} are expected")]
    Length {
        /// Length of the result.
        got: usize,
        /// Length of the reference.
        want: usize,
    },
    /// A negative control of no values.
    #[error("nothing to perturb: there is no finite value among {len}")]
    NothingToPerturb {
        /// Number of values given.
        len: usize,
    },
    /// A file differs from the manifest.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        reason: String,
    },
}

impl Error {
    /// Gives an I/O error its path.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
