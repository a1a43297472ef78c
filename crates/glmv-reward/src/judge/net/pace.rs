//! How many requests may start: a token bucket per minute and a bound on those in flight.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Seconds of pause that a bucket may save up and spend at once.
const BURST_SECS: f64 = 1.0;

/// Token bucket over a clock that counts seconds; pure, so that its tests need no waiting.
#[derive(Debug)]
struct Bucket {
    /// Tokens per second; infinite without a limit.
    per_sec: f64,
    capacity: f64,
    tokens: f64,
    /// Time of the last refill in seconds.
    refilled_at: f64,
    /// No request may start before this time in seconds.
    paused_until: f64,
}

impl Bucket {
    fn new(per_minute: Option<f64>) -> Self {
        let per_sec = per_minute.map_or(f64::INFINITY, |rate| rate / 60.0);
        let capacity = (per_sec * BURST_SECS).max(1.0);
        Self {
            per_sec,
            capacity,
            tokens: capacity,
            refilled_at: 0.0,
            paused_until: 0.0,
        }
    }

    /// Takes a token at time `now`; returns how many seconds from `now` it may be used.
    fn reserve(&mut self, now: f64) -> f64 {
        if self.per_sec.is_infinite() {
            return self.pause(now);
        }
        let elapsed = (now - self.refilled_at).max(0.0);
        self.tokens = (self.tokens + elapsed * self.per_sec).min(self.capacity);
        self.refilled_at = self.refilled_at.max(now);
        self.tokens -= 1.0;
        (-self.tokens / self.per_sec).max(self.pause(now))
    }

    /// What is left of a pause at time `now`, in seconds.
    fn pause(&self, now: f64) -> f64 {
        (self.paused_until - now).max(0.0)
    }
}

/// Admits requests of many threads.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    bucket: Mutex<Bucket>,
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to have one request in flight; given back when dropped.
pub(crate) struct Permit<'a>(&'a Pace);

impl Pace {
    pub(crate) fn new(per_minute: Option<f64>, max_concurrent: usize) -> Self {
        Self {
            start: Instant::now(),
            bucket: Mutex::new(Bucket::new(per_minute)),
            free: Mutex::new(max_concurrent),
            freed: Condvar::new(),
        }
    }

    /// Waits until a request may start.
    pub(crate) fn admit(&self) -> Permit<'_> {
        let mut free = lock(&self.free);
        while *free == 0 {
            free = self
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        drop(free);
        let permit = Permit(self);
        let mut wait_secs = lock(&self.bucket).reserve(self.now());
        while wait_secs > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(wait_secs));
            wait_secs = lock(&self.bucket).pause(self.now()); // another thread may have been told to wait
        }
        permit
    }

    /// Lets no request start for `secs` seconds: a server asked for it.
    pub(crate) fn pause(&self, secs: f64) {
        let until = self.now() + secs;
        let mut bucket = lock(&self.bucket);
        bucket.paused_until = bucket.paused_until.max(until);
    }

    fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *lock(&self.0.free) += 1;
        self.0.freed.notify_one();
    }
}

/// A lock that a panic of another thread does not take away: all state here is plain numbers.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_never_gives_more_than_its_rate() {
        let mut bucket = Bucket::new(Some(120.0)); // 2 per second, burst 2
        let starts: Vec<f64> = (0..6).map(|_| bucket.reserve(10.0)).collect();
        assert_eq!(starts, [0.0, 0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(bucket.reserve(12.0), 0.5, "the debt is paid first");
        assert_eq!(bucket.reserve(1000.0), 0.0);
        assert_eq!(bucket.reserve(1000.0), 0.0);
        assert_eq!(
            bucket.reserve(1000.0),
            0.5,
            "no more than a second is saved up"
        );
    }

    #[test]
    fn a_slow_rate_lets_one_through_at_once() {
        let mut bucket = Bucket::new(Some(6.0));
        assert_eq!(bucket.reserve(0.0), 0.0);
        assert_eq!(bucket.reserve(0.0), 10.0);
    }

    #[test]
    fn a_pause_holds_with_and_without_a_rate() {
        for rate in [None, Some(6000.0)] {
            let mut bucket = Bucket::new(rate);
            assert_eq!(bucket.reserve(1.0), 0.0);
            bucket.paused_until = 5.0;
            assert_eq!(bucket.reserve(2.0), 3.0);
            assert_eq!(bucket.reserve(6.0), 0.0);
        }
    }

    #[test]
    fn permits_bound_what_is_in_flight() {
        let pace = Pace::new(None, 2);
        let in_flight = Mutex::new((0, 0)); // (now, most)
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _permit = pace.admit();
                    {
                        let mut state = lock(&in_flight);
                        state.0 += 1;
                        state.1 = state.1.max(state.0);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                    lock(&in_flight).0 -= 1;
                });
            }
        });
        assert_eq!(*lock(&in_flight), (0, 2));
        assert_eq!(*lock(&pace.free), 2);
    }
}
