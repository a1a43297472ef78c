//! Completions of the tasks that the curriculum asks for: many at a time through the engine, the
//! samples of a prompt sharing its prefill and its visual features.
//!
//! Which tokens come depends on the weights, the prompt, the run's seed, the iteration and the
//! sample's number alone, never on what else is in the batch: so any completion can be made again.

use super::Tasks;
use super::complete::{Job, complete};
use crate::workers::{Crew, deal, settle};
use crate::{Distribution, Error, Trainer};
use glmv_engine::{
    Engine, EngineConfig, ModelInputs, RenderOptions, SamplingOverrides, SamplingParams,
};
use glmv_kernels::device::{Kind, kind};
use glmv_model::Glm4v;
use glmv_reward::Verdict;
use glmv_rl::curriculum::Ask;
use glmv_rl::objective::Truncated;
use glmv_sampling::Logprobs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Told how many completions of how many are done.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// The completions of one prompt.
#[derive(Clone, Debug)]
pub struct Group {
    /// Index of the task.
    pub task: usize,
    /// Whether the prompt asks for thinking.
    pub thinking: bool,
    pub inputs: Arc<ModelInputs>,
    /// Of the draws; sample k draws from stream k.
    pub seed: u64,
    pub members: Vec<Member>,
}

/// One completion.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number among the samples of its task in this iteration.
    pub sample: u64,
    /// Generated ids, a final stop token included.
    pub tokens: Vec<u32>,
    /// Log-probabilities under the policy, nats, `[tokens]`.
    pub logprobs: Vec<f32>,
    /// True where the thinking budget put the token, `[tokens]`.
    pub inserted: Vec<bool>,
    /// It did not end by itself.
    pub is_truncated: bool,
    /// The text, with the think block that the prompt has opened.
    pub text: String,
    /// Number of the worker that made it, 0 for the run's own device.
    pub worker: usize,
    /// The device that made it: `cpu`, `gpu`, or `gpu:1`.
    pub device: Arc<str>,
    /// What was said of it; `None` before it is judged.
    pub verdict: Option<Verdict>,
    /// What it is worth; `None` before it is judged, and where it could not be.
    pub reward: Option<f64>,
}

/// Runs prompts.
#[derive(Debug)]
pub struct Rollouts {
    /// One for each place of the crew; one alone without a crew.
    engines: Vec<Engine>,
    crew: Option<Arc<Crew>>,
    /// What the first engine's device is called.
    device: String,
    params: SamplingParams,
    handling: Truncated,
    seed: u64,
}

impl Rollouts {
    /// An engine for `model` with the processor of the checkpoint folder `dir`, set up as the recipe
    /// says.
    ///
    /// # Errors
    /// [`Error::Engine`] for files that cannot be read, [`Error::Rl`] for settings.
    pub fn new(model: Glm4v, dir: &Path, recipe: &glmv_rl::Recipe) -> Result<Self, Error> {
        let engine = Engine::of_model(model, dir)?.with_config(EngineConfig::rollout())?;
        let handling = recipe.objective.truncated();
        let budgets = recipe.rollout.budgets();
        let stop_ids = engine.params(&SamplingOverrides::default())?.stop_ids;
        let params = SamplingParams {
            max_new_tokens: budgets.max_tokens(&engine.think_ids()),
            temperature: recipe.rollout.temperature as f32,
            top_p: (recipe.rollout.top_p < 1.0).then_some(recipe.rollout.top_p as f32),
            stop_ids,
            think_budget: budgets.forced_at(handling),
            forbidden_ids: engine.placeholder_ids(),
            logprobs: Logprobs::Policy,
            ..SamplingParams::default()
        };
        let device = match kind(&engine.model().device()) {
            Kind::Flex => "cpu",
            Kind::Wgpu | Kind::Other => "gpu",
        };
        Ok(Rollouts {
            engines: vec![engine],
            crew: None,
            device: device.to_owned(),
            params,
            handling,
            seed: recipe.seed,
        })
    }

