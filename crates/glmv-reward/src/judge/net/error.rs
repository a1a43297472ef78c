//! Failures of an HTTP call, and the kinds all failures of judges and user rewards are counted by.

use serde::Serialize;

/// Kind of a failure, for statistics. A failure is never a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// Settings that cannot work.
    Config,
    /// No connection, or one that broke.
    Connection,
    /// No complete reply in time.
    TimedOut,
    /// The server asked for fewer or later requests (429, 425).
    RateLimited,
    /// Status 5xx.
    Server,
    /// Any other status that is not 2xx.
    Client,
    /// A reply that is not what the protocol says: garbage, cut off, unknown or repeated ids.
    Reply,
    /// The model's text holds no verdict.
    Unparsed,
    /// The model's text ended at the token limit.
    CutOff,
    /// The model or its filter refused to answer.
    Refused,
    /// The local engine failed.
    Generate,
    /// Too few judges answered.
    NoQuorum,
    /// The judges were split and the rule decides nothing.
    Tie,
    /// The cache file.
    Cache,
    /// The child process could not be started.
    Start,
    /// The child process ended.
    ChildExit,
    /// The user's program reported an error for this sample.
    Declined,
    /// NaN or infinite.
    NotFinite,
}

/// An HTTP call that gave no usable reply.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// A field of [`super::EndpointConfig`] cannot be used.
    #[error("endpoint: `{field}`: {reason}")]
    Config {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The API key cannot be read.
    #[error("the environment variable {variable} must hold an API key of printable characters")]
    NoKey {
        /// Name of the environment variable.
        variable: String,
    },
    /// No connection, or one that broke.
    #[error("{url}: {reason}")]
    Connection {
        /// The address.
        url: String,
        /// The client's message.
        reason: String,
    },
    /// No complete reply in time.
    #[error("{url}: no complete reply within {secs} s")]
    TimedOut {
        /// The address.
        url: String,
        /// The limit in seconds.
        secs: f64,
    },
    /// A status other than 2xx.
    #[error("{url}: status {status}{}: {excerpt}", retry_text(*.retry_after_secs))]
    Status {
        /// The address.
        url: String,
        /// The status code.
        status: u16,
        /// The server's `Retry-After` in seconds, if it sent one.
        retry_after_secs: Option<f64>,
        /// Start of the body.
        excerpt: String,
    },
    /// A body that breaks off, is too long or is not what was asked for.
    #[error("{url}: the reply cannot be used: {reason}")]
    Reply {
        /// The address.
        url: String,
        /// What is wrong, with an excerpt.
        reason: String,
    },
}

fn retry_text(secs: Option<f64>) -> String {
    secs.map_or_else(String::new, |secs| format!(" (retry after {secs} s)"))
}

impl HttpError {
    /// The kind for statistics.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Config { .. } | Self::NoKey { .. } => FailureKind::Config,
            Self::Connection { .. } => FailureKind::Connection,
            Self::TimedOut { .. } => FailureKind::TimedOut,
            Self::Status {
                status: 425 | 429, ..
            } => FailureKind::RateLimited,
            Self::Status { status: 408, .. } => FailureKind::TimedOut,
            Self::Status {
                status: 500..=599, ..
            } => FailureKind::Server,
            Self::Status { .. } => FailureKind::Client,
            Self::Reply { .. } => FailureKind::Reply,
        }
    }

    /// `Retry-After` in seconds, where the server sent one.
    pub(crate) fn retry_after_secs(&self) -> Option<f64> {
        match self {
            Self::Status {
                retry_after_secs, ..
            } => *retry_after_secs,
            Self::Config { .. }
            | Self::NoKey { .. }
            | Self::Connection { .. }
            | Self::TimedOut { .. }
            | Self::Reply { .. } => None,
        }
    }
}

impl FailureKind {
    /// True where another attempt may succeed.
    pub(crate) fn is_passing(self) -> bool {
        match self {
            Self::Connection
            | Self::TimedOut
            | Self::RateLimited
            | Self::Server
            | Self::Reply
            | Self::Unparsed
            | Self::CutOff
            | Self::Generate
            | Self::ChildExit => true,
            Self::Config
            | Self::Client
            | Self::Refused
            | Self::NoQuorum
            | Self::Tie
            | Self::Cache
            | Self::Start
            | Self::Declined
            | Self::NotFinite => false,
        }
    }
}

/// The first `max_chars` characters of `text` on one line, for messages.
pub(crate) fn excerpt(text: &str, max_chars: usize) -> String {
    let mut short: String = text
        .chars()
        .take(max_chars)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(max_chars).is_some() {
        short.push('…');
    }
    short
}
