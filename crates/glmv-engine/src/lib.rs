//! Inference: conversations or prepared inputs in, streamed tokens and completions out.
//!
//! [`Engine::load`] reads a checkpoint folder; [`Engine::generate`] runs a batch of left-padded
//! prompts and calls back with every token. Called by the command line and, later, by rollouts.

mod batch;
mod completion;
mod damage;
mod engine;
mod error;

pub use batch::{left_pad, sequences_of};
pub use completion::{Completion, FinishReason, Step, Timings, Usage};
pub use damage::{Damage, Observation, observe};
pub use engine::Engine;
pub use error::Error;
pub use glmv_model::Precision;
pub use glmv_processor::{
    Conversation, ImageSource, Message, ModelInputs, Part, RenderOptions, Role, VideoSource,
};
pub use glmv_sampling::{SamplingOverrides, SamplingParams};