    /// Gives each worker of `trainer` an engine, which takes a share of the prompts from then on.
    /// `dir` is the checkpoint folder with the processor.
    ///
    /// # Errors
    /// [`Error::Engine`] for files that cannot be read.
    pub fn employ(&mut self, trainer: &Trainer, dir: &Path) -> Result<(), Error> {
        let Some(crew) = trainer.crew() else {
            return Ok(());
        };
        self.engines.truncate(1);
        for (at, model) in trainer.policies().into_iter().enumerate().skip(1) {
            let engine = crew.within(at, || {
                let engine = Engine::of_model(model, dir)?;
                engine.with_config(EngineConfig::rollout())
            });
            self.engines.push(engine?);
        }
        self.device = crew.device(0).to_owned();
        self.crew = Some(crew.clone());
        Ok(())
    }

    /// How many engines there are.
    pub fn workers(&self) -> usize {
        self.engines.len()
    }

    /// What a worker is called: its number and its device.
    pub fn name(&self, worker: usize) -> String {
        match &self.crew {
            Some(crew) => crew.name(worker),
            None => self.device.clone(),
        }
    }

    /// What the device of the first engine is called.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The distribution that completions are drawn from, which the trainer must score under.
    pub fn distribution(&self) -> Distribution {
        Distribution {
            temperature: self.params.temperature,
            forbidden: self.params.forbidden_ids.clone(),
        }
    }

    /// What becomes of completions that run out of tokens.
    pub fn handling(&self) -> Truncated {
        self.handling
    }

