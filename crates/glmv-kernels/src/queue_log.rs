//! What wgpu itself records at the queue: the independent check of [`crate::counts`], and the only
//! source of submissions and of buffer copies.
//!
//! wgpu-core names every call in its trace log. The process's logger is therefore a counter while
//! some work runs; nothing is formatted but those names, and at other times the level is off.

use burn::tensor::Device;
use log::{LevelFilter, Log, Metadata, Record};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Calls that wgpu-core recorded during some work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueCounts {
    /// Compute dispatches encoded.
    pub dispatches: u64,
    /// Command buffers handed to the queue, by calls.
    pub submits: u64,
    /// Uploads: inputs, and the launches' descriptions that were not cached.
    pub writes: u64,
    /// Buffer-to-buffer copies: what is read back is copied to a staging buffer first.
    pub copies: u64,
}

/// Beginnings of the messages, in the order of [`QueueCounts`]' fields.
const MESSAGES: [&str; 4] = [
    "ComputePass::dispatch",
    "Queue::submit",
    "Queue::write_buffer",
    "CommandEncoder::copy_buffer_to_buffer",
];

static SEEN: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

struct Counter;

impl Log for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("wgpu_core")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        // Queue::submit is followed by a message about the index it returned.
        if text.starts_with("Queue::submit returned") {
            return;
        }
        if let Some(at) = MESSAGES.iter().position(|m| text.starts_with(m)) {
            SEEN[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// The process's logger once it is installed.
pub struct QueueLog(());

impl QueueLog {
    /// Makes the counter the process's logger; `None` if there is one already.
    pub fn install() -> Option<Self> {
        log::set_logger(&Counter).ok()?;
        log::set_max_level(LevelFilter::Off);
        Some(QueueLog(()))
    }

    /// Runs `work` on `device` and counts what wgpu records until the device has done it.
    ///
    /// # Errors
    /// If the device cannot be waited for.
    pub fn counts<R>(
        &self,
        device: &Device,
        work: impl FnOnce() -> R,
    ) -> Result<(R, QueueCounts), crate::device::Error> {
        wait(device)?;
        SEEN.iter().for_each(|c| c.store(0, Ordering::Relaxed));
        log::set_max_level(LevelFilter::Trace);
        let result = work();
        let waited = wait(device);
        log::set_max_level(LevelFilter::Off);
        waited?;
        let [dispatches, submits, writes, copies] =
            [0, 1, 2, 3].map(|i| SEEN[i].load(Ordering::Relaxed));
        let counts = QueueCounts {
            dispatches,
            submits,
            writes,
            copies,
        };
        Ok((result, counts))
    }
}

fn wait(device: &Device) -> Result<(), crate::device::Error> {
    device.sync().map_err(|e| crate::device::Error::Read {
        reason: format!("{e:?}"),
    })?;
    crate::device::check()
}
