//! A world to practise in: seeded tasks on pictures and short videos, each with a question, a true
//! chain of thought, the answer, and the domain of `glmv-reward` that judges it. Called by
//! `glmv gym`, by the training recipes and by the evaluation.
//!
//! [`generate`] makes one [`Item`] from a domain, a level and a seed; the same three give the same
//! bytes on every machine. The seed also says which [`Split`] the item belongs to.
//!
//! ```
//! use glmv_gym::{Domain, Size, Split, generate};
//!
//! let item = generate(Domain::Counting, 1, Split::Test.seed(7)?, Size::default())?;
//! let scorer = glmv_reward::Scorer::of_domain(item.reward_domain)?;
//! assert_eq!(scorer.completion(&item.completion(), &item.answer)?.reward, Some(1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`tokenizer::Plan`] learns a tokenizer from the texts, [`write::make`] writes data sets, [`audit()`] proves that evaluation and training are apart,
//! [`sheet::sheet`] draws a contact sheet, and a [`Tally`] sums up what a model answers.
#![warn(missing_docs)]

pub mod audit;
mod domain;
mod domains;
mod draft;
pub mod draw;
mod error;
mod guess;
mod item;
pub mod palette;
pub mod rng;
pub mod sheet;
mod split;
pub mod tally;
pub mod tokenizer;
pub mod write;

pub use audit::audit;
pub use domain::Domain;
pub use error::Error;
pub use guess::Guesser;
pub use item::{Item, Media, Size, generate, generate_of};
pub use split::Split;
pub use tally::Tally;

/// The hardest level; the easiest is 1.
pub const LEVELS: u8 = 5;
