//! Plain-Rust end of generation: a row of logits in, a token out ([`Sampler`]); generated text in,
//! reasoning, answer and boxes out ([`split_completion`], [`parse_boxes`]). Called by the engine
//! and the command line; knows neither tensors nor the tokenizer.
//!
//! The principal type is [`Sampler`]:
//!
//! ```
//! use glmv_sampling::{Sampler, SamplingParams};
//!
//! let params = SamplingParams { temperature: 0.8, top_k: Some(2), seed: 7, ..Default::default() };
//! let mut sampler = Sampler::new(params)?;
//! let logits = [0.1_f32, 2.0, 1.5, -3.0]; // [vocab]
//! let sampled = sampler.sample(&logits, &[])?;
//! assert!(sampled.token == 1 || sampled.token == 2);
//! # Ok::<(), glmv_sampling::Error>(())
//! ```

mod boxes;
mod choose;
mod draw;
mod error;
mod params;
mod rng;
mod sampler;
mod split;
mod thinking;
pub mod weight;

pub use boxes::{BBox, ParsedBoxes, parse_boxes};
pub use choose::{Choice, Pick, Rule, Sampled, argmax, choose, token_logprob};
pub use draw::draw_boxes;
pub use error::Error;
pub use params::{GenerationConfig, Logprobs, SamplingOverrides, SamplingParams, TokenIds};
pub use rng::{Draws, SplitMix64};
pub use sampler::Sampler;
pub use split::{CompletionParts, SplitEvent, SplitStream, split_completion};
pub use thinking::{PromptThink, ThinkBudget, ThinkIds};
