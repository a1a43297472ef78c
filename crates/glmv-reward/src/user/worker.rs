//! The loop of one worker: jobs from the queue go to its child, replies go to their batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::Child;
use super::process::Shared;
use super::protocol::{parse_reply, protocol};
use super::queue::Job;
use super::{ProcessConfig, UserError};
use crate::judge::net::CallFailure;

/// Starts in a row before the waiting samples fail.
const START_ATTEMPTS: u32 = 3;
/// Wait before the second start; doubles.
const START_BACKOFF: Duration = Duration::from_millis(100);

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    pub(super) child: Option<Child>,
    /// True once this worker had a child: the next one is a restart.
    pub(super) had_child: bool,
    next_id: u64,
    /// Jobs at the child, by id.
    pending: HashMap<u64, Job>,
    last_progress: Instant,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, number: usize, child: Option<Child>) -> Self {
        Self {
            shared,
            number,
            had_child: child.is_some(),
            child,
            next_id: 0,
            pending: HashMap::new(),
            last_progress: Instant::now(),
        }
    }

    fn config(&self) -> &ProcessConfig {
        &self.shared.config
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self) {
        loop {
            let mut jobs = Vec::new();
            if self.pending.is_empty() {
                match self.shared.queue.take() {
                    Some(job) => jobs.push(job),
                    None => break,
                }
            }
            let is_alone = jobs
                .iter()
                .chain(self.pending.values())
                .any(|job| job.failed_attempts > 0);
            while !is_alone && jobs.len() + self.pending.len() < self.config().in_flight {
                match self.shared.queue.take_fresh() {
                    Some(job) => jobs.push(job),
                    None => break,
                }
            }
            if let Err(error) = self.exchange(jobs) {
                self.child_failed(&error);
            }
        }
        if let Some(child) = self.child.take() {
            child.stop(Duration::from_secs_f64(self.config().shutdown_secs));
        }
    }

    /// Sends `jobs` and handles the next reply.
    ///
    /// # Errors
    /// If the child has to be given up; what was at it is in `pending`.
    fn exchange(&mut self, jobs: Vec<Job>) -> Result<(), UserError> {
        if self.pending.is_empty() {
            self.last_progress = Instant::now();
        }
        let Some(mut child) = self.child.take().or_else(|| self.start()) else {
            drop_all(&self.shared, jobs);
            return Ok(());
        };
        for job in jobs {
            self.shared.counters.attempt(job.failed_attempts > 0);
            let line = format!("{{\"id\":{},\"sample\":{}}}\n", self.next_id, job.sample);
            self.pending.insert(self.next_id, job);
            self.next_id += 1;
            child.send(line.into_bytes());
        }
        let limit = Duration::from_secs_f64(self.config().timeout_secs);
        let left = limit.saturating_sub(self.last_progress.elapsed());
        let line = child.receive(left)?.ok_or_else(|| UserError::TimedOut {
            command: self.config().command.join(" "),
            secs: self.config().timeout_secs,
        })?;
        self.accept(&line)?;
        self.last_progress = Instant::now();
        self.child = Some(child);
        Ok(())
    }

    /// Gives a reply to its job.
    fn accept(&mut self, line: &str) -> Result<(), UserError> {
        let reply = parse_reply(line)?;
        let Some(job) = self.pending.remove(&reply.id) else {
            let reason = if reply.id < self.next_id {
                "a second reply to the same id"
            } else {
                "a reply to an unknown id"
            };
            return Err(protocol(reason, line));
        };
        if let Err(error) = &reply.score {
            self.shared.counters.failed_attempt(error.kind());
        }
        self.shared.resolve(job, reply.score);
        Ok(())
    }

    /// The child was given up (and is dropped, so killed): its jobs are tried again or fail.
    fn child_failed(&mut self, error: &UserError) {
        let open = self.pending.len();
        tracing::warn!(worker = self.number, open, "{error}");
        for (_, mut job) in self.pending.drain() {
            self.shared.counters.failed_attempt(error.kind());
            job.failed_attempts += 1;
            if job.failed_attempts >= self.shared.config.max_attempts {
                let attempts = job.failed_attempts;
                let last = error.clone().after_attempts(attempts);
                self.shared.resolve(job, Err(last));
            } else {
                self.shared.queue.push_again(job);
            }
        }
    }

    /// Starts a child; if that fails several times in a row, everything that waits fails.
    fn start(&mut self) -> Option<Child> {
        let mut backoff = START_BACKOFF;
        for attempt in 1..=START_ATTEMPTS {
            if std::mem::replace(&mut self.had_child, true) {
                self.shared.counters.update(|stats| stats.restarts += 1);
            }
            match Child::start(self.config(), self.number) {
                Ok(child) => {
                    self.last_progress = Instant::now();
                    return Some(child);
                }
                Err(error) if attempt == START_ATTEMPTS => {
                    tracing::warn!(worker = self.number, "{error}");
                    self.shared.set_start_error(error);
                }
                Err(error) => {
                    tracing::debug!(worker = self.number, attempt, "{error}");
                    std::thread::sleep(backoff);
                    backoff *= 2;
                }
            }
        }
        None
    }
}

/// Fails `jobs` and everything that waits, because no child can be started.
fn drop_all(shared: &Shared, jobs: Vec<Job>) {
    let error = shared.start_error();
    for job in jobs.into_iter().chain(shared.queue.drain()) {
        shared.counters.failed_attempt(error.kind());
        shared.resolve(job, Err(error.clone()));
    }
}
