//! The error type of user rewards.

use crate::judge::net::CallFailure;
use crate::judge::{FailureKind, HttpError};

/// Why a sample has no score.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// The HTTP call gave no usable reply.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A setting that cannot work.
    #[error("user reward: `{field}`: {reason}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The child cannot be started, or its handshake is not right.
    #[error("user reward `{command}` cannot be started: {reason}")]
    Start {
        /// Program and arguments.
        command: String,
        /// What happened, with the last lines of stderr.
        reason: String,
    },
    /// The child ended while replies were due.
    #[error("user reward `{command}` ended ({status}){}", stderr_text(stderr))]
    Exit {
        /// Program and arguments.
        command: String,
        /// Exit status in words.
        status: String,
        /// The last lines of stderr.
        stderr: String,
    },
    /// No reply in time.
    #[error("user reward `{command}`: no reply within {secs} s")]
    TimedOut {
        /// Program and arguments.
        command: String,
        /// The limit in seconds.
        secs: f64,
    },
    /// A reply that the protocol does not allow.
    #[error("user reward: {reason}: \"{excerpt}\"")]
    Protocol {
        /// What is wrong.
        reason: String,
        /// Start of the line or body.
        excerpt: String,
    },
    /// The reward is NaN or infinite.
    #[error("user reward: {value} is not a finite reward")]
    NotFinite {
        /// The value found.
        value: String,
    },
    /// The user's program says that it has no score for this sample.
    #[error("user reward: {message}")]
    Declined {
        /// Its message.
        message: String,
    },
    /// All attempts failed; the last error is inside.
    #[error("{attempts} attempts failed, the last with: {last}")]
    Exhausted {
        /// Attempts made.
        attempts: u32,
        /// The error of the last one.
        last: Box<UserError>,
    },
    /// A reward returned another number of results than it got samples.
    #[error("user reward: {found} results for {expected} samples")]
    Count {
        /// Samples.
        expected: usize,
        /// Results.
        found: usize,
    },
    /// The worker of this sample broke down: a bug of this crate.
    #[error("user reward: the sample was lost by its worker")]
    Lost,
}

fn stderr_text(stderr: &str) -> String {
    if stderr.is_empty() {
        return String::new();
    }
    format!("; its last words: {stderr}")
}

impl UserError {
    /// The kind for statistics; that of the last attempt where several were made.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Http(error) => error.kind(),
            Self::Config { .. } => FailureKind::Config,
            Self::Start { .. } => FailureKind::Start,
            Self::Exit { .. } | Self::Lost => FailureKind::ChildExit,
            Self::TimedOut { .. } => FailureKind::TimedOut,
            Self::Protocol { .. } | Self::Count { .. } => FailureKind::Reply,
            Self::NotFinite { .. } => FailureKind::NotFinite,
            Self::Declined { .. } => FailureKind::Declined,
            Self::Exhausted { last, .. } => last.kind(),
        }
    }
}

impl CallFailure for UserError {
    fn kind(&self) -> FailureKind {
        self.kind()
    }

    fn retry_after_secs(&self) -> Option<f64> {
        match self {
            Self::Http(error) => error.retry_after_secs(),
            _ => None,
        }
    }

    fn after_attempts(self, attempts: u32) -> Self {
        if attempts <= 1 {
            return self;
        }
        Self::Exhausted {
            attempts,
            last: Box::new(self),
        }
    }
}
