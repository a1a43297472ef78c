//! Samples on their way: a queue that workers take from, and batches that callers wait for.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::UserError;
use crate::judge::net::lock;

/// The results of one call, filled in by workers.
#[derive(Debug)]
pub(super) struct Batch {
    state: Mutex<BatchState>,
    is_done: Condvar,
}

#[derive(Debug)]
struct BatchState {
    results: Vec<Option<Result<f32, UserError>>>,
    open: usize,
}

impl Batch {
    pub(super) fn new(len: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(BatchState {
                results: vec![None; len],
                open: len,
            }),
            is_done: Condvar::new(),
        })
    }

    /// Waits until every sample has its result.
    pub(super) fn wait(&self) -> Vec<Result<f32, UserError>> {
        let state = lock(&self.state);
        let mut state = self
            .is_done
            .wait_while(state, |state| state.open > 0)
            .unwrap_or_else(PoisonError::into_inner);
        let results = std::mem::take(&mut state.results).into_iter();
        results.map(|r| r.unwrap_or(Err(UserError::Lost))).collect()
    }
}

/// One sample of a batch. A job that is dropped without a result fails, so that no caller waits
/// for ever.
#[derive(Debug)]
pub(super) struct Job {
    /// The sample as JSON.
    pub(super) sample: Arc<str>,
    /// Attempts that failed.
    pub(super) failed_attempts: u32,
    index: usize,
    batch: Arc<Batch>,
    is_resolved: bool,
}

impl Job {
    pub(super) fn new(sample: String, index: usize, batch: &Arc<Batch>) -> Self {
        Self {
            sample: sample.into(),
            failed_attempts: 0,
            index,
            batch: Arc::clone(batch),
            is_resolved: false,
        }
    }

    pub(super) fn resolve(mut self, result: Result<f32, UserError>) {
        self.set(result);
    }

    fn set(&mut self, result: Result<f32, UserError>) {
        if std::mem::replace(&mut self.is_resolved, true) {
            return;
        }
        let mut state = lock(&self.batch.state);
        if let Some(slot) = state.results.get_mut(self.index) {
            *slot = Some(result);
        }
        state.open -= 1;
        if state.open == 0 {
            self.batch.is_done.notify_all();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.set(Err(UserError::Lost));
    }
}

/// What waits for a worker.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    has_work: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    fresh: VecDeque<Job>,
    /// Jobs whose attempt failed: to be tried alone.
    again: VecDeque<Job>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn push(&self, jobs: impl IntoIterator<Item = Job>) {
        lock(&self.state).fresh.extend(jobs);
        self.has_work.notify_all();
    }

    pub(super) fn push_again(&self, job: Job) {
        lock(&self.state).again.push_back(job);
        self.has_work.notify_one();
    }

    /// The next job; waits for one. `None` once the queue is closed.
    pub(super) fn take(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if state.is_closed {
                return None;
            }
            let next = state.again.pop_front().or_else(|| state.fresh.pop_front());
            if next.is_some() {
                return next;
            }
            state = self
                .has_work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A job that has not failed before, if there is one now.
    pub(super) fn take_fresh(&self) -> Option<Job> {
        lock(&self.state).fresh.pop_front()
    }

    /// Everything that waits.
    pub(super) fn drain(&self) -> Vec<Job> {
        let mut state = lock(&self.state);
        let mut jobs: Vec<_> = state.again.drain(..).collect();
        jobs.extend(state.fresh.drain(..));
        jobs
    }

    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
        self.has_work.notify_all();
    }
}
