//! One training step: micro-steps in, gradients summed, weights updated once.

use crate::grads::Grads;
use crate::workers::{Crew, Worker, Workers};
use crate::{
    AdamW, AdamWConfig, Balance, Distribution, Error, Factors, Groups, Micro, Parameter, Part,
    PassOptions, Recompute, Schedule, Scores, balance_router, freeze, gradients, parameters,
    scores,
};
use burn::module::Module;
use glmv_model::Glm4v;
use glmv_model::plan::Trains;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Settings of a trainer, as a recipe has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerConfig {
    /// Steps of the whole run, for the schedule.
    pub steps: u64,
    pub schedule: Schedule,
    #[serde(default)]
    pub adamw: AdamWConfig,
    #[serde(default)]
    pub groups: Groups,
    #[serde(default)]
    pub balance: Balance,
    /// What the decoder keeps between the passes.
    #[serde(default)]
    pub recompute: Recompute,
    /// What the vision tower and the projector keep; as `recompute` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recompute_vision: Option<Recompute>,
    /// Steps in a row whose gradients are not finite before the run stops.
    #[serde(default = "default_patience")]
    pub patience: u64,
}

fn default_patience() -> u64 {
    5
}

impl TrainerConfig {
    /// What the vision tower and the projector keep.
    pub fn vision(&self) -> Recompute {
        self.recompute_vision.unwrap_or(self.recompute)
    }

    /// Parts whose weights learn, for a plan.
    pub fn trains(&self) -> Trains {
        let trains = |part| self.groups.trains(part);
        Trains {
            vision: trains(Part::Vision),
            projector: trains(Part::Projector),
            text: trains(Part::Text),
            router: trains(Part::Router),
        }
    }
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Steps so far, this one included.
    pub step: u64,
    /// Learning rate of the step.
    pub rate: f64,
    /// Norm of all gradients, before clipping.
    pub grad_norm: f64,
    /// False if the gradients were not finite, so that nothing changed.
    pub applied: bool,
    /// Tokens that went through the model, and those among them that were counted.
    pub tokens: usize,
    pub counted: usize,
    /// Largest share of a layer's choices that one expert had, over the even share; 0 without
    /// experts or balance.
    pub expert_load: f64,
}

/// Tells how much each score of a micro-step matters: its number and its scores in, the derivatives
/// of the loss out. With workers the calls come from several threads, one at a time, in any order.
pub type FactorsOfStep<'a> = dyn FnMut(usize, &Scores) -> Result<Factors, Error> + Send + 'a;

/// A model that learns.
#[derive(Debug)]
pub struct Trainer {
    /// Away only while it is updated.
    model: Option<Glm4v>,
    list: Vec<Parameter>,
    adamw: AdamW,
    config: TrainerConfig,
    distribution: Distribution,
    workers: Option<Workers>,
    /// Steps taken, skipped ones included.
    step: u64,
    /// Skipped steps in a row, and in all.
    skipped: [u64; 2],
}

