//! The user's program as child processes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::Deserialize;

use super::child::Child;
use super::queue::{Batch, Job, Queue};
use super::worker::Worker;
use super::{RewardSample, UserError, UserReward};
use crate::judge::CallStats;
use crate::judge::net::{Counters, lock};

/// Settings of a [`ProcessReward`]; `command` is required.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProcessConfig {
    /// Program and arguments; no shell is involved.
    pub command: Vec<String>,
    /// Working directory of the child. Default: that of this process.
    pub dir: Option<PathBuf>,
    /// Children that run at the same time, 1..=256. Default 1.
    pub workers: usize,
    /// Requests that are sent to a child ahead of its replies, 1..=4096. Default 16.
    pub in_flight: usize,
    /// Longest silence of a child while replies are due, in seconds. Default 60.
    pub timeout_secs: f64,
    /// Longest time from the start of a child to its handshake, in seconds. Default 60.
    pub start_timeout_secs: f64,
    /// Time a child gets to exit after its stdin was closed, in seconds. Default 2.
    pub shutdown_secs: f64,
    /// Attempts per sample, the first one included, 1..=100. Default 3.
    pub max_attempts: u32,
    /// Longest reply line in bytes. Default 1 MiB.
    pub max_line_bytes: u64,
}

impl Default for ProcessConfig {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            dir: None,
            workers: 1,
            in_flight: 16,
            timeout_secs: 60.0,
            start_timeout_secs: 60.0,
            shutdown_secs: 2.0,
            max_attempts: 3,
            max_line_bytes: 1 << 20,
        }
    }
}

impl ProcessConfig {
    fn check(&self) -> Result<(), UserError> {
        let bad = |field, reason: &str| {
            Err(UserError::Config {
                field,
                reason: reason.to_owned(),
            })
        };
        if self.command.first().is_none_or(String::is_empty) {
            return bad("command", "it is empty");
        }
        if !(1..=256).contains(&self.workers) {
            return bad("workers", "it is not in 1..=256");
        }
        if !(1..=4096).contains(&self.in_flight) {
            return bad("in_flight", "it is not in 1..=4096");
        }
        if !(1..=100).contains(&self.max_attempts) {
            return bad("max_attempts", "it is not in 1..=100");
        }
        if !(64..=1 << 30).contains(&self.max_line_bytes) {
            return bad("max_line_bytes", "it is not in 64..=2^30");
        }
        for (field, secs, least) in [
            ("timeout_secs", self.timeout_secs, 1e-3),
            ("start_timeout_secs", self.start_timeout_secs, 1e-3),
            ("shutdown_secs", self.shutdown_secs, 0.0),
        ] {
            if !(least..=1e6).contains(&secs) {
                return bad(field, "it is not a number of seconds up to 1000000");
            }
        }
        Ok(())
    }
}

/// What the workers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ProcessConfig,
    pub(super) queue: Queue,
    pub(super) counters: Counters,
    start_error: Mutex<UserError>,
}

impl Shared {
    pub(super) fn resolve(&self, job: Job, result: Result<f32, UserError>) {
        self.counters
            .call(result.as_ref().err().map(UserError::kind));
        job.resolve(result);
    }

    pub(super) fn set_start_error(&self, error: UserError) {
        *lock(&self.start_error) = error;
    }

    pub(super) fn start_error(&self) -> UserError {
        lock(&self.start_error).clone()
    }
}

/// The user's program, running as one or more children; see the module for the protocol. Dropping
/// it ends the children.
#[derive(Debug)]
pub struct ProcessReward {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

impl ProcessReward {
    /// Starts the first child and waits for its handshake; further ones start when there is work.
    ///
    /// # Errors
    /// If a setting cannot be used or the child cannot be started.
    pub fn start(config: ProcessConfig) -> Result<Self, UserError> {
        config.check()?;
        let first = Child::start(&config, 0)?;
        let shared = Arc::new(Shared {
            config,
            queue: Queue::default(),
            counters: Counters::default(),
            start_error: Mutex::new(UserError::Lost),
        });
        let mut reward = Self {
            shared: Arc::clone(&shared),
            workers: Vec::new(),
        };
        let mut first = Some(first);
        for number in 0..shared.config.workers {
            let worker = Worker::new(Arc::clone(&shared), number, first.take());
            let thread = std::thread::Builder::new()
                .name(format!("reward worker {number}"))
                .spawn(move || worker.run())
                .map_err(|error| UserError::Config {
                    field: "workers",
                    reason: error.to_string(),
                })?;
            reward.workers.push(thread);
        }
        Ok(reward)
    }
}

impl UserReward for ProcessReward {
    fn score(&self, samples: &[RewardSample]) -> Vec<Result<f32, UserError>> {
        let batch = Batch::new(samples.len());
        let mut jobs = Vec::with_capacity(samples.len());
        for (index, sample) in samples.iter().enumerate() {
            match serde_json::to_string(sample) {
                Ok(text) => jobs.push(Job::new(text, index, &batch)),
                Err(error) => {
                    let error = UserError::Config {
                        field: "sample",
                        reason: error.to_string(),
                    };
                    self.shared
                        .resolve(Job::new(String::new(), index, &batch), Err(error));
                }
            }
        }
        self.shared.queue.push(jobs);
        batch.wait()
    }

    fn stats(&self) -> CallStats {
        self.shared.counters.snapshot()
    }
}

impl Drop for ProcessReward {
    fn drop(&mut self) {
        self.shared.queue.close();
        for worker in self.workers.drain(..) {
            if worker.join().is_err() {
                tracing::warn!("a reward worker panicked");
            }
        }
    }
}
