//! The log of metrics: one line per step.

use std::path::Path;

use super::{JsonLines, Order};
use crate::{Error, Values};

/// The file `metrics.jsonl`: `{"step":3,"time":1767225600.5,"loss/train":0.25,…}` per step.
///
/// Nested values are nested objects; [`Values::counts`] are in the member `counts`. NaN and
/// infinities are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`. Lines whose objects have the
/// member `domains` are what the watch for reward hacking reads.
#[derive(Debug)]
pub struct MetricLog {
    lines: JsonLines,
}

impl MetricLog {
    /// Makes a new log.
    ///
    /// # Errors
    /// If there is one with records, or it cannot be made.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let lines = JsonLines::create(path, Order::Rising)?;
        Ok(Self { lines })
    }

    /// Opens a log and forgets every record after `step`, the last one that the resumed run has
    /// done. The file is cut in one call: killed at any moment, it is whole.
    ///
    /// # Errors
    /// If it cannot be read or cut, or a line is damaged that is not a torn last one.
    pub fn resume(path: &Path, step: u64) -> Result<Self, Error> {
        let lines = JsonLines::resume(path, Order::Rising, step)?;
        Ok(Self { lines })
    }

    /// Appends the values of a step in one write.
    ///
    /// # Errors
    /// If the step is not above the last, a name cannot be recorded, or the file not be written.
    pub fn append(&mut self, step: u64, values: &Values) -> Result<(), Error> {
        self.lines.append(step, values.to_members()?)
    }

    /// Waits until the records are on the disk.
    ///
    /// # Errors
    /// If the system cannot.
    pub fn sync(&self) -> Result<(), Error> {
        self.lines.sync()
    }

    /// The last step of the log.
    #[must_use]
    pub fn last_step(&self) -> Option<u64> {
        self.lines.last_step()
    }
}
