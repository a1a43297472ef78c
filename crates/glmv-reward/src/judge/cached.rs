//! A judge that remembers: the same request is asked once.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use serde::Deserialize;

use super::cache_file::CacheFile;
use super::net::{Counters, lock};
use super::{CallStats, FailureKind, Judge, JudgeError, JudgeRequest, Judgement};

/// Settings of a [`Cached`] judge.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Most judgements held in memory; the ones not used for longest go first. Default 100 000.
    pub max_entries: usize,
    /// A JSON-lines file that keeps the judgements; read when the judge is made. Default none.
    pub file: Option<PathBuf>,
    /// True waits for the disk after each judgement, so that a power cut loses none of them; a crash
    /// of the process never does. Default false.
    pub sync: bool,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            max_entries: 100_000,
            file: None,
            sync: false,
        }
    }
}

/// Judgements of `J`, remembered by the SHA-256 of the judge's name and the whole request
/// ([`JudgeRequest::digest`]). Errors are not remembered. Equal requests of several threads at the
/// same time are asked once. Several samples of one judge at a temperature above 0 need judges of
/// different names, or the cache goes around their [`super::Majority`].
#[derive(Debug)]
pub struct Cached<J> {
    inner: J,
    state: Mutex<State>,
    released: Condvar,
    file: Option<Mutex<CacheFile>>,
    counters: Counters,
}

#[derive(Debug)]
struct State {
    /// Judgements used since the last swap; at most `half`.
    young: HashMap<String, Judgement>,
    /// Judgements used before; dropped at the next swap unless used.
    old: HashMap<String, Judgement>,
    half: usize,
    /// Keys that some thread is asking for.
    in_flight: HashSet<String>,
}

impl State {
    fn get(&mut self, key: &str) -> Option<Judgement> {
        if let Some(judgement) = self.young.get(key) {
            return Some(judgement.clone());
        }
        let judgement = self.old.remove(key)?;
        self.insert(key.to_owned(), judgement.clone());
        Some(judgement)
    }

    fn insert(&mut self, key: String, judgement: Judgement) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, judgement);
    }
}

/// Keys this thread asks for; given up when dropped, also by a panic of the judge.
struct Claim<'a, J> {
    cache: &'a Cached<J>,
    keys: Vec<String>,
}

impl<J> Drop for Claim<'_, J> {
    fn drop(&mut self) {
        let mut state = lock(&self.cache.state);
        for key in &self.keys {
            state.in_flight.remove(key);
        }
        drop(state);
        self.cache.released.notify_all();
    }
}

impl<J: Judge> Cached<J> {
    /// A cache around `inner`.
    ///
    /// # Errors
    /// If the file cannot be used or `max_entries` is below 2.
    pub fn new(inner: J, config: &CacheConfig) -> Result<Self, JudgeError> {
        if config.max_entries < 2 {
            return Err(JudgeError::Config {
                field: "max_entries",
                reason: format!("{} is below 2", config.max_entries),
            });
        }
        let mut state = State {
            young: HashMap::new(),
            old: HashMap::new(),
            half: config.max_entries / 2,
            in_flight: HashSet::new(),
        };
        let file = config
            .file
            .as_deref()
            .map(|path| CacheFile::open(path, config.sync, |key, j| state.insert(key, j)))
            .transpose()?;
        Ok(Self {
            inner,
            state: Mutex::new(state),
            released: Condvar::new(),
            file: file.map(Mutex::new),
            counters: Counters::default(),
        })
    }

    /// The judge inside.
    pub fn inner(&self) -> &J {
        &self.inner
    }

    /// Judgements held in memory.
    pub fn len(&self) -> usize {
        let state = lock(&self.state);
        state.young.len() + state.old.len()
    }