impl Trainer {
    /// Takes over a model; parts that no group trains are frozen.
    ///
    /// # Errors
    /// As [`freeze`]; [`Error::Setting`] for settings out of range.
    pub fn new(model: Glm4v, config: TrainerConfig) -> Result<Self, Error> {
        let positive = [
            ("schedule.rate", config.schedule.rate),
            ("adamw.eps", config.adamw.eps),
            ("adamw.clip", config.adamw.clip.unwrap_or(1.0)),
        ];
        for (key, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                let reason = format!("{value} is no positive number");
                return Err(Error::Setting {
                    key: key.into(),
                    reason,
                });
            }
        }
        for (key, beta) in [("beta1", config.adamw.beta1), ("beta2", config.adamw.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                let (key, reason) = (format!("adamw.{key}"), format!("{beta} is not in [0, 1)"));
                return Err(Error::Setting { key, reason });
            }
        }
        if model.adapter().is_some() && config.balance.bias_rate != 0.0 {
            return Err(Error::Setting {
                key: "balance.bias_rate".into(),
                reason: "changes the routers' biases, which an adapter does not hold".into(),
            });
        }
        let model = freeze(model, &config.groups)?;
        Ok(Trainer {
            list: parameters(&model),
            adamw: AdamW::new(config.adamw),
            model: Some(model),
            config,
            distribution: Distribution::default(),
            workers: None,
            step: 0,
            skipped: [0, 0],
        })
    }

    /// Deals the micro-steps of every step out to `workers` and to this trainer's own device, which
    /// errors and records call `device`. What they add up to does not depend on who is done first.
    ///
    /// # Errors
    /// [`Error::Setting`] for a share that is no positive number and a replica of another model.
    pub fn employ(&mut self, device: &str, workers: Vec<Worker>) -> Result<(), Error> {
        let own = (device, self.model());
        self.workers = match workers.is_empty() {
            true => None,
            false => Some(Workers::new(own, workers, &self.config.groups)?),
        };
        Ok(())
    }

    /// Goes on after `step` steps with a saved optimiser.
    pub fn resume(&mut self, step: u64, skipped: [u64; 2], adamw: AdamW) {
        (self.step, self.skipped, self.adamw) = (step, skipped, adamw);
    }

    /// The model as it is now, recording gradients.
    pub fn model(&self) -> &Glm4v {
        match &self.model {
            Some(model) => model,
            None => unreachable!("the model is back when an update is done"),
        }
    }

    /// A copy for inference that shares the weights' memory.
    pub fn policy(&self) -> Glm4v {
        self.model().valid()
    }

    /// One for each place where this trainer computes, its own first; those on its own device share
    /// the weights' memory.
    pub(crate) fn policies(&self) -> Vec<Glm4v> {
        let own = self.policy();
        match &self.workers {
            Some(workers) => workers.policies(&own),
            None => vec![own],
        }
    }

    /// Who computes where; `None` without workers.
    pub(crate) fn crew(&self) -> Option<&Arc<Crew>> {
        self.workers.as_ref().map(Workers::crew)
    }

    /// The parameters, in the order of gradients and states.
    pub fn parameters(&self) -> &[Parameter] {
        &self.list
    }

    /// The optimiser.
    pub fn adamw(&self) -> &AdamW {
        &self.adamw
    }

    /// Steps taken, skipped ones included.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Skipped steps in a row, and in all.
    pub fn skipped(&self) -> [u64; 2] {
        self.skipped
    }

    /// Scores are taken under `distribution` from now on.
    pub fn score_under(&mut self, distribution: Distribution) {
        self.distribution = distribution;
    }

    /// Runs every micro-step, adds up the gradients of `Σ factor · score`, and updates the
    /// weights. `factors` is called once per micro-step with its number, in order unless there are
    /// workers.
    ///
    /// The sums equal those of one micro-step over all samples, because a factor is a share of
    /// the whole step. Steps with gradients that are not finite change nothing and are counted.
    ///
    /// # Errors
    /// As [`gradients`], with the name of the worker where there are some; [`Error::NotFinite`] after
    /// too many skipped steps in a row.
    pub fn step(
        &mut self,
        micros: &[Micro],
        factors: &mut FactorsOfStep<'_>,
    ) -> Result<StepReport, Error> {
        let tokens: usize = micros.iter().map(Micro::tokens).sum();
        let counted: usize = micros.iter().map(Micro::counted).sum();
        if counted == 0 {
            let reason = "a step without a counted token".to_string();
            return Err(Error::Sample { reason });
        }
        let (grads, loads) = self.gradients(micros, factors)?;
        let rate = self.config.schedule.rate(self.step, self.config.steps);
        let done = self.adamw.prepare(&grads)?;
        let groups = (self.list.as_slice(), &self.config.groups);
        self.model =
            (self.model.take()).map(|model| self.adamw.apply(model, groups, &grads, done, rate));
        self.step += 1;
        self.after(done.applied, done.norm)?;
        if done.applied && self.config.balance.bias_rate != 0.0 {
            let rate = self.config.balance.bias_rate;
            if let Some(model) = &mut self.model {
                balance_router(model, &loads, rate)?;
            }
        }
        if let (Some(workers), Some(model), true) = (&mut self.workers, &self.model, done.applied) {
            workers.refresh(model, &self.list)?;
        }
        Ok(StepReport {
            step: self.step,
            rate,
            grad_norm: done.norm,
            applied: done.applied,
            tokens,
            counted,
            expert_load: worst_load(&loads),
        })
    }

    /// The sums of a step's gradients, and how often each expert was chosen, by layer; what
    /// [`Trainer::step`] begins with.
    ///
    /// # Errors
    /// As [`gradients`], with the name of the worker where there are some.
    pub fn gradients(
        &self,
        micros: &[Micro],
        factors: &mut FactorsOfStep<'_>,
    ) -> Result<(Grads, Vec<Vec<u64>>), Error> {
        let tokens: usize = micros.iter().map(Micro::tokens).sum();
        let options: Vec<PassOptions> = (micros.iter().enumerate())
            .map(|(index, micro)| PassOptions {
                recompute: self.config.recompute,
                recompute_vision: self.config.vision(),
                balance: self.config.balance,
                share: micro.tokens() as f64 / tokens as f64,
                distribution: self.distribution.clone(),
                dropout: self.dropout(index),
            })
            .collect();
        let mut loads: Vec<Vec<u64>> = Vec::new();
        if let Some(workers) = &self.workers {
            let (grads, each) = workers.gradients(self.model(), (micros, &options), factors)?;
            each.into_iter().for_each(|own| add(&mut loads, own));
            return Ok((grads, loads));
        }
        let mut grads = Grads::new();
        for (index, (micro, options)) in micros.iter().zip(&options).enumerate() {
            if micro.counted() == 0 {
                continue;
            }
            let mut own = |scores: &Scores| factors(index, scores);
            let outcome = gradients(self.model(), micro, options, &mut own, &mut grads)?;
            add(&mut loads, outcome.loads);
        }
        Ok((grads, loads))
    }

    /// The log-probabilities of `micros`, in order, under the weights as they are, dealt out as steps
    /// are.
    ///
    /// # Errors
    /// As [`scores`], with the name of the worker where there are some.
    pub fn scores(
        &self,
        micros: &[&Micro],
        distribution: &Distribution,
    ) -> Result<Vec<Scores>, Error> {
        let own = self.policy();
        match &self.workers {
            Some(workers) => workers.scores(&own, micros, distribution),
            None => {
                let each = micros.iter();
                each.map(|micro| scores(&own, micro, distribution))
                    .collect()
            }
        }
    }

    /// Seed of what the adapter drops in micro-step `index` of this step.
    fn dropout(&self, index: usize) -> Option<u64> {
        let adapter = self.model().adapter()?;
        let at = (self.step << 20) ^ index as u64;
        (adapter.dropout > 0.0).then(|| adapter.seed.rotate_left(32) ^ at)
    }

    fn after(&mut self, applied: bool, norm: f64) -> Result<(), Error> {
        if applied {
            self.skipped[0] = 0;
            return Ok(());
        }
        self.skipped[0] += 1;
        self.skipped[1] += 1;
        match self.skipped[0] >= self.config.patience {
            false => Ok(()),
            true => Err(Error::NotFinite {
                steps: self.skipped[0],
                step: self.step,
                norm,
                rows: String::new(),
            }),
        }
    }
}

fn add(sums: &mut Vec<Vec<u64>>, loads: Vec<Vec<u64>>) {
    if sums.is_empty() {
        *sums = loads;
        return;
    }
    for (sum, load) in sums.iter_mut().zip(loads) {
        sum.iter_mut().zip(load).for_each(|(sum, n)| *sum += n);
    }
}

fn worst_load(loads: &[Vec<u64>]) -> f64 {
    let of = |load: &Vec<u64>| {
        let even = load.iter().sum::<u64>() as f64 / load.len().max(1) as f64;
        load.iter()
            .max()
            .map_or(0.0, |most| *most as f64 / even.max(1.0))
    };
    loads.iter().map(of).fold(0.0, f64::max)
}
