//! Training data for GLM-V: files in the layouts people have in, packed sequences out, and a check of
//! a file before it is used. Called by the trainers and by `glmv data`. Every error names file and
//! line; the order of samples is decided by a seed and can be resumed exactly.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use glmv_data::{EncodeOptions, Encoder, Loader, LoaderOptions, MixtureSpec, SourceSpec};
//! use glmv_processor::Processor;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let processor = Arc::new(Processor::from_dir("GLM-4.5V".as_ref())?);
//! let encoder = Encoder::new(processor, EncodeOptions::default())?;
//! let mixture = MixtureSpec {
//!     sources: vec![SourceSpec::new("train.jsonl")],
//!     seed: 1,
//!     shuffle: true,
//! };
//! for pack in Loader::start(mixture, encoder, LoaderOptions::new(8192), None)? {
//!     let pack = pack?;
//!     println!("{} samples, {} tokens", pack.samples.len(), pack.tokens());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: `layout` and its readers (`chat`, `running_text`, `task`), `source` and `mixture`,
//! `encode`, `truncate`, `pack`, `loader`, `check`.
#![warn(missing_docs)]

mod chat;
mod check;
mod encode;
mod error;
mod fields;
mod index;
mod layout;
mod loader;
mod media;
mod mixture;
mod pack;
#[cfg(feature = "parquet")]
mod parquet_rows;
mod report;
mod rng;
mod running_text;
mod sample;
mod source;
mod spans;
mod task;
mod thinking;
mod tokens;
mod truncate;
mod visual;
mod window;

pub use check::{CheckOptions, check};
pub use encode::{EncodeOptions, Encoded, Encoder};
pub use error::{Error, Place, RowError};
pub use layout::Layout;
pub use loader::{LoadedPack, Loader, LoaderOptions, LoaderState, Totals};
pub use mixture::{Cursor, Mixture, MixtureSpec};
pub use pack::{Pack, best_fit, utilisation};
#[cfg(feature = "parquet")]
pub use parquet_rows::ParquetRows;
pub use report::{BadRow, Duplicate, Histogram, MediaReport, Report, Spread};
pub use sample::{Body, Record, RlTask, Sample};
pub use source::{Source, SourceCursor, SourceSpec};
pub use truncate::{Fit, LongPolicy, fit};
pub use visual::{Visual, VisualKind};
