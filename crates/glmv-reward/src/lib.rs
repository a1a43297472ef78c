//! Rewards for reinforcement learning as GLM-V has them (arXiv 2507.01006, §5.2): a completion and the
//! truth in, a [`Verdict`] out. Called by the trainer and by `glmv reward`. Where no rule decides, the
//! verdict says so, and [`Scorer::judge_prompt`] has the question for a [`judge`]; [`user`] runs the
//! user's own reward, [`watch`] says when the reward is being hacked. An error is never a score.
//!
//! The principal type is [`Scorer`], one per data source of a [`RewardSystem`]:
//!
//! ```
//! use glmv_reward::Scorer;
//!
//! let scorer = Scorer::of_domain("math")?;
//! let completion = "<think>Half of it.</think>It is <|begin_of_box|>\\frac{1}{2}<|end_of_box|>.";
//! let verdict = scorer.completion(completion, "0.5")?;
//! assert_eq!((verdict.reward, verdict.needs_judge), (Some(1.0), false));
//!
//! let several = scorer.answer("1/2 or 1/3", "0.5")?;
//! assert_eq!(several.reward, Some(0.0));
//! # Ok::<(), glmv_reward::Error>(())
//! ```
//!
//! The crate's README has the table of what the rules accept and refuse.
#![warn(missing_docs)]

pub mod compare;
pub mod config;
pub mod domain;
mod error;
pub mod grammar;
pub mod judge;
pub mod lab;
pub mod math;
mod scorer;
pub mod user;
mod verdict;
pub mod watch;

pub use config::{RewardSystem, Weights};
pub use domain::Domain;
pub use error::Error;
pub use scorer::Scorer;
pub use verdict::{Parts, Verdict};
