//! The crate's errors: [`Error`] names the file and line, [`RowError`] says what is wrong with a row.
//! Readers and the encoder make row errors; whoever knows the place wraps them, once.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// The line that the row starts on, from 1; in parquet, the number of the row.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

impl Place {
    /// `problem` as an error at this place.
    #[must_use]
    pub fn error(&self, problem: RowError) -> Error {
        Error::Row {
            place: self.clone(),
            problem: Box::new(problem),
        }
    }
}

/// Everything that can go wrong between a data file and a packed batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A row cannot be used.
    #[error("{place}: {problem}")]
    Row {
        /// Where.
        place: Place,
        /// What is wrong.
        problem: Box<RowError>,
    },
    /// A file has no rows.
    #[error("{} has no rows", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A JSON array that ends too early, or a row too large for the index.
    #[error("{}:{line}: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// The line where it was noticed.
        line: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A setting that cannot be used.
    #[error("data setting `{key}`: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What would have been accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A saved position does not belong to these files.
    #[error("the saved data position does not fit: {key}: saved {saved}, now {now}")]
    Cursor {
        /// What differs.
        key: String,
        /// The value in the saved position.
        saved: String,
        /// The value of the files as they are.
        now: String,
    },
    /// The checkpoint's tokenizer lacks a token that training needs.
    #[error("the tokenizer has no token `{token}`, which is needed to {purpose}")]
    Token {
        /// The token's text.
        token: String,
        /// What for.
        purpose: &'static str,
    },
    /// The checkpoint's template or tokenizer failed on a probe.
    #[error("cannot prepare the encoder: {source}")]
    Processor {
        /// The reason.
        source: glmv_processor::Error,
    },
    /// A length that cannot be packed.
    #[error("sample {index} has {tokens} tokens; a pack takes 1 to {max_tokens}")]
    Unpackable {
        /// Its place in the list.
        index: usize,
        /// Its length.
        tokens: usize,
        /// The length of a pack.
        max_tokens: usize,
    },
    /// A parquet file cannot be read.
    #[cfg(feature = "parquet")]
    #[error("{}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        source: parquet::errors::ParquetError,
    },
    /// Reading goes on and on without a sample that can be used.
    #[error("no usable sample in {records} records in a row; the last reason: {last}")]
    Fruitless {
        /// Records read since the last usable one.
        records: u64,
        /// Why the last was not used.
        last: String,
    },
    /// The loader's thread could not be started.
    #[error("cannot start the loader: {source}")]
    Thread {
        /// The system's reason.
        source: std::io::Error,
    },
    /// The loader's thread panicked.
    #[error("the loader's thread ended by a panic")]
    LoaderPanicked,
}

/// What is wrong with a row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row is not JSON.
    #[error("not valid JSON: {source}")]
    Json {
        /// The parser's reason; its line counts from the row's start.
        source: serde_json::Error,
    },
    /// The row's bytes could not be read back.
    #[error("cannot be read: {source}")]
    Read {
        /// The system's reason.
        source: std::io::Error,
    },
    /// A field is missing or of the wrong type.
    #[error("{at}: expected {expected}, found {found}")]
    Field {
        /// The field, such as `messages[2].content`.
        at: String,
        /// What would have been accepted.
        expected: String,
        /// What was found, shortened.
        found: String,
    },
    /// The keys fit no known layout.
    #[error(
        "unknown layout: keys {keys}; expected one of `messages`, `conversations`, `text`, \
         `prompt` with `completion`, or `prompt` with `reward_model`"
    )]
    UnknownLayout {
        /// The row's keys, separated by commas.
        keys: String,
    },
    /// The keys fit several layouts.
    #[error("ambiguous layout: it could be {candidates}; name the layout of this file")]
    AmbiguousLayout {
        /// The layouts, separated by commas.
        candidates: String,
    },
    /// The row has another number of markers than pictures or videos.
    #[error("{markers} `{marker}` in the text but {media} in `{list}`")]
    Markers {
        /// `<image>` or `<video>`.
        marker: &'static str,
        /// Markers in the text, and bare parts.
        markers: usize,
        /// The key of the list.
        list: &'static str,
        /// Entries of the list.
        media: usize,
    },
    /// There is nothing to learn from.
    #[error("no assistant turn with loss: nothing to learn from")]
    NoAnswer,
    /// A sample is marked as thinking but has no reasoning.
    #[error("`thinking` is true but no answer has reasoning")]
    NoReasoning,
    /// A sample of tasks where one with answers is wanted, or the other way round.
    #[error("this file holds {found}, but {wanted} are read here")]
    Kind {
        /// What the file holds.
        found: &'static str,
        /// What is wanted.
        wanted: &'static str,
    },
    /// The template changes what it wrote before when turns are added.
    #[error(
        "turn {turn}: the chat template writes it differently when later turns follow, so the \
         answer's place cannot be found"
    )]
    Unstable {
        /// Index of the turn, from 0.
        turn: usize,
    },
    /// The prompt's placeholders do not match its pictures and videos.
    #[error("{found} pictures and videos in the tokens but {expected} in the row")]
    Visuals {
        /// In the row.
        expected: usize,
        /// In the tokens.
        found: usize,
    },
    /// A picture or video cannot be used.
    #[error("{kind} {number} ({origin}): {source}")]
    Media {
        /// `image` or `video`.
        kind: &'static str,
        /// From 1, in the order of the prompt.
        number: usize,
        /// The file, or a description.
        origin: String,
        /// The reason.
        source: Box<glmv_processor::Error>,
    },
    /// The template or the tokenizer refused the row.
    #[error("{source}")]
    Encode {
        /// The reason.
        source: glmv_processor::Error,
    },
    /// The sample does not fit into the sequence.
    #[error("{tokens} tokens, but a sequence takes {max_tokens}")]
    TooLong {
        /// Its length.
        tokens: usize,
        /// The limit.
        max_tokens: usize,
    },
}

impl From<glmv_processor::Error> for RowError {
    fn from(error: glmv_processor::Error) -> Self {
        match error {
            glmv_processor::Error::Conversation {
                at,
                expected,
                found,
            } => Self::Field {
                at,
                expected,
                found,
            },
            source => Self::Encode { source },
        }
    }
}
