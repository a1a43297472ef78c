//! Data-parallel workers: further devices, or further threads of the same one, that take micro-steps
//! of a training step.
//!
//! Which worker takes which micro-step follows from the lengths alone (`deal`), and gradients are
//! added up in the order of the micro-steps (`collect`), so nothing depends on who is done first:
//! the same devices always give the same numbers, and workers on the device of the trainer give those
//! of a run without workers. A worker on the trainer's own device shares its weights; one elsewhere
//! has a replica, which gets what was learnt after every update (`replica`).

mod collect;
mod deal;
mod replica;

pub(crate) use deal::deal;

use crate::grads::Grads;
use crate::trainer::FactorsOfStep;
use crate::{Error, Groups, Micro, Parameter, PassOptions, Scores, freeze, gradients, parameters};
use burn::tensor::Device;
use collect::{Collector, settle};
use glmv_kernels::device::{Kind, kind};
use glmv_model::Glm4v;
use rayon::ThreadPool;
use std::any::Any;
use std::sync::{Mutex, PoisonError};

/// A device beside the trainer's.
#[derive(Debug)]
pub struct Worker {
    name: String,
    share: f64,
    replica: Option<Glm4v>,
}

impl Worker {
    /// A further thread on the trainer's device, with the trainer's weights. `share` is how much work
    /// it takes where the trainer itself takes 1.
    pub fn sharing(name: impl Into<String>, share: f64) -> Self {
        Worker {
            name: name.into(),
            share,
            replica: None,
        }
    }

    /// A worker on another device, with the run's model loaded there.
    pub fn with_replica(name: impl Into<String>, share: f64, model: Glm4v) -> Self {
        Worker {
            replica: Some(model),
            ..Worker::sharing(name, share)
        }
    }

    /// What it is called in errors and records.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The trainer's own place and those of its workers.
#[derive(Debug)]
pub(crate) struct Workers {
    /// The trainer's first.
    seats: Vec<Seat>,
    /// The trainer's.
    device: Device,
}

#[derive(Debug)]
struct Seat {
    name: String,
    share: f64,
    kind: Kind,
    /// Weights of its own; `None` where it shares the trainer's.
    replica: Option<Glm4v>,
    /// Threads of its own: of a GPU worker one, so that its work stays in one queue.
    pool: Option<ThreadPool>,
}

/// Everything that all workers of a step look at.
struct Step<'a> {
    micros: &'a [Micro],
    options: &'a [PassOptions],
    factors: Mutex<&'a mut FactorsOfStep<'a>>,
    collector: Collector,
}

/// The choices of the experts in each layer of each micro-step that a worker has done.
type Loads = Vec<Vec<Vec<u64>>>;

impl Workers {
    /// Places for `workers` beside the trainer called `name`, whose model is `model`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a share that is no positive number, threads that cannot be had, and a
    /// replica that is not the trainer's model.
    pub fn new(
        (name, model): (&str, &Glm4v),
        workers: Vec<Worker>,
        groups: &Groups,
    ) -> Result<Self, Error> {
        let own = Worker::sharing(name, 1.0);
        let device = model.device().inner();
        let here = kind(&device);
        let list = parameters(model);
        let mut seats = Vec::new();
        for worker in std::iter::once(own).chain(workers) {
            let Worker {
                name,
                share,
                replica,
            } = worker;
            if !(share.is_finite() && share > 0.0) {
                let reason = format!("a share of {share} is no positive number");
                return Err(setting(&name, reason));
            }
            let replica = match replica {
                None => None,
                Some(replica) => {
                    let replica = freeze(replica, groups)?;
                    same(&name, &list, &parameters(&replica))?;
                    Some(replica::refreshed(
                        replica,
                        &list,
                        &replica::values(model, &list)?,
                    ))
                }
            };
            seats.push(Seat {
                kind: replica.as_ref().map_or(here, |r| kind(&r.device())),
                name,
                share,
                replica,
                pool: None,
            });
        }
        let mut workers = Workers { seats, device };
        workers.start_threads()?;
        Ok(workers)
    }

    /// Threads for every seat: the CPU's are divided among those that compute on it.
    fn start_threads(&mut self) -> Result<(), Error> {
        let on_cpu = |seat: &Seat| seat.kind == Kind::Flex;
        let sharing = self.seats.iter().filter(|seat| on_cpu(seat)).count();
        let all = rayon::current_num_threads();
        for (at, seat) in self.seats.iter_mut().enumerate() {
            let threads = match on_cpu(seat) {
                true => (all / sharing).max(1),
                // The trainer's own thread and its queue are there already.
                false if at == 0 => continue,
                false => 1,
            };
            let name = seat.name.clone();
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(move |thread| format!("{name} {thread}"));
            let pool = pool.build();
            seat.pool = Some(pool.map_err(|e| setting(&seat.name, e.to_string()))?);
        }
        Ok(())
    }

    /// How much work each takes, the trainer's first.
    fn shares(&self) -> Vec<f64> {
        self.seats.iter().map(|seat| seat.share).collect()
    }

