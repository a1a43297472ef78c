//! Counters of calls and failures, shared by judges, reward models and user rewards.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;

use super::{FailureKind, lock};

/// What has happened so far; sums of several are made with [`CallStats::add`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CallStats {
    /// Questions asked: one per request or sample, whatever became of it.
    pub calls: u64,
    /// Attempts made for them: HTTP requests, generations or lines to a child.
    pub attempts: u64,
    /// Attempts after the first of a call.
    pub retries: u64,
    /// Calls that were answered from a cache.
    pub cache_hits: u64,
    /// Tokens of the prompts, as the servers count them.
    pub prompt_tokens: u64,
    /// Tokens of the replies, as the servers count them.
    pub completion_tokens: u64,
    /// Child processes that had to be started again.
    pub restarts: u64,
    /// Attempts that failed, by kind; retried ones included.
    pub failed_attempts: BTreeMap<FailureKind, u64>,
    /// Calls that ended in an error, by the kind of the last failure.
    pub failures: BTreeMap<FailureKind, u64>,
}

impl CallStats {
    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.attempts += other.attempts;
        self.retries += other.retries;
        self.cache_hits += other.cache_hits;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.restarts += other.restarts;
        for (kind, count) in &other.failed_attempts {
            *self.failed_attempts.entry(*kind).or_default() += count;
        }
        for (kind, count) in &other.failures {
            *self.failures.entry(*kind).or_default() += count;
        }
    }

    /// Calls that ended in an error, of all kinds.
    pub fn failed_calls(&self) -> u64 {
        self.failures.values().sum()
    }
}

/// The counters behind a lock.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<CallStats>);

impl Counters {
    pub(crate) fn update(&self, change: impl FnOnce(&mut CallStats)) {
        change(&mut lock(&self.0));
    }

    pub(crate) fn attempt(&self, is_retry: bool) {
        self.update(|stats| {
            stats.attempts += 1;
            stats.retries += u64::from(is_retry);
        });
    }

    pub(crate) fn failed_attempt(&self, kind: FailureKind) {
        self.update(|stats| *stats.failed_attempts.entry(kind).or_default() += 1);
    }

    /// Counts a call and, if it failed, the kind.
    pub(crate) fn call(&self, failure: Option<FailureKind>) {
        self.update(|stats| {
            stats.calls += 1;
            if let Some(kind) = failure {
                *stats.failures.entry(kind).or_default() += 1;
            }
        });
    }

    pub(crate) fn snapshot(&self) -> CallStats {
        lock(&self.0).clone()
    }
}
