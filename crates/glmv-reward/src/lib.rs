//! Rewards for reinforcement learning as GLM-V has them (arXiv 2507.01006, §5.2): a completion and the
//! truth in, a [`Verdict`] out. No model runs here; where no rule decides, the verdict says so.
#![warn(missing_docs)]

pub mod compare;
pub mod config;
pub mod domain;
mod error;
pub mod grammar;
pub mod lab;
pub mod math;
mod scorer;
mod verdict;

pub use config::{RewardSystem, Weights};
pub use domain::Domain;
pub use error::Error;
pub use scorer::Scorer;
pub use verdict::{Parts, Verdict};
