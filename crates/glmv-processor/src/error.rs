//! The crate's one error type: every variant names the file, key or token that is wrong, what was
//! expected and what was found. Nothing is replaced by a default when it cannot be read.

use std::path::PathBuf;

use crate::resize::ResizeError;

/// Everything that can go wrong between a conversation and the model's inputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A checkpoint directory lacks a file.
    #[error("{} has no {wanted}", dir.display())]
    MissingFile {
        /// The checkpoint directory.
        dir: PathBuf,
        /// File name(s) that would have been accepted.
        wanted: String,
    },
    /// A file is not valid JSON.
    #[error("{} is not valid JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's reason, with line and column.
        source: serde_json::Error,
    },
    /// A configuration key is missing or holds something unusable.
    #[error("{}: key `{key}`: expected {expected}, found {found}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// The key, dotted when nested.
        key: String,
        /// What would have been accepted.
        expected: String,
        /// What the file holds.
        found: String,
    },
    /// The tokenizer file cannot be used, or the tokenizer refused a text.
    #[error("tokenizer {}: {reason}", path.display())]
    Tokenizer {
        /// The tokenizer file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A placeholder token is absent from the tokenizer or has another id than config.json says.
    #[error(
        "token `{token}`: config.json key `{key}` says {expected}, but the tokenizer gives {}",
        found.map_or("no such token".to_owned(), |id| id.to_string())
    )]
    TokenId {
        /// The token's text.
        token: String,
        /// The key in config.json.
        key: String,
        /// The id in config.json.
        expected: u32,
        /// The id in the tokenizer, if it knows the token.
        found: Option<u32>,
    },
    /// The chat template is malformed or refused the conversation.
    #[error("chat template: {reason}")]
    Template {
        /// The reason, with the template line where known.
        reason: String,
    },
    /// A conversation in JSON has an unusable field.
    #[error("conversation: {at}: expected {expected}, found {found}")]
    Conversation {
        /// Where, such as `messages[2].content[0].image_url`.
        at: String,
        /// What would have been accepted.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The prompt has another number of placeholders than pictures or videos were given.
    #[error("the prompt holds {found} `{token}` but {expected} were given")]
    PlaceholderCount {
        /// `<|image|>` or `<|video|>`.
        token: String,
        /// Pictures or videos given.
        expected: usize,
        /// Placeholders in the rendered prompt.
        found: usize,
    },
    /// A picture could not be decoded.
    #[error("picture {origin}: {reason}")]
    Image {
        /// The file, or a description of bytes given in memory.
        origin: String,
        /// The decoder's reason.
        reason: String,
    },
    /// A picture or video frame is larger than the limit; nothing of that size was allocated.
    #[error("{origin}: {width}x{height} pixels exceed the limit of {max_pixels} pixels")]
    TooLarge {
        /// The file, or a description of bytes given in memory.
        origin: String,
        /// Width in pixels as declared.
        width: u64,
        /// Height in pixels as declared.
        height: u64,
        /// The limit on width x height.
        max_pixels: u64,
    },
    /// A file is larger than the limit on files that are read into memory.
    #[error("{}: {bytes} bytes exceed the limit of {max_bytes} bytes", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        bytes: u64,
        /// The limit in bytes.
        max_bytes: u64,
    },
    /// A picture or clip has a size the model cannot take.
    #[error("{origin}: {source}")]
    Resize {
        /// The file, or a description of data given in memory.
        origin: String,
        /// Which rule it breaks.
        source: ResizeError,
    },
    /// A video is malformed, truncated or cannot be sampled.
    #[error("video {origin}: {reason}")]
    Video {
        /// The file, or a description of frames given in memory.
        origin: String,
        /// The reason.
        reason: String,
    },
    /// An external program is missing, failed or took too long.
    #[error("{}: program `{program}`: {reason}", path.display())]
    ExternalProgram {
        /// The video it was run for.
        path: PathBuf,
        /// The program.
        program: String,
        /// The reason.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Video`] with the given origin and reason.
    pub(crate) fn video(origin: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Video {
            origin: origin.into(),
            reason: reason.into(),
        }
    }

    /// An [`Error::Image`] with the given origin and reason.
    pub(crate) fn image(origin: impl Into<String>, reason: impl ToString) -> Self {
        Self::Image {
            origin: origin.into(),
            reason: reason.to_string(),
        }
    }
}
