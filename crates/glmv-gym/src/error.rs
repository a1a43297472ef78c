//! The crate's error type.

/// What can go wrong while items are made, written or audited.
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
    /// A split that does not exist.
    #[error("unknown split {name:?}; known: train, validation, test")]
    Split {
        /// The name given.
        name: String,
    },
    /// A layout of data sets that does not exist.
    #[error("unknown layout {name:?}; known: sft, rl, caption")]
    Layout {
        /// The name given.
        name: String,
    },
    /// A level out of range.
    #[error("level {level}: expected 1 to {max}")]
    Level {
        /// The level given.
        level: u8,
        /// The hardest.
        max: u8,
    },
    /// A seed that belongs to no split.
    #[error("seed {seed}: expected a seed below {limit}")]
    Seed {
        /// The seed given.
        seed: u64,
        /// The first seed that belongs to no split.
        limit: u64,
    },
    /// A picture size out of range.
    #[error("side {side}: expected {low} to {high} pixels")]
    Side {
        /// The side given.
        side: u32,
        /// The smallest.
        low: u32,
        /// The largest.
        high: u32,
    },
    /// A share out of range.
    #[error("{what} = {value}: expected 0 to 1")]
    Share {
        /// Which share.
        what: &'static str,
        /// The value given.
        value: f64,
    },
    /// Nothing to make.
    #[error("no {what} given: expected at least one")]
    Nothing {
        /// What is missing.
        what: &'static str,
    },
    /// A task that a level does not have, or that has no combination of the split.
    #[error("{domain} level {level}: nothing of the tasks {tasks}; others: {others}")]
    Task {
        /// The domain.
        domain: &'static str,
        /// The level.
        level: u8,
        /// The tasks asked for.
        tasks: String,
        /// Those that turned up instead.
        others: String,
    },
    /// No combination of the split turned up.
    #[error(
        "{domain} level {level} seed {seed}: no combination of the split {split} in {tries} tries"
    )]
    Combination {
        /// The domain.
        domain: &'static str,
        /// The level.
        level: u8,
        /// The seed.
        seed: u64,
        /// The split.
        split: &'static str,
        /// How often was drawn.
        tries: u64,
    },
    /// A tokenizer that cannot be learnt.
    #[error("vocabulary of {size} tokens: {reason}")]
    Vocabulary {
        /// The size asked for.
        size: usize,
        /// What stands against it.
        reason: String,
    },
    /// A completion that the rules cannot judge.
    #[error("item {id}: {reason}")]
    Judgement {
        /// The item.
        id: String,
        /// The reward system's message.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The system's message.
        source: std::io::Error,
    },
    /// A picture that cannot be read or written.
    #[error("{path}: {source}")]
    Picture {
        /// The file.
        path: String,
        /// The codec's message.
        source: image::ImageError,
    },
    /// A row that cannot be read.
    #[error("{path}, line {line}: {key}: {reason}")]
    Row {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// The field.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// A file error.
    pub(crate) fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File {
            path: path.display().to_string(),
            source,
        }
    }

    /// A codec error.
    pub(crate) fn picture(path: &std::path::Path, source: image::ImageError) -> Self {
        Self::Picture {
            path: path.display().to_string(),
            source,
        }
    }
}
