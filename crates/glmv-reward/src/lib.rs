//! Rewards for reinforcement learning as GLM-V has them (arXiv 2507.01006, §5.2): a completion and the
//! truth in, a [`Verdict`] out. Where no rule decides, the verdict says so and a [`judge`] is asked;
//! [`user`] runs the user's own reward, [`watch`] reads a training log and says when the reward is
//! being hacked. An error is never a score.
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