    /// The first engine, for other questions to the same weights.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engines[0]
    }

    /// The engine of a worker.
    pub(super) fn engine_of(&mut self, worker: usize) -> &mut Engine {
        &mut self.engines[worker]
    }

    /// Takes the weights that `trainer` has now; nothing of the older ones is kept.
    ///
    /// # Errors
    /// [`Error::Engine`].
    pub fn follow(&mut self, trainer: &Trainer) -> Result<(), Error> {
        for (at, (engine, model)) in self.engines.iter_mut().zip(trainer.policies()).enumerate() {
            settle(&model.device())?;
            match &self.crew {
                None => engine.set_model(model)?,
                Some(crew) => crew.within(at, || {
                    engine.set_model(model)?;
                    settle(&engine.model().device())
                })?,
            }
        }
        Ok(())
    }

    /// The sampling of one task in one iteration.
    fn params_of(&self, iteration: u64, task: usize) -> SamplingParams {
        SamplingParams {
            seed: mixed(mixed(self.seed, iteration), task as u64),
            ..self.params.clone()
        }
    }

    /// Makes the completions that are asked for; `first` tells how many samples of a task there are
    /// already in this iteration.
    ///
    /// # Errors
    /// [`Error::Task`] for a prompt that cannot be made, [`Error::Engine`] for what fails.
    pub fn run(
        &mut self,
        iteration: u64,
        asks: &[Ask],
        first: &dyn Fn(usize) -> u64,
        tasks: &Tasks,
        progress: Progress<'_>,
    ) -> Result<Vec<Group>, Error> {
        let mut jobs = Vec::with_capacity(asks.len());
        for ask in asks {
            let inputs = self.prompt(tasks, ask.task, ask.thinking)?;
            let params = self.params_of(iteration, ask.task);
            jobs.push(Job {
                task: ask.task,
                thinking: ask.thinking,
                inputs: Arc::new(inputs),
                params,
                first: first(ask.task),
                samples: ask.completions,
            });
        }
        self.complete(jobs, tasks, progress)
    }

    /// One answer to each task, under other sampling: for held-out accuracy.
    ///
    /// # Errors
    /// As [`Rollouts::run`].
    pub fn answer(
        &mut self,
        tasks: &Tasks,
        (temperature, thinks): (f32, bool),
        progress: Progress<'_>,
    ) -> Result<Vec<Group>, Error> {
        let mut jobs = Vec::with_capacity(tasks.len());
        for task in 0..tasks.len() {
            let thinking = tasks.known(task).thinking.unwrap_or(thinks);
            jobs.push(Job {
                task,
                thinking,
                inputs: Arc::new(self.prompt(tasks, task, thinking)?),
                params: SamplingParams {
                    temperature,
                    ..self.params_of(u64::MAX, task)
                },
                first: 0,
                samples: 1,
            });
        }
        self.complete(jobs, tasks, progress)
    }

    /// One sample once more, alone.
    ///
    /// # Errors
    /// As [`Rollouts::run`].
    pub fn again(
        &mut self,
        tasks: &Tasks,
        iteration: u64,
        (task, thinking, sample): (usize, bool, u64),
    ) -> Result<Group, Error> {
        let job = Job {
            task,
            thinking,
            inputs: Arc::new(self.prompt(tasks, task, thinking)?),
            params: self.params_of(iteration, task),
            first: sample,
            samples: 1,
        };
        let mut groups = self.complete(vec![job], tasks, &mut |_, _| ())?;
        match groups.pop() {
            Some(group) => Ok(group),
            None => unreachable!("one job makes one group"),
        }
    }

    fn prompt(&self, tasks: &Tasks, task: usize, thinking: bool) -> Result<ModelInputs, Error> {
        let options = RenderOptions {
            add_generation_prompt: true,
            enable_thinking: Some(thinking),
            ..RenderOptions::default()
        };
        let row = tasks.row(task);
        let inputs = self.engines[0].prepare(&row.prompt, &options);
        inputs.map_err(|e| Error::Task {
            place: row.place.to_string(),
            reason: e.to_string(),
        })
    }

    /// Has the engines do all jobs, each some of them; the groups come in the order of the jobs.
    fn complete(
        &mut self,
        jobs: Vec<Job>,
        tasks: &Tasks,
        progress: Progress<'_>,
    ) -> Result<Vec<Group>, Error> {
        let total = jobs.iter().map(|job| job.samples as u64).sum();
        let Some(crew) = &self.crew else {
            let mut done = 0;
            let mut tell = || {
                done += 1;
                progress(done, total);
            };
            let place = (0, self.device.as_str());
            return complete(&mut self.engines[0], place, jobs, tasks, &mut tell);
        };
        let costs: Vec<f64> = jobs.iter().map(Job::cost).collect();
        let dealt = deal(&costs, &crew.shares())?;
        let busy: Vec<bool> = dealt.iter().map(|own| !own.is_empty()).collect();
        let seats: Vec<Mutex<(&mut Engine, Vec<Job>)>> = (self.engines.iter_mut().zip(&dealt))
            .map(|(engine, own)| {
                let own = own.iter().map(|at| jobs[*at].clone());
                Mutex::new((engine, own.collect()))
            })
            .collect();
        let done = AtomicU64::new(0);
        let work = |at: usize| {
            let mut seat = seats[at].lock().unwrap_or_else(PoisonError::into_inner);
            let own = std::mem::take(&mut seat.1);
            let mut tell = || {
                done.fetch_add(1, Ordering::Relaxed);
            };
            let groups = complete(seat.0, (at, crew.device(at)), own, tasks, &mut tell)?;
            settle(&seat.0.model().device())?;
            Ok(groups)
        };
        let mut meanwhile = || progress(done.load(Ordering::Relaxed), total);
        let found = crew.run(&busy, &work, &mut meanwhile)?;
        progress(total, total);
        let mut groups: Vec<(usize, Group)> = Vec::with_capacity(jobs.len());
        for (own, found) in dealt.into_iter().zip(found) {
            groups.extend(own.into_iter().zip(found.unwrap_or_default()));
        }
        groups.sort_by_key(|(at, _)| *at);
        Ok(groups.into_iter().map(|(_, group)| group).collect())
    }
}

/// A seed for each value under `seed`: SplitMix64's finaliser (S. Vigna) over both.
pub(super) fn mixed(seed: u64, value: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(value)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
