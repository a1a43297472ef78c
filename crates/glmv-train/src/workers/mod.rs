//! Data-parallel workers: further devices, or further threads of the same one, that take micro-steps
//! of a training step.
//!
//! Which worker takes which micro-step follows from the lengths alone (`deal`), and gradients are
//! added up in the order of the micro-steps (`collect`), so nothing depends on who is done first:
//! the same devices always give the same numbers, and workers on the device of the trainer give those
//! of a run without workers. A worker on the trainer's own device shares its weights; one elsewhere
//! has a replica, which gets what was learnt after every update (`replica`).

mod collect;
mod crew;
mod deal;
mod replica;

pub(crate) use collect::settle;
pub(crate) use crew::Crew;
pub(crate) use deal::deal;

use crate::grads::Grads;
use crate::trainer::FactorsOfStep;
use crate::{
    Distribution, Error, Groups, Micro, Parameter, PassOptions, Scores, freeze, gradients,
    parameters, scores,
};
use burn::module::Module;
use burn::tensor::Device;
use collect::Collector;
use glmv_kernels::device::kind;
use glmv_model::Glm4v;
use std::sync::{Arc, Mutex, PoisonError};

/// A device beside the trainer's.
#[derive(Debug)]
pub struct Worker {
    device: String,
    share: f64,
    replica: Option<Glm4v>,
}

impl Worker {
    /// A further thread on the trainer's device, with the trainer's weights. `device` is what that is
    /// called in errors and records, `share` how much work it takes where the trainer itself takes 1.
    pub fn sharing(device: impl Into<String>, share: f64) -> Self {
        Worker {
            device: device.into(),
            share,
            replica: None,
        }
    }

    /// A worker on another device, with the run's model loaded there.
    pub fn with_replica(device: impl Into<String>, share: f64, model: Glm4v) -> Self {
        Worker {
            replica: Some(model),
            ..Worker::sharing(device, share)
        }
    }
}

/// The trainer's own place and those of its workers, with what is there.
#[derive(Debug)]
pub(crate) struct Workers {
    crew: Arc<Crew>,
    /// Weights of its own for each place; `None` where it shares the trainer's.
    replicas: Vec<Option<Glm4v>>,
    /// The trainer's.
    device: Device,
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
    /// Places for `workers` beside the trainer on device `own`, whose model is `model`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a share that is no positive number, threads that cannot be had, and a
    /// replica that is not the trainer's model.
    pub fn new(
        (own, model): (&str, &Glm4v),
        workers: Vec<Worker>,
        groups: &Groups,
    ) -> Result<Self, Error> {
        let device = model.device().inner();
        let list = parameters(model);
        let mut members = vec![(own.to_owned(), 1.0, kind(&device))];
        let mut replicas = vec![None];
        for worker in workers {
            let Worker {
                device: name,
                share,
                replica,
            } = worker;
            let replica = match replica {
                None => None,
                Some(replica) => {
                    let replica = freeze(replica, groups)?;
                    same(&name, &list, &parameters(&replica))?;
                    settle(&replica.device())?;
                    Some(replica)
                }
            };
            let there = replica.as_ref().map_or(device.clone(), Glm4v::device);
            members.push((name, share, kind(&there)));
            replicas.push(replica);
        }
        let mut workers = Workers {
            crew: Arc::new(Crew::new(members)?),
            replicas,
            device,
        };
        workers.refresh(model, &list)?;
        Ok(workers)
    }

