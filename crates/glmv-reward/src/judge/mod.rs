//! Judges: where no rule decides, a model is asked. A [`JudgeRequest`] goes in, a [`Judgement`] or
//! a typed [`JudgeError`] comes out. Called by the domains' verdicts and by the program.
//!
//! A judge that fails is an error that is counted and retried, never a score; a reply that does not
//! parse by the grammar of [`VerdictForm`] is such a failure.
//!
//! | judge | asks |
//! |---|---|
//! | [`HttpJudge`] | a server with OpenAI's chat completions |
//! | [`LocalJudge`] | anything that generates text, such as this project's engine |
//! | [`Majority`] | several judges, and counts their votes |
//! | [`Cached`] | another judge, once per different request |
//! | [`Scripted`] | a list of replies, for tests |
//!
//! [`RewardModel`] is the other kind of model: a scalar score of the answer segment.
//!
//! ```
//! use glmv_reward::judge::{Judge, JudgeRequest, Scripted, Verdict};
//!
//! let judge = Scripted::replies(["Both are one half.\nVerdict: 1"]);
//! let request = JudgeRequest::new("What is 1/2?", "0.5", "1/2")
//!     .with_user_message("Question: …\nAnswer: 0.5\nReference: 1/2\nAre they equal?");
//! assert_eq!(judge.judge(&request)?.verdict, Verdict::Right);
//! # Ok::<(), glmv_reward::judge::JudgeError>(())
//! ```

mod cache_file;
mod cached;
mod error;
mod http;
mod local;
mod majority;
pub(crate) mod net;
mod request;
mod reward_model;
mod scripted;
mod verdict;

pub use cached::{CacheConfig, Cached};
pub use error::JudgeError;
pub use http::{HttpJudge, HttpJudgeConfig};
pub use local::{Generate, GenerateRequest, Generated, LocalJudge};
pub use majority::{Majority, MajorityRule, ScoreRule, TieRule};
pub use net::{CallStats, EndpointConfig, FailureKind, HttpError};
pub use request::{JudgeRequest, Message, Role};
pub use reward_model::{
    HttpRewardModel, HttpRewardModelConfig, RewardModel, RewardQuery, ScriptedRewardModel,
};
pub use scripted::Scripted;
pub use verdict::{Verdict, VerdictError, VerdictForm};

use serde::{Deserialize, Serialize};

/// What a judge says about one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Right, wrong, or a score in 0..=1.
    pub verdict: Verdict,
    /// The model's whole text; with several judges, their texts one after another.
    pub raw: String,
    /// Tokens that were spent, as the servers count them; 0 where they do not say.
    pub usage: TokenUsage,
}

/// Tokens of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the reply.
    pub completion_tokens: u64,
}

/// Somebody who can say whether an answer is right.
pub trait Judge: Send + Sync {
    /// Name of the judge; two judges of one name must give the same verdicts, see [`Cached`].
    fn name(&self) -> &str;

    /// Judges one answer.
    ///
    /// # Errors
    /// If no verdict could be had after all attempts.
    fn judge(&self, request: &JudgeRequest) -> Result<Judgement, JudgeError>;

    /// Judges many answers, at the same time where the judge can; one result per request, in order.
    fn judge_batch(&self, requests: &[JudgeRequest]) -> Vec<Result<Judgement, JudgeError>> {
        requests.iter().map(|request| self.judge(request)).collect()
    }

    /// What has been counted since the judge was made; with the judges inside it.
    fn stats(&self) -> CallStats;
}

impl<J: Judge + ?Sized> Judge for std::sync::Arc<J> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn judge(&self, request: &JudgeRequest) -> Result<Judgement, JudgeError> {
        (**self).judge(request)
    }

    fn judge_batch(&self, requests: &[JudgeRequest]) -> Vec<Result<Judgement, JudgeError>> {
        (**self).judge_batch(requests)
    }

    fn stats(&self) -> CallStats {
        (**self).stats()
    }
}
