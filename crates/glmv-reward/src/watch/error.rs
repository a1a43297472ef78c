//! The error type of the watch.

/// A log that cannot be watched.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// A setting that cannot work.
    #[error("watch: `{field}` = {value} is not {expected}")]
    Config {
        /// The setting.
        field: &'static str,
        /// The value given.
        value: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A line that is no JSON object.
    #[error("line {line}: {reason}")]
    Json {
        /// Line number from 1.
        line: usize,
        /// The parser's message.
        reason: String,
    },
    /// A member that is missing or not what it must be; NaN is written as null by many writers.
    #[error("line {line}: `{field}` is {found}, it must be {expected}")]
    Field {
        /// Line number from 1.
        line: usize,
        /// Path of the member.
        field: String,
        /// What stands there.
        found: String,
        /// What must stand there.
        expected: &'static str,
    },
    /// The log cannot be read.
    #[error("line {line}: {reason}")]
    Read {
        /// Line number from 1.
        line: usize,
        /// The system's message.
        reason: String,
    },
    /// No line of the log has `domains`.
    #[error("none of the {lines} lines has `domains`: there is nothing to watch")]
    NoRecords {
        /// Lines read.
        lines: usize,
    },
}
