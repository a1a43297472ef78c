//! The crate's error type: bad configuration and bad data, never a bad answer.

/// What can go wrong before an answer is judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A domain that does not exist.
    #[error("unknown domain {name:?}; known: {known}")]
    Domain {
        /// The name given.
        name: String,
        /// Every name, separated by commas.
        known: String,
    },
    /// A parameter that a domain does not have, or with a value it cannot have.
    #[error("parameter {key:?} of domain {domain}: {reason}")]
    Parameter {
        /// The domain.
        domain: &'static str,
        /// The parameter.
        key: String,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// A ground truth that the domain cannot read.
    #[error("ground truth of domain {domain}: {reason}")]
    GroundTruth {
        /// The domain.
        domain: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A reward config that cannot be read.
    #[error("{file}: {reason}")]
    Config {
        /// The file, or what stands for it.
        file: String,
        /// The parser's message with line and column, or the entry and what is wrong with it.
        reason: String,
    },
    /// A data source that the config does not name.
    #[error("data source {name:?} is not in the reward config; known: {known}")]
    Source {
        /// The source.
        name: String,
        /// Every source, separated by commas.
        known: String,
    },
    /// A file that cannot be read.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The system's message.
        source: std::io::Error,
    },
    /// A row of a case file that is no case.
    #[error("{file}: {row}: {reason}")]
    Row {
        /// The file.
        file: String,
        /// The row: `line 3`, `case 7 ("id")`.
        row: String,
        /// What is wrong.
        reason: String,
    },
}