    /// True if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn store(&self, key: &str, judgement: &Judgement) {
        lock(&self.state).insert(key.to_owned(), judgement.clone());
        let Some(file) = &self.file else { return };
        if let Err(error) = lock(file).append(key, judgement) {
            // The verdict stands; only the next run has to ask again.
            self.counters.failed_attempt(FailureKind::Cache);
            tracing::warn!("{error}");
        }
    }

    /// Fills `results` from memory; returns one index for each key that this thread has to ask for,
    /// and whether some other thread is asking for one of the rest.
    fn look_up<'a>(
        &'a self,
        keys: &[String],
        results: &mut [Option<Result<Judgement, JudgeError>>],
    ) -> (Vec<usize>, Claim<'a, J>, bool) {
        let mut state = lock(&self.state);
        let mut mine = Vec::new();
        let mut claimed: Vec<String> = Vec::new();
        let mut is_waiting = false;
        for (index, key) in keys.iter().enumerate() {
            if results[index].is_some() {
                continue;
            }
            if let Some(judgement) = state.get(key) {
                self.counters.update(|stats| stats.cache_hits += 1);
                results[index] = Some(Ok(judgement));
            } else if state.in_flight.insert(key.clone()) {
                claimed.push(key.clone());
                mine.push(index);
            } else {
                is_waiting = true;
            }
        }
        let claim = Claim {
            cache: self,
            keys: claimed,
        };
        (mine, claim, is_waiting)
    }
}

impl<J: Judge> Judge for Cached<J> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn judge(&self, request: &JudgeRequest) -> Result<Judgement, JudgeError> {
        self.judge_batch(std::slice::from_ref(request))
            .pop()
            .unwrap_or_else(|| Err(missing(self.inner.name())))
    }

    fn judge_batch(&self, requests: &[JudgeRequest]) -> Vec<Result<Judgement, JudgeError>> {
        let keys: Vec<_> = requests
            .iter()
            .map(|r| r.digest(self.inner.name()))
            .collect();
        let mut results: Vec<Option<Result<Judgement, JudgeError>>> = vec![None; requests.len()];
        loop {
            let (mine, claim, is_waiting) = self.look_up(&keys, &mut results);
            if mine.is_empty() && !is_waiting {
                break;
            }
            if mine.is_empty() {
                let state = lock(&self.state);
                let is_busy = |state: &mut State| {
                    let open = keys.iter().zip(&results).filter(|(_, r)| r.is_none());
                    open.map(|(key, _)| key)
                        .all(|key| state.in_flight.contains(key))
                };
                let waited = self.released.wait_while(state, is_busy);
                drop(waited.unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            let open: Vec<_> = mine.iter().map(|&i| requests[i].clone()).collect();
            let mut answers = self.inner.judge_batch(&open).into_iter();
            for &index in &mine {
                let answer = answers
                    .next()
                    .unwrap_or_else(|| Err(missing(self.inner.name())));
                match &answer {
                    Ok(judgement) => self.store(&keys[index], judgement),
                    // Equal requests of this batch fail with it; those of other threads try again.
                    Err(error) => {
                        for (other, key) in keys.iter().enumerate() {
                            if *key == keys[index] {
                                results[other] = Some(Err(error.clone()));
                            }
                        }
                    }
                }
                results[index] = Some(answer);
            }
            drop(claim);
        }
        results
            .into_iter()
            .map(|result| {
                let result = result.unwrap_or_else(|| Err(missing(self.inner.name())));
                self.counters
                    .call(result.as_ref().err().map(JudgeError::kind));
                result
            })
            .collect()
    }

    /// Calls, hits and failures are those of the cache; attempts, retries and tokens the judge's.
    fn stats(&self) -> CallStats {
        let mut stats = self.inner.stats();
        let own = self.counters.snapshot();
        stats.calls = own.calls;
        stats.failures = own.failures;
        stats.cache_hits += own.cache_hits;
        for (kind, count) in own.failed_attempts {
            *stats.failed_attempts.entry(kind).or_default() += count;
        }
        stats
    }
}

fn missing(judge: &str) -> JudgeError {
    JudgeError::Generate {
        judge: judge.to_owned(),
        reason: "fewer results than requests".to_owned(),
    }
}
