//! GLM-4.1V and GLM-4.5V on any GPU: the crates of the project under one name.
//!
//! ```no_run
//! use glmv::engine::{Conversation, Engine, Precision};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = glmv::kernels::device::select(glmv::kernels::device::Choice::Auto)?.device;
//! let engine = Engine::load("checkpoint".as_ref(), &device, Precision::F32, &|_, _| {})?;
//! # Ok(())
//! # }
//! ```

pub mod judge;

pub use glmv_engine as engine;
pub use glmv_gym as gym;
pub use glmv_kernels as kernels;
pub use glmv_model as model;
pub use glmv_processor as processor;
pub use glmv_quant as quant;
pub use glmv_reward as reward;
pub use glmv_sampling as sampling;
pub use glmv_shaders as shaders;

pub use glmv_engine::{Conversation, Engine, SamplingParams};
