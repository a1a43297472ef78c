//! Counting what reaches the queue: every kernel launch of the process, Burn's own kernels, casts
//! and copies included, and every byte read back. Used by `glmv bench` and by tests.
//!
//! The runtime tells an observer of each launch on the thread that issues it, after launches with
//! an empty grid are dropped; one launch is one dispatch of the queue. A test compares the figure
//! with the dispatches that wgpu itself records.

use cubecl::logging::{LaunchObservation, LaunchObserver};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

static READS: AtomicU64 = AtomicU64::new(0);
static BYTES_READ: AtomicU64 = AtomicU64::new(0);

/// Notes a result that [`crate::device::read`] copied to the host.
pub(crate) fn note_read(bytes: usize) {
    READS.fetch_add(1, Ordering::Relaxed);
    BYTES_READ.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// What one piece of work launched and read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Dispatches of the queue: ours and Burn's.
    pub dispatches: u64,
    /// Of those, WGSL kernels of this crate.
    pub own: u64,
    /// Of those, Burn's kernels that only move or convert values: copies, casts, slices, fills.
    pub copies: u64,
    /// Results copied to the host through [`crate::device::read`] and its kin.
    pub reads: u64,
    /// Bytes of those results.
    pub bytes_read: u64,
    /// Dispatches by the kernel's short type name, ours under their shaders' names.
    pub kernels: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Seen(Mutex<BTreeMap<&'static str, u64>>);

impl LaunchObserver for Seen {
    fn launched(&self, kernel: &'static str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen.entry(kernel).or_default() += 1;
    }
}

/// Counts launches of the whole process while it lives; see [`counts`] for a single call.
pub struct Watch {
    seen: Arc<Seen>,
    reads: u64,
    bytes_read: u64,
    shaders: BTreeMap<&'static str, u64>,
    _observation: LaunchObservation,
}

impl Watch {
    /// Starts counting. Watches nest: an inner one takes the launches of its lifetime from the
    /// outer one.
    pub fn start() -> Self {
        let seen = Arc::new(Seen::default());
        Watch {
            reads: READS.load(Ordering::Relaxed),
            bytes_read: BYTES_READ.load(Ordering::Relaxed),
            shaders: crate::launch::launches_by_shader(),
            _observation: LaunchObservation::new(seen.clone()),
            seen,
        }
    }

    /// What was launched and read since the start.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            reads: READS.load(Ordering::Relaxed) - self.reads,
            bytes_read: BYTES_READ.load(Ordering::Relaxed) - self.bytes_read,
            ..Default::default()
        };
        let seen = self.seen.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, count) in seen.iter() {
            counts.dispatches += count;
            if is_own(name) {
                counts.own += count;
                continue;
            }
            let short = short_name(name);
            if moves_only(&short) {
                counts.copies += count;
            }
            *counts.kernels.entry(short).or_default() += count;
        }
        for (shader, count) in crate::launch::launches_by_shader() {
            let before = self.shaders.get(shader).copied().unwrap_or(0);
            if count > before {
                counts.kernels.insert(shader.to_string(), count - before);
            }
        }
        counts
    }
}

/// Runs `work` and counts what it launches, on any thread of the process, and reads back.
///
/// Launches are counted when they are issued, so no wait for the device is needed.
pub fn counts<R>(work: impl FnOnce() -> R) -> (R, Counts) {
    let watch = Watch::start();
    let result = work();
    (result, watch.counts())
}

/// Kernels of [`crate::launch`] reach the runtime as source kernels of this crate's type.
fn is_own(name: &str) -> bool {
    name.contains("SourceKernel") && name.contains("glmv_kernels")
}

/// The last path segment of a type name, without its parameters.
fn short_name(name: &str) -> String {
    let plain = name.split('<').next().unwrap_or(name);
    plain.rsplit("::").next().unwrap_or(plain).to_string()
}

fn moves_only(short: &str) -> bool {
    let lower = short.to_lowercase();
    ["cast", "copy", "contiguous", "slice", "full", "fill"]
        .iter()
        .any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let own = "burn_cubecl::template::base::SourceKernel<glmv_kernels::launch::WgslKernel>";
        assert!(is_own(own));
        assert!(!is_own("a::SourceKernel<other_crate::Kernel>"));
        assert_eq!(short_name("a::b::CastElement<x::Y, z::W>"), "CastElement");
        assert_eq!(short_name("plain"), "plain");
        assert!(moves_only("CastElement") && moves_only("SliceAssignKernel"));
        assert!(!moves_only("KernelBinop"));
    }
}
