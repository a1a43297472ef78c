//! Seeing a training run, whatever is trained: values in, files and a dashboard out.
#![warn(missing_docs)]

mod clock;
mod error;
mod log;
mod number;
mod tensorboard;
mod values;

pub use error::Error;
pub use log::MetricLog;
pub use tensorboard::EventWriter;
pub use values::Values;
