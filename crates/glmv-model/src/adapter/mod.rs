//! Low-rank adapters (LoRA, arXiv 2106.09685): beside the frozen weight `W` of a module stands a
//! product `B A` of low rank, and the module computes `W x + scale · B A drop(x)`. The weights are never
//! added up, neither in training nor in inference; [`merge`](crate::merge_adapter) does that to a file.
//!
//! Read [`AdapterConfig`], then `attach.rs`: which modules get one. On disk they lie as PEFT has them.

mod attach;
mod experts;
mod json;
mod lora;
mod merge;
mod names;
mod noise;
mod peft;
mod targets;
mod walk;

pub use experts::ExpertLora;
pub(crate) use experts::Part as ExpertPart;
pub use lora::Lora;
pub use merge::{MergeOptions, average_checkpoints, merge_adapter};
pub use names::{AdapterModule, adapter_modules};
pub use peft::save_adapter;
pub use targets::Targets;

use crate::Error;

/// What an adapter is: which modules it stands beside, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    pub target: Targets,
    /// Rows of A and columns of B, PEFT's `r`.
    pub rank: usize,
    /// PEFT's `lora_alpha`; see [`AdapterConfig::scale`].
    pub alpha: f64,
    /// Share of a module's inputs that is zero in a training pass; 0 in inference.
    pub dropout: f64,
    /// Divides alpha by the root of the rank instead of the rank (arXiv 2312.03732).
    pub rslora: bool,
    /// Of the first values of A and of what is dropped.
    pub seed: u64,
}

impl AdapterConfig {
    /// Factor on `B A x`.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f64;
        let by = if self.rslora { rank.sqrt() } else { rank };
        (self.alpha / by) as f32
    }

    /// # Errors
    /// [`Error::Adapter`] for values out of range.
    pub fn check(&self) -> Result<(), Error> {
        let fail = |reason: String| Err(Error::Adapter { reason });
        if self.rank == 0 {
            return fail("the rank is 0".into());
        }
        if !self.alpha.is_finite() {
            return fail(format!("alpha is {}", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fail(format!("a dropout of {} is not in [0, 1)", self.dropout));
        }
        Ok(())
    }
}

/// The two factors of an update, with PEFT's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    pub(crate) const BOTH: [Side; 2] = [Side::A, Side::B];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::A => "lora_A",
            Side::B => "lora_B",
        }
    }

    /// Shape for a module `[out, in]`.
    pub(crate) fn shape(self, [out, inner]: [usize; 2], rank: usize) -> [usize; 2] {
        match self {
            Side::A => [rank, inner],
            Side::B => [out, rank],
        }
    }
}
