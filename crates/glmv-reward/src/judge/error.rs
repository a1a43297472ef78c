//! The error type of judges and reward models.

use super::net::CallFailure;
use super::{FailureKind, HttpError, VerdictError};

/// Why there is no verdict. None of these is ever turned into a score.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// The call gave no usable reply.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The model's text is not in the form that was asked for.
    #[error("judge {judge}: {source}: \"{excerpt}\"")]
    Unparsed {
        /// Name of the judge.
        judge: String,
        /// What is missing or too much.
        source: VerdictError,
        /// End of the text, where the verdict should be.
        excerpt: String,
    },
    /// The model's text ended at the token limit.
    #[error("judge {judge}: the reply was cut off (finish reason {finish_reason})")]
    CutOff {
        /// Name of the judge.
        judge: String,
        /// The finish reason given.
        finish_reason: String,
    },
    /// The model or its filter refused.
    #[error("judge {judge}: refused: {reason}")]
    Refused {
        /// Name of the judge.
        judge: String,
        /// The refusal.
        reason: String,
    },
    /// The local engine failed.
    #[error("judge {judge}: {reason}")]
    Generate {
        /// Name of the judge.
        judge: String,
        /// The engine's message.
        reason: String,
    },
    /// All attempts failed; the last error is inside.
    #[error("{attempts} attempts failed, the last with: {last}")]
    Exhausted {
        /// Attempts made.
        attempts: u32,
        /// The error of the last one.
        last: Box<JudgeError>,
    },
    /// Fewer judges answered than the quorum asks for.
    #[error("{votes} of {judges} judges answered, {quorum} must: {}", reasons.join("; "))]
    NoQuorum {
        /// Judges that answered.
        votes: usize,
        /// Judges asked.
        judges: usize,
        /// Judges that must answer.
        quorum: usize,
        /// The errors of the others, one each.
        reasons: Vec<String>,
    },
    /// As many votes for right as for wrong, and the rule is [`super::TieRule::Error`].
    #[error("{right} judges say right and {wrong} say wrong")]
    Tie {
        /// Votes for right.
        right: usize,
        /// Votes for wrong.
        wrong: usize,
    },
    /// A judge gave a verdict of another form than the request's.
    #[error("judge {judge}: the request asks for {form}, the verdict is {found}")]
    WrongForm {
        /// Name of the judge.
        judge: String,
        /// The form asked for.
        form: &'static str,
        /// The verdict found.
        found: String,
    },
    /// A score of a reward model is NaN or infinite.
    #[error("reward model {model}: the score is {value}")]
    NotFinite {
        /// Name of the reward model.
        model: String,
        /// The value found.
        value: String,
    },
    /// The cache file cannot be used.
    #[error("judge cache {path}{}: {reason}", line.map_or_else(String::new, |n| format!(", line {n}")))]
    Cache {
        /// The file.
        path: String,
        /// Line number from 1, where one is to blame.
        line: Option<usize>,
        /// What is wrong.
        reason: String,
    },
    /// A setting that cannot work.
    #[error("judge: `{field}`: {reason}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl JudgeError {
    /// The kind for statistics; that of the last attempt where several were made.
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Http(error) => error.kind(),
            Self::Unparsed { .. } | Self::WrongForm { .. } => FailureKind::Unparsed,
            Self::CutOff { .. } => FailureKind::CutOff,
            Self::Refused { .. } => FailureKind::Refused,
            Self::Generate { .. } => FailureKind::Generate,
            Self::Exhausted { last, .. } => last.kind(),
            Self::NoQuorum { .. } => FailureKind::NoQuorum,
            Self::Tie { .. } => FailureKind::Tie,
            Self::NotFinite { .. } => FailureKind::NotFinite,
            Self::Cache { .. } => FailureKind::Cache,
            Self::Config { .. } => FailureKind::Config,
        }
    }
}

impl CallFailure for JudgeError {
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
        if attempts == 1 {
            return self;
        }
        Self::Exhausted {
            attempts,
            last: Box::new(self),
        }
    }
}
