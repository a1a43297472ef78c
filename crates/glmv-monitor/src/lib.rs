//! Seeing a training run, whatever is trained: values go in, files and a dashboard come out. Called
//! by the trainers; the report can be built again from the files alone.
//!
//! The principal type is [`Monitor`]:
//!
//! ```
//! use glmv_monitor::{Display, Level, Monitor, MonitorConfig, Values};
//!
//! # let dir = tempfile::tempdir()?;
//! let config = MonitorConfig {
//!     title: "toy".to_owned(),
//!     total_steps: Some(3),
//!     display: Display::Silent,
//!     ..MonitorConfig::default()
//! };
//! let mut monitor = Monitor::open(dir.path(), config)?;
//! for step in 1..=3 {
//!     let values = Values::from([("loss/train", 1.0 / step as f64)]);
//!     monitor.step(step, &values)?;
//! }
//! monitor.note(3, Level::Info, "that was all")?;
//! let report = monitor.finish()?;
//! assert!(std::fs::read_to_string(report)?.contains("loss/train"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![warn(missing_docs)]

mod clock;
pub mod dashboard;
mod error;
mod log;
mod monitor;
mod number;
mod picture;
mod records;
mod report;
mod tensorboard;
mod values;

pub use dashboard::Display;
pub use error::Error;
pub use log::MetricLog;
pub use monitor::{Monitor, MonitorConfig};
pub use picture::Picture;
pub use records::{Completion, Level, RolloutGroup, Sample};
pub use report::{Chart, ChartLine, write_report};
pub use tensorboard::EventWriter;
pub use values::Values;
