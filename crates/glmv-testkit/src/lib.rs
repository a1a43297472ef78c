//! Golden cases in, verdicts out: reads the fixture folder that `assets/golden/README.md`
//! describes ([`GoldenSet`]), compares results with it ([`compare`]), and makes broken checkpoint
//! folders for tests of bad input ([`CheckpointCopy`]). Called by tests and by `glmv verify`.
//!
//! The principal type is [`GoldenSet`]:
//!
//! ```
//! use glmv_testkit::{GoldenSet, compare, perturbed, workspace_golden_dir};
//!
//! let set = GoldenSet::open(&workspace_golden_dir())?;
//! let case = set.case("glm4v.model.text")?;
//! let (logits, shape) = case.load(&set)?.f32("logits")?;
//! assert_eq!(shape[2], 512); // [batch, seq, vocab]
//! let bound = case.tolerance.bound("logits").expect("logits have a tolerance");
//! assert!(compare(&logits, &logits, &bound)?.ok);
//! assert!(!compare(&perturbed(&logits, 0.01)?, &logits, &bound)?.ok); // a check that can fail
//! # Ok::<(), glmv_testkit::Error>(())
//! ```

mod compare;
mod error;
mod golden;
mod manifest;
mod raw;
mod tensors;
mod tiny;
mod tolerance;

pub use compare::{Compare, compare, compare_exact, compare_with, perturbed};
pub use error::Error;
pub use golden::{BrokenCase, Case, GoldenSet, TensorMeta, golden_dir, workspace_golden_dir};
pub use manifest::{FileRecord, Manifest};
pub use raw::{RawSafetensors, RawTensor};
pub use tensors::Tensors;
pub use tiny::CheckpointCopy;
pub use tolerance::{Bound, Scale, Tolerance};