    /// Who computes where.
    pub fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }

    /// For each place weights for inference, `own` where it shares the trainer's.
    pub fn policies(&self, own: &Glm4v) -> Vec<Glm4v> {
        let policy = |replica: &Option<Glm4v>| match replica {
            Some(replica) => replica.valid(),
            None => own.clone(),
        };
        self.replicas.iter().map(policy).collect()
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
        let order = (0..micros.len()).filter(|at| counted(&micros[*at]));
        let order: Vec<usize> = order.collect();
        let cost = |at: &usize| micros[*at].tokens() as f64;
        let costs: Vec<f64> = order.iter().map(cost).collect();
        let dealt = deal(&costs, &self.crew.shares())?;
        let jobs: Vec<Vec<usize>> = (dealt.into_iter())
            .map(|own| own.into_iter().map(|at| order[at]).collect())
            .collect();
        let waiting = self.crew.len() - 1;
        let step = Step {
            micros,
            options,
            factors: Mutex::new(factors),
            collector: Collector::new(order, waiting, self.device.clone()),
        };
        settle(&self.device)?;
        let work = |at: usize| {
            let model = self.replicas[at].as_ref().unwrap_or(model);
            step.work(model, at, &jobs[at])
        };
        let busy: Vec<bool> = jobs.iter().map(|own| !own.is_empty()).collect();
        let loads = self.crew.run(&busy, &work, &mut || ())?;
        let loads = loads.into_iter().flatten().flatten().collect();
        Ok((step.collector.finish(), loads))
    }

    /// The log-probabilities of `micros`, in order, without gradients; `own` are the trainer's weights.
    ///
    /// # Errors
    /// [`Error::Worker`] with the name of the first worker that failed.
    pub fn scores(
        &self,
        own: &Glm4v,
        micros: &[&Micro],
        distribution: &Distribution,
    ) -> Result<Vec<Scores>, Error> {
        let costs: Vec<f64> = micros.iter().map(|micro| micro.tokens() as f64).collect();
        let dealt = deal(&costs, &self.crew.shares())?;
        let policies = self.policies(own);
        settle(&self.device)?;
        let work = |at: usize| {
            let each = dealt[at].iter();
            let each = each.map(|job| scores(&policies[at], micros[*job], distribution));
            each.collect::<Result<Vec<_>, _>>()
        };
        let busy: Vec<bool> = dealt.iter().map(|own| !own.is_empty()).collect();
        let found = self.crew.run(&busy, &work, &mut || ())?;
        let found = found.into_iter().map(Option::unwrap_or_default);
        let pairs = dealt.into_iter().zip(found);
        let mut all: Vec<(usize, Scores)> = pairs
            .flat_map(|(own, found)| own.into_iter().zip(found))
            .collect();
        all.sort_by_key(|(at, _)| *at);
        Ok(all.into_iter().map(|(_, scores)| scores).collect())
    }

    /// Gives the replicas what `model` has learnt.
    ///
    /// # Errors
    /// If a device fails.
    pub fn refresh(&mut self, model: &Glm4v, list: &[Parameter]) -> Result<(), Error> {
        if self.replicas.iter().all(Option::is_none) {
            return Ok(());
        }
        let values = replica::values(model, list)?;
        for (at, replica) in self.replicas.iter_mut().enumerate() {
            let Some(own) = replica.take() else {
                continue;
            };
            let refreshed = self.crew.within(at, || {
                let own = replica::refreshed(own, list, &values);
                settle(&own.device()).map(|()| own)
            });
            *replica = Some(refreshed?);
        }
        Ok(())
    }
}

impl Step<'_> {
    /// Does micro-steps `own`, in order, on the weights of `model`.
    fn work(&self, model: &Glm4v, place: usize, own: &[usize]) -> Result<Loads, Error> {
        let leaving = self.collector.leaving();
        // Leaves of its own, or two workers would record into one graph.
        let apart = (place > 0).then(|| replica::apart(model));
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
fn same(device: &str, list: &[Parameter], own: &[Parameter]) -> Result<(), Error> {
    let mut pairs = list.iter().zip(own);
    let differs = pairs.find(|(a, b)| a != b).map(|(a, _)| a);
    let reason = match differs {
        Some(parameter) => format!(
            "it holds {} in another form than the trainer's device: leave it out",
            parameter.path
        ),
        None if list.len() != own.len() => {
            let (n, own) = (list.len(), own.len());
            format!("it has {own} parameters and the trainer {n}: leave it out")
        }
        None => return Ok(()),
    };
    let key = format!("worker {device}");
    Err(Error::Setting { key, reason })
}
