//! Training of GLM-4.1V and GLM-4.5V: packed samples in, gradients and updated weights out.
//!
//! Read [`gradients`] first: the forward pass of `glmv-model`, the score of every counted token, and
//! the way back, layer by layer where memory is short. [`AdamW`] turns the sums into new weights.

mod adamw;
mod adapter;
mod balance;
mod checkpoint;
mod error;
mod grads;
mod groups;
mod means;
mod micro;
mod params;
mod pass;
mod pictures;
mod recipe;
pub mod rl;
mod run;
mod schedule;
mod score;
mod supply;
mod survey;
mod trainer;
mod visual;
mod workers;

pub use adamw::{AdamW, AdamWConfig, Step};
pub use adapter::{AdapterRecipe, Base};
pub use balance::{Balance, balance_router};
pub use checkpoint::{Checkpoints, Resumed};
pub use error::Error;
pub use grads::Grads;
pub use groups::{Group, Groups};
pub use means::{Means, States};
pub use micro::{Micro, Sample};
pub use params::{Parameter, Part, freeze, parameters, with_values};
pub use pass::{Outcome, PassOptions, Recompute, gradients, scores};
pub use recipe::{DataConfig, EvalConfig, Recipe};
pub use run::{Ended, Rhythm, Run, RunState, SupervisedStep, Supply, Watch, mean_loss, resume};
pub use schedule::{Decay, Schedule};
pub use score::{Distribution, Factors, Scores};
pub use supply::{PackedSupply, sample_of};
pub use survey::Survey;
pub use trainer::{FactorsOfStep, StepReport, Trainer, TrainerConfig};
pub use workers::Worker;
