//! Who computes where: the threads of the trainer's own device and of its workers.

use crate::Error;
use glmv_kernels::device::{Kind, check};
use rayon::ThreadPool;
use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

/// The trainer's own place, first, and those of its workers.
#[derive(Debug)]
pub(crate) struct Crew {
    seats: Vec<Seat>,
}

/// A place with its threads.
#[derive(Debug)]
struct Seat {
    device: String,
    share: f64,
    kind: Kind,
    /// Of a GPU one thread, so that its work stays in one queue.
    pool: ThreadPool,
}

/// How often a caller that waits is told so.
const GLANCE: Duration = Duration::from_millis(20);

impl Crew {
    /// A place for each name of a device with its share and kind; the CPU's threads are divided among
    /// those that compute on it.
    ///
    /// # Errors
    /// [`Error::Setting`] for a share that is no positive number, and threads that cannot be had.
    pub fn new(members: Vec<(String, f64, Kind)>) -> Result<Self, Error> {
        let on_cpu = members.iter().filter(|(.., kind)| *kind == Kind::Flex);
        let sharing = on_cpu.count().max(1);
        let all = rayon::current_num_threads();
        let mut seats = Vec::with_capacity(members.len());
        for (at, (device, share, kind)) in members.into_iter().enumerate() {
            let refuse = |reason| Error::Setting {
                key: format!("worker {}", name(at, &device)),
                reason,
            };
            if !(share.is_finite() && share > 0.0) {
                return Err(refuse(format!("a share of {share} is no positive number")));
            }
            let threads = match kind {
                Kind::Flex => (all / sharing).max(1),
                Kind::Wgpu | Kind::Other => 1,
            };
            let label = format!("worker {}", name(at, &device));
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(move |thread| format!("{label} {thread}"))
                .build();
            seats.push(Seat {
                pool: pool.map_err(|e| refuse(e.to_string()))?,
                device,
                share,
                kind,
            });
        }
        Ok(Crew { seats })
    }

    /// How many there are, the trainer's own place included.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// How much work each takes.
    pub fn shares(&self) -> Vec<f64> {
        self.seats.iter().map(|seat| seat.share).collect()
    }

    /// The device of a place, as it was typed.
    pub fn device(&self, at: usize) -> &str {
        &self.seats[at].device
    }

    /// What a place is called: its number and its device.
    pub fn name(&self, at: usize) -> String {
        name(at, self.device(at))
    }

    /// Runs `work` on the threads of a place.
    pub fn within<R: Send>(&self, at: usize, work: impl FnOnce() -> R + Send) -> R {
        self.seats[at].pool.install(work)
    }

    /// Runs `work` for every place that is `busy`, all at once, each on its own threads, and waits for
    /// all. `meanwhile` is called on this thread again and again until then.
    ///
    /// # Errors
    /// [`Error::Worker`] with the name of the first that failed.
    pub fn run<R: Send>(
        &self,
        busy: &[bool],
        work: &(dyn Fn(usize) -> Result<R, Error> + Sync),
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Vec<Option<R>>, Error> {
        let on_cpu = |at: &usize| busy[*at] && self.seats[*at].kind == Kind::Flex;
        // Alone on the CPU, a worker may have all of its threads.
        let alone = (0..self.len()).filter(on_cpu).count() < 2;
        let start = |at: usize| match alone && self.seats[at].kind == Kind::Flex {
            true => work(at),
            false => self.within(at, || work(at)),
        };
        let open = AtomicUsize::new(busy.iter().filter(|busy| **busy).count());
        let (start, open) = (&start, &open);
        let results: Vec<Option<Result<R, Error>>> = std::thread::scope(|scope| {
            let spawn = |at: usize| {
                let caller = std::thread::current();
                scope.spawn(move || {
                    let _done = Done(open, caller);
                    start(at)
                })
            };
            let handles: Vec<_> = (0..self.len())
                .map(|at| busy[at].then(|| spawn(at)))
                .collect();
            while open.load(Ordering::Acquire) > 0 {
                meanwhile();
                std::thread::park_timeout(GLANCE);
            }
            let joined = |handle: std::thread::ScopedJoinHandle<'_, Result<R, Error>>| {
                handle.join().unwrap_or_else(|panic| Err(panicked(&*panic)))
            };
            let handles = handles.into_iter();
            handles.map(|handle| handle.map(joined)).collect()
        });
        check()?;
        let named = |(at, result): (usize, Option<Result<R, Error>>)| {
            let result = result.transpose();
            result.map_err(|error| Error::Worker {
                name: self.name(at),
                error: Box::new(error),
            })
        };
        results.into_iter().enumerate().map(named).collect()
    }
}

/// Tells the caller when a thread is done, by a panic too.
struct Done<'a>(&'a AtomicUsize, Thread);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
        self.1.unpark();
    }
}

fn name(at: usize, device: &str) -> String {
    format!("{at} ({device})")
}

/// What a panic said.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::Other(format!("it panicked: {}", text.unwrap_or("without a word")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(n: usize) -> Crew {
        let member = |_| ("cpu".to_string(), 1.0, Kind::Flex);
        Crew::new((0..n).map(member).collect()).unwrap()
    }

    #[test]
    fn all_work_at_once_and_answers_come_in_order() {
        let crew = crew(3);
        let meeting = std::sync::Barrier::new(2);
        let work = |at: usize| {
            meeting.wait();
            Ok(10 * at)
        };
        let found = crew.run(&[true, false, true], &work, &mut || ());
        assert_eq!(found.unwrap(), [Some(0), None, Some(20)]);
    }

    #[test]
    fn who_fails_or_panics_is_named() {
        let crew = crew(2);
        let fail = |at: usize| match at {
            1 => Err(Error::Other("no paper".into())),
            _ => Ok(()),
        };
        let error = crew.run(&[true; 2], &fail, &mut || ()).unwrap_err();
        assert_eq!(error.to_string(), "worker 1 (cpu): no paper");
        let panic = |at: usize| match at {
            0 => panic!("no ink"),
            _ => Ok(()),
        };
        let error = crew.run(&[true; 2], &panic, &mut || ()).unwrap_err();
        assert_eq!(error.to_string(), "worker 0 (cpu): it panicked: no ink");
    }
}
