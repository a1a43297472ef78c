//! The error type of the crate.

use std::io;
use std::path::{Path, PathBuf};

/// A run that cannot be recorded, or records that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A line that is no record; a last line without an end is not one of those.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A member of a record that is not what it must be.
    #[error("{}:{line}: `{field}` is {found}, it must be {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// The member.
        field: String,
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// A step that is recorded out of order.
    #[error("{}: step {step} cannot follow step {last}", path.display())]
    Order {
        /// The file.
        path: PathBuf,
        /// The step that was given.
        step: u64,
        /// The last one of the file.
        last: u64,
    },
    /// A name that cannot be recorded.
    #[error("`{name}` is no name for a value: {reason}")]
    Name {
        /// The name, parts joined by `/`.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// Null inside of a recorded value: `serde_json` writes NaN so, and the two cannot be told apart.
    #[error("`{name}` has a null: NaN must be recorded as a number of its own")]
    Null {
        /// The name, parts joined by `/`.
        name: String,
    },
    /// A folder that already has a run, where a new one is to begin.
    #[error("{} already has a run: resume it, or choose another folder", path.display())]
    Exists {
        /// The file that is there.
        path: PathBuf,
    },
    /// A folder that another process writes to.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file that is locked.
        path: PathBuf,
    },
    /// A picture that cannot be kept.
    #[error("picture: {reason}")]
    Picture {
        /// What is wrong.
        reason: String,
    },
}

/// Makes an [`Error::Io`] of a system's error.
pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        path,
        action,
        source,
    }
}
