//! Records as JSON lines: one object per line with its step, appended in one call, so that a killed
//! run leaves at most the last line torn. Called by [`Monitor`](crate::Monitor); read by the report.

mod lines;
mod metrics;
mod read;

pub(crate) use lines::{JsonLines, Order};
pub use metrics::MetricLog;
pub(crate) use read::{Field, Line, for_each_line};
