//! Gradients of many workers, added up in the order of the micro-steps.

use crate::{Error, Grads};
use burn::tensor::Device;
use glmv_kernels::device::{self, Kind, kind};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Takes in gradients in any order and adds them up in one.
#[derive(Debug)]
pub(super) struct Collector {
    device: Device,
    /// Micro-steps in the order in which they are added.
    order: Vec<usize>,
    /// Most gradients that wait for their turn.
    most: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    sum: Grads,
    /// How many of the order are in the sum.
    added: usize,
    waiting: BTreeMap<usize, Grads>,
    /// A worker has left before its work was done.
    failed: bool,
}

/// Waits until a GPU has done all that this thread has told it. Threads have queues of their own, so
/// before a tensor of one is used by another both must have settled.
///
/// # Errors
/// If the device fails.
pub(super) fn settle(device: &Device) -> Result<(), Error> {
    if kind(device) != Kind::Flex {
        let reason = |e| format!("{e:?}");
        let done = device
            .sync()
            .map_err(|e| device::Error::Read { reason: reason(e) });
        done.and_then(|()| device::check())?;
    }
    Ok(())
}

/// Held by a worker at work; whoever is waiting learns if it does not come back.
pub(super) struct Leaving<'a>(&'a Collector, bool);

impl Collector {
    /// For micro-steps `order`, of which at most so many wait for their turn, with the sums on
    /// `device`.
    pub fn new(order: Vec<usize>, most: usize, device: Device) -> Self {
        Collector {
            device,
            order,
            most,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    pub fn leaving(&self) -> Leaving<'_> {
        Leaving(self, false)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the gradients of micro-step `index`. Waits while too many others wait for their turn, so
    /// that memory stays bounded; a worker does its micro-steps in order, so the next in turn always
    /// comes. False if the step is lost because another worker has failed.
    ///
    /// # Errors
    /// If the device that they are on fails.
    pub fn hand_over(&self, index: usize, grads: Grads) -> Result<bool, Error> {
        let grads = grads.to(&self.device)?;
        settle(&self.device)?;
        let mut state = self.state();
        while !state.failed && state.waiting.len() >= self.most && !self.is_next(&state, index) {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if state.failed {
            return Ok(false);
        }
        state.waiting.insert(index, grads);
        while let Some(next) = self.order.get(state.added) {
            let Some(grads) = state.waiting.remove(next) else {
                break;
            };
            state.sum.absorb(grads);
            state.added += 1;
        }
        settle(&self.device)?;
        self.changed.notify_all();
        Ok(true)
    }

    fn is_next(&self, state: &State, index: usize) -> bool {
        self.order.get(state.added) == Some(&index)
    }

    /// The sums.
    pub fn finish(self) -> Grads {
        let state = self.state.into_inner();
        state.unwrap_or_else(PoisonError::into_inner).sum
    }
}

impl Leaving<'_> {
    /// The work is done.
    pub fn in_peace(mut self) {
        self.1 = true;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.state().failed = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;
    use glmv_kernels::device::read;

    fn grads(value: f32) -> Grads {
        let mut grads = Grads::new();
        grads.add(1, Tensor::<1>::from_data([value], &Device::flex()));
        grads
    }

    /// Sums that depend on their order: a small one is lost behind a large one.
    const VALUES: [f32; 4] = [1.0, 1e8, -1e8, 1.0];

    fn collected(order: Vec<usize>, given: [usize; 4]) -> f32 {
        let collector = Collector::new(order, 4, Device::flex());
        for index in given {
            assert!(collector.hand_over(index, grads(VALUES[index])).unwrap());
        }
        read(collector.finish().get(1).unwrap()).unwrap()[0]
    }

    #[test]
    fn the_sum_does_not_depend_on_who_comes_first() {
        let all = vec![0, 1, 2, 3];
        let expected = collected(all.clone(), [0, 1, 2, 3]);
        assert_eq!(expected, 1.0);
        for given in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]] {
            assert_eq!(collected(all.clone(), given), expected);
        }
        // Another order is another sum.
        assert_eq!(collected(vec![1, 2, 0, 3], [0, 1, 2, 3]), 2.0);
    }

    #[test]
    fn nobody_waits_for_a_worker_that_failed() {
        let collector = Collector::new(vec![0, 1, 2], 1, Device::flex());
        assert!(collector.hand_over(1, grads(1.0)).unwrap());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| collector.hand_over(2, grads(1.0)).unwrap());
            drop(collector.leaving());
            assert!(!waiting.join().unwrap());
        });
        let collector = Collector::new(vec![0], 1, Device::flex());
        collector.leaving().in_peace();
        assert!(collector.hand_over(0, grads(1.0)).unwrap());
    }
}
