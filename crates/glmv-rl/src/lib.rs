//! The arithmetic of learning from reward, on slices: everything of GRPO and of curriculum sampling
//! (RLCS, GLM-V paper, arXiv 2507.01006) that needs no tensor. The trainer calls it between the engine
//! and the optimiser:
//!
//! | step | module |
//! |---|---|
//! | which prompts to roll out, which groups to train on | [`curriculum`], [`mixture`] |
//! | where a completion is cut, which tokens count | [`forced`] |
//! | rewards → advantages | [`group`], [`advantage`] |
//! | samples → micro-steps | [`pack`] |
//! | log-probabilities → loss and its derivative | [`objective`] |
//! | rollout and trainer agree | [`bound`] |
//! | rollouts → data for fine-tuning | [`harvest`] |
//! | the settings of all that | [`recipe`] |
//!
//! The principal type is [`objective::Objective`]; because its derivative by every log-probability has
//! a closed form, the trainer backpropagates through log-probabilities only:
//!
//! ```
//! use glmv_rl::advantage::{self, Normalise};
//! use glmv_rl::objective::{BatchSize, ObjectiveConfig, Sample};
//!
//! let objective = ObjectiveConfig::default().resolve()?; // GRPO, clip 0.2 and 0.28
//! let advantages = advantage::of_group(&[1.0, 0.0], Normalise::Std)?;
//! let masks: [&[bool]; 2] = [&[true, true], &[true]];
//! let logprobs: [&[f32]; 2] = [&[-0.5, -1.0], &[-0.7]];
//! let samples: Vec<Sample<'_, f32>> = (0..2)
//!     .map(|i| Sample {
//!         logprobs: logprobs[i],
//!         old: logprobs[i],
//!         reference: None,
//!         entropy: None,
//!         mask: masks[i],
//!         advantage: advantages[i],
//!     })
//!     .collect();
//! let outcome = objective.evaluate(&samples, &BatchSize::of_masks(masks))?;
//! // Of two samples, the tokens of the right one are made likelier, each by half of its share.
//! assert!((outcome.dlogp[0][0] + 0.25).abs() < 1e-5 && (outcome.dlogp[1][0] - 0.5).abs() < 1e-5);
//! # Ok::<(), glmv_rl::Error>(())
//! ```
#![warn(missing_docs)]

pub mod advantage;
mod allot;
pub mod bound;
pub mod curriculum;
mod error;
pub mod forced;
pub mod group;
pub mod harvest;
pub mod mixture;
pub mod objective;
pub mod pack;
mod random;
pub mod recipe;

pub use error::Error;
pub use recipe::Recipe;
