//! Rewards of the user's own, without recompiling: samples go out, scores or typed errors come back.
//! Called by the reward system for data sources that name one.
//!
//! | kind | how |
//! |---|---|
//! | [`ProcessReward`] | child processes that speak JSON lines over stdin and stdout |
//! | [`HttpReward`] | a server that takes JSON batches |
//! | a closure or type | anything that implements [`UserReward`] |
//!
//! # The protocol of child processes, version 1
//!
//! UTF-8 lines of JSON, one object per line. The program writes to the child's stdin, the child
//! answers on stdout; stderr goes to the log.
//!
//! ```text
//! program  {"protocol":"glmv-reward","version":1}
//! child    {"protocol":"glmv-reward","version":1}
//! program  {"id":0,"sample":{"data_source":"poems","question":"…","response":"…","ground_truth":"…",…}}
//! program  {"id":1,"sample":{…}}
//! child    {"id":1,"reward":0.5}
//! child    {"id":0,"error":"no reference"}
//! ```
//!
//! 1. The first line of both sides is the handshake; another version is refused.
//! 2. Each request gets exactly one reply with its `id`: `reward`, a finite number, or `error`, a
//!    text. Replies may come in any order; other members are ignored.
//! 3. Flush after every line. When stdin ends, exit.
//! 4. Up to [`ProcessConfig::in_flight`] requests are sent ahead of their replies, and
//!    [`ProcessConfig::workers`] children run at the same time; they share nothing.
//!
//! A child that exits, is silent for [`ProcessConfig::timeout_secs`] while replies are due, or
//! breaks the protocol (no JSON, an unknown or repeated id, NaN) is killed and started again. Its
//! open samples are tried again, one at a time, so that the one to blame cannot spoil others; after
//! [`ProcessConfig::max_attempts`] a sample ends in an error. An error is never a score.
//!
//! A child is the head of its own process group (Unix) or job (Windows), which is killed as a whole.
//!
//! The body of [`HttpReward`] is `{"protocol":"glmv-reward","version":1,"samples":[{"id":0,
//! "sample":{…}},…]}`, the reply `{"rewards":[{"id":0,"reward":0.5},…]}` with the same two forms.
//!
//! `examples/user_reward.py` of this crate is a child to copy. A closure is a reward too:
//!
//! ```
//! use glmv_reward::user::{RewardSample, UserReward};
//!
//! let short = |samples: &[RewardSample]| {
//!     let score = |s: &RewardSample| Ok(if s.response.len() < 80 { 1.0 } else { 0.0 });
//!     samples.iter().map(score).collect()
//! };
//! let sample = RewardSample { response: "Brevity.".to_owned(), ..RewardSample::default() };
//! assert_eq!(short.score(&[sample]), [Ok(1.0)]);
//! ```

mod child;
mod error;
mod http;
mod process;
mod protocol;
mod queue;
mod worker;

pub use error::UserError;
pub use http::{HttpReward, HttpRewardConfig};
pub use process::{ProcessConfig, ProcessReward};

use serde::{Deserialize, Serialize};

use crate::judge::CallStats;

/// What a user's reward sees of one completion.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RewardSample {
    /// Where the prompt comes from, as in the reward configuration.
    pub data_source: String,
    /// The question.
    pub question: String,
    /// The whole completion.
    pub response: String,
    /// The answer in the completion, where its format allowed to extract one.
    pub extracted: Option<String>,
    /// The reference; may be empty.
    pub ground_truth: String,
    /// Whatever the data set holds besides.
    pub meta: serde_json::Map<String, serde_json::Value>,
}

/// A reward of the user's own. Closures of the shape of [`UserReward::score`] are rewards too.
pub trait UserReward: Send + Sync {
    /// Scores a batch: one finite score or error per sample, in order. May be called by several
    /// threads at the same time.
    fn score(&self, samples: &[RewardSample]) -> Vec<Result<f32, UserError>>;

    /// What has been counted; nothing by default.
    fn stats(&self) -> CallStats {
        CallStats::default()
    }
}

impl<F> UserReward for F
where
    F: Fn(&[RewardSample]) -> Vec<Result<f32, UserError>> + Send + Sync,
{
    fn score(&self, samples: &[RewardSample]) -> Vec<Result<f32, UserError>> {
        self(samples)
    }
}

/// Scores a batch with any user reward and checks what the trait promises: as many results as
/// samples and every score finite.
pub fn checked_scores(
    reward: &dyn UserReward,
    samples: &[RewardSample],
) -> Vec<Result<f32, UserError>> {
    let results = reward.score(samples);
    if results.len() != samples.len() {
        let error = UserError::Count {
            expected: samples.len(),
            found: results.len(),
        };
        return vec![Err(error); samples.len()];
    }
    let finite = |score: f32| match score.is_finite() {
        true => Ok(score),
        false => Err(UserError::NotFinite {
            value: score.to_string(),
        }),
    };
    results.into_iter().map(|r| r.and_then(finite)).collect()
}
