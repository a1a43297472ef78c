//! Inference: conversations or prepared inputs in, streamed tokens and completions out.
//!
//! [`Engine::load`] reads a checkpoint folder. [`Engine::add`] takes a [`Request`] at any time,
//! [`Engine::step`] runs a part of a waiting prompt and a token of everything that decodes, and
//! returns the [`Event`]s; [`Engine::generate`] does both for a batch of prompts. Called by the
//! command line and, later, by the server and by rollouts.
//!
//! Inside: `scheduler.rs` plans over `blocks.rs`, `runner.rs` runs the plan on the model.

mod batch;
mod blocks;
mod completion;
mod config;
mod damage;
mod engine;
mod error;
mod features;
mod generate;
mod prompt;
mod request;
mod runner;
mod scheduler;
mod sequence;
mod stats;
mod step;
mod trace;

pub use batch::{left_pad, sequences_of};
pub use completion::{Completion, Event, FinishReason, Step, Timings, Token, Usage};
pub use config::EngineConfig;
pub use damage::{Damage, Observation, observe};
pub use engine::Engine;
pub use error::Error;
pub use glmv_kernels::KvFormat;
pub use glmv_model::Precision;
pub use glmv_processor::{
    Conversation, ImageSource, Message, ModelInputs, Part, RenderOptions, Role, VideoSource,
};
pub use glmv_sampling::{SamplingOverrides, SamplingParams};
pub use request::{Request, RequestId};
pub use stats::Stats;
pub use step::think_ids;
