//! The watch: a training log goes in line by line, alarms come out when the reward is being hacked
//! or the policy falls apart. Called by the command line, and by the trainer while it runs.
//!
//! Source: GLM-V paper (arXiv 2507.01006), the reward system: one flawed verifier makes the whole run
//! collapse: the reward rises while accuracy stays flat, and answers such as "a correct number
//! between 0 and 10" pass.
//!
//! # The log
//!
//! One JSON object per line. Lines without `domains` are skipped, other members are ignored.
//!
//! ```text
//! {"step": 120, "domains": {"counting": {
//!    "reward": 0.61,                 mean reward of the batch; required, the rest is optional
//!    "held_out_accuracy": 0.44,      of a verifier the policy is not trained on; may be rare
//!    "response_length": 812.0,       mean, in tokens
//!    "repetition_rate": 0.01,        share of answers with repeated blocks, 0..=1
//!    "format_rate": 0.98,            share of answers in the right format, 0..=1
//!    "entropy": 0.71,                mean entropy per token
//!    "format_entropy": 1.9,          entropy of the forms of the answers
//!    "samples": [{"answer": "7", "reward": 1.0, "id": "q17"}, …]
//! }}}
//! ```
//!
//! A number that is missing where it is named (`null`, `NaN`) is an error with its line. A step that
//! is not above the last one means that the run was resumed: what came after it is forgotten.
//!
//! # What is looked for, per domain
//!
//! | signal | alarm when |
//! |---|---|
//! | held-out | the reward rises over the last `window` or `4 · window` records ([`Trend`]: by `min_rise`, Mann-Kendall z of `trend_z`) and the held-out accuracy gains, with confidence, less than `min_transfer` of it, where it has room for as much below 1 and is below 0.95 |
//! | length | the median of the last `recent` records is `length_ratio` times that of the `reference` before; or `length_limit` times that of the start without a gain in held-out accuracy |
//! | repetition | in the same way higher by `repetition_rise`; or by `repetition_limit` than at the start |
//! | format rate | in the same way lower by `format_fall`; or by `format_limit` than at the start |
//! | both entropies | in the same way lower by the share `entropy_fall`; or below the share `entropy_limit` of the start |
//!
//! Jumps must also be `shift_sigmas` robust deviations of the reference's residuals (median absolute
//! deviation around its Theil-Sen line), and everything must hold for `persist` records in a row.
//! A length that grows, or an entropy per token that falls, while the held-out accuracy rises or when
//! nearly all of it is right, is what training is for, and no alarm.
//!
//! An alarm is [`Outcome::Pause`] where the reward rises at the same time (for the held-out signal:
//! where accuracy falls, the gap to the reward grows by `pause_gap`, or the divergence has stood for
//! `pause_after` records), or where two signals diverge at once; otherwise [`Outcome::Warn`]. It names the answers that became most typical among
//! those with a high reward. It is raised once, again when it turns from warn to pause, and anew
//! after `window` quiet records.

mod answers;
mod config;
mod detector;
mod domain;
mod error;
mod record;
mod series;
mod threshold;
mod trend;

pub use answers::TypicalAnswer;
pub use config::WatchConfig;
pub use detector::{Report, Watch, watch_log};
pub use error::WatchError;
pub use trend::Trend;

use serde::Serialize;

/// What an alarm asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing was found.
    Healthy,
    /// Somebody should look.
    Warn,
    /// The run should stop until somebody has looked.
    Pause,
}

/// What diverges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Accuracy of the held-out verifier.
    HeldOut,
    /// Mean length of the responses.
    Length,
    /// Share of answers with repetition.
    Repetition,
    /// Share of answers in the right format.
    FormatRate,
    /// Mean entropy per token.
    Entropy,
    /// Entropy of the forms of the answers.
    FormatEntropy,
}

impl Signal {
    /// All signals.
    pub const ALL: [Self; 6] = [
        Self::HeldOut,
        Self::Length,
        Self::Repetition,
        Self::FormatRate,
        Self::Entropy,
        Self::FormatEntropy,
    ];

    /// Changes while a policy learns what it should.
    fn follows_learning(self) -> bool {
        matches!(self, Self::Length | Self::Entropy)
    }

    /// The member of the log that holds it.
    pub fn field(self) -> &'static str {
        match self {
            Self::HeldOut => "held_out_accuracy",
            Self::Length => "response_length",
            Self::Repetition => "repetition_rate",
            Self::FormatRate => "format_rate",
            Self::Entropy => "entropy",
            Self::FormatEntropy => "format_entropy",
        }
    }
}

/// A divergence that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarm {
    /// Step of the record that raised it.
    pub step: u64,
    /// Line of that record in the log, from 1.
    pub line: usize,
    /// The domain.
    pub domain: String,
    /// What diverges.
    pub signal: Signal,
    /// What to do.
    pub outcome: Outcome,
    /// First step of the stretch that is held against what came before.
    pub since_step: u64,
    /// Mean reward before and now.
    pub reward: (f64, f64),
    /// The signal before and now, in its own unit.
    pub value: (f64, f64),
    /// Answers that became typical of a high reward, most typical first.
    pub answers: Vec<TypicalAnswer>,
}

impl std::fmt::Display for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outcome = match self.outcome {
            Outcome::Healthy => "ok",
            Outcome::Warn => "WARN",
            Outcome::Pause => "PAUSE",
        };
        write!(
            f,
            "{outcome} step {}, {}: since step {} `{}` went from {:.4} to {:.4} while the reward \
             went from {:.4} to {:.4}",
            self.step,
            self.domain,
            self.since_step,
            self.signal.field(),
            self.value.0,
            self.value.1,
            self.reward.0,
            self.reward.1,
        )?;
        for answer in &self.answers {
            write!(
                f,
                "\n  {:.0} % of the rewarded answers, before {:.0} %: \"{}\"",
                100.0 * answer.share,
                100.0 * answer.share_before,
                answer.example
            )?;
        }
        Ok(())
    }
}