    /// Adds up the gradients of all micro-steps with a counted token, and how often each expert was
    /// chosen.
    ///
    /// # Errors
    /// [`Error::Worker`] with the name of the first worker that failed.
    pub fn gradients(
        &self,
        model: &Glm4v,
        (micros, options): (&[Micro], &[PassOptions]),
        factors: &mut FactorsOfStep<'_>,
    ) -> Result<(Grads, Loads), Error> {
        let counted = |micro: &Micro| micro.counted() > 0;
        let order: Vec<usize> = (0..micros.len())
            .filter(|at| counted(&micros[*at]))
            .collect();
        let cost = |at: &usize| micros[*at].tokens() as f64;
        let dealt = deal(&order.iter().map(cost).collect::<Vec<_>>(), &self.shares())?;
        let jobs: Vec<Vec<usize>> = (dealt.into_iter())
            .map(|own| own.into_iter().map(|at| order[at]).collect())
            .collect();
        let collector = Collector::new(order, self.seats.len() - 1, self.device.clone());
        let step = Step {
            micros,
            options,
            factors: Mutex::new(factors),
            collector,
        };
        settle(&self.device)?;
        let results = self.run(model, &jobs, &step);
        let mut loads = Vec::new();
        for (seat, result) in self.seats.iter().zip(results) {
            loads.extend(result.map_err(|error| Error::Worker {
                name: seat.name.clone(),
                error: Box::new(error),
            })?);
        }
        Ok((step.collector.finish(), loads))
    }

    /// Every seat does its jobs; the trainer's own on this thread.
    fn run(
        &self,
        model: &Glm4v,
        jobs: &[Vec<usize>],
        step: &Step<'_>,
    ) -> Vec<Result<Loads, Error>> {
        let busy = |seat: &Seat, own: &Vec<usize>| seat.kind == Kind::Flex && !own.is_empty();
        let pairs = self.seats.iter().zip(jobs);
        // Alone on the CPU, a worker may have all of its threads.
        let alone = pairs.filter(|(seat, own)| busy(seat, own)).count() < 2;
        let work = |at: usize| {
            let seat = &self.seats[at];
            let work = || step.work(seat.replica.as_ref().unwrap_or(model), at, &jobs[at]);
            match &seat.pool {
                Some(pool) if !(alone && seat.kind == Kind::Flex) => pool.install(work),
                _ => work(),
            }
        };
        let work = &work;
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.seats.len())
                .map(|at| (!jobs[at].is_empty()).then(|| scope.spawn(move || work(at))))
                .collect();
            let mut results = vec![work(0)];
            results.extend(others.into_iter().map(|handle| match handle {
                None => Ok(Vec::new()),
                Some(handle) => handle.join().unwrap_or_else(|panic| Err(panicked(&*panic))),
            }));
            results
        })
    }

    /// Gives the replicas what `model` has learnt.
    ///
    /// # Errors
    /// If a device fails.
    pub fn refresh(&mut self, model: &Glm4v, list: &[Parameter]) -> Result<(), Error> {
        if self.seats.iter().all(|seat| seat.replica.is_none()) {
            return Ok(());
        }
        let values = replica::values(model, list)?;
        for seat in &mut self.seats {
            let Some(own) = seat.replica.take() else {
                continue;
            };
            let refresh = || {
                let own = replica::refreshed(own, list, &values);
                settle(&own.device()).map(|()| own)
            };
            seat.replica = Some(match &seat.pool {
                Some(pool) => pool.install(refresh)?,
                None => refresh()?,
            });
        }
        Ok(())
    }
}

impl Step<'_> {
    /// Does micro-steps `own`, in order, on the weights of `model`.
    fn work(&self, model: &Glm4v, seat: usize, own: &[usize]) -> Result<Loads, Error> {
        let leaving = self.collector.leaving();
        // Leaves of its own, or two workers would record into one graph.
        let apart = (seat > 0).then(|| replica::apart(model));
        let model = apart.as_ref().unwrap_or(model);
        let mut loads = Vec::new();
        for index in own {
            let mut factors = |scores: &Scores| {
                let mut factors = self.factors.lock().unwrap_or_else(PoisonError::into_inner);
                factors(*index, scores)
            };
            let (micro, options) = (&self.micros[*index], &self.options[*index]);
            let mut grads = Grads::new();
            let outcome = gradients(model, micro, options, &mut factors, &mut grads)?;
            loads.push(outcome.loads);
            if !self.collector.hand_over(*index, grads)? {
                break;
            }
        }
        leaving.in_peace();
        Ok(loads)
    }
}

/// Fails where a replica's parameters are not the trainer's.
fn same(name: &str, list: &[Parameter], own: &[Parameter]) -> Result<(), Error> {
    let pairs = list.iter().zip(own);
    let differs = pairs.filter(|(a, b)| a != b).map(|(a, _)| a).next();
    let reason = match differs {
        Some(parameter) => format!(
            "holds {} in another form than the trainer's device: leave this device out",
            parameter.path
        ),
        None if list.len() != own.len() => {
            let (n, own) = (list.len(), own.len());
            format!("has {own} parameters and the trainer {n}: leave this device out")
        }
        None => return Ok(()),
    };
    Err(setting(name, reason))
}

fn setting(name: &str, reason: String) -> Error {
    Error::Setting {
        key: format!("worker {name}"),
        reason,
    }
}

/// What a panic said.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::Other(format!("it panicked: {}", text.unwrap_or("without a word")))
}
