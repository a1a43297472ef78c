//! Completions of the tasks that the curriculum asks for: many at a time through the engine, the
//! samples of a prompt sharing its prefill and its visual features.
//!
//! Which tokens come depends on the weights, the prompt, the run's seed, the iteration and the
//! sample's number alone, never on what else is in the batch: so any completion can be made again.

use super::Tasks;
use crate::{Distribution, Error};
use glmv_engine::{
    Completion, Engine, EngineConfig, Event, FinishReason, ModelInputs, RenderOptions, Request,
    RequestId, SamplingOverrides, SamplingParams,
};
use glmv_model::Glm4v;
use glmv_reward::Verdict;
use glmv_rl::curriculum::Ask;
use glmv_rl::objective::Truncated;
use glmv_sampling::{Logprobs, PromptThink};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

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
    /// What was said of it; `None` before it is judged.
    pub verdict: Option<Verdict>,
    /// What it is worth; `None` before it is judged, and where it could not be.
    pub reward: Option<f64>,
}

/// Runs prompts.
#[derive(Debug)]
pub struct Rollouts {
    engine: Engine,
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
            stop_ids,
            think_budget: budgets.forced_at(handling),
            forbidden_ids: engine.placeholder_ids(),
            logprobs: Logprobs::Policy,
            ..SamplingParams::default()
        };
        Ok(Rollouts {
            engine,
            params,
            handling,
            seed: recipe.seed,
        })
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

    /// The engine, for other questions to the same weights.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Takes newer weights; nothing of the older ones is kept.
    ///
    /// # Errors
    /// [`Error::Engine`].
    pub fn set_model(&mut self, model: Glm4v) -> Result<(), Error> {
        Ok(self.engine.set_model(model)?)
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
        let inputs = self.engine.prepare(&row.prompt, &options);
        inputs.map_err(|e| Error::Task {
            place: row.place.to_string(),
            reason: e.to_string(),
        })
    }

    fn complete(
        &mut self,
        jobs: Vec<Job>,
        tasks: &Tasks,
        progress: Progress<'_>,
    ) -> Result<Vec<Group>, Error> {
        let total: usize = jobs.iter().map(|job| job.samples).sum();
        let (mut places, mut done) = (BTreeMap::<RequestId, usize>::new(), 0);
        let mut groups = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.into_iter().enumerate() {
            let id = self.engine.add(Request {
                inputs: (*job.inputs).clone(),
                params: job.params.clone(),
                samples: job.samples,
                stream: job.first,
            });
            let id = id.map_err(|e| Error::Task {
                place: tasks.row(job.task).place.to_string(),
                reason: e.to_string(),
            })?;
            places.insert(id, index);
            groups.push((job, Vec::new()));
        }
        while !self.engine.is_idle() {
            let events = match self.engine.step() {
                Ok(events) => events,
                Err(error) => {
                    self.engine.reset()?;
                    return Err(error.into());
                }
            };
            for event in events {
                let Event::Finished {
                    request,
                    sample,
                    completion,
                } = event
                else {
                    continue;
                };
                if let Some(index) = places.get(&request) {
                    let (job, members) = &mut groups[*index];
                    members.push(self.member(job, sample, completion)?);
                    done += 1;
                    progress(done, total as u64);
                }
            }
        }
        let groups = groups.into_iter().map(|(job, mut members)| {
            members.sort_by_key(|member: &Member| member.sample);
            Group {
                task: job.task,
                thinking: job.thinking,
                inputs: job.inputs,
                seed: job.params.seed,
                members,
            }
        });
        Ok(groups.collect())
    }

    fn member(&self, job: &Job, sample: usize, completion: Completion) -> Result<Member, Error> {
        let mut inserted = vec![false; completion.token_ids.len()];
        completion.forced.iter().for_each(|at| inserted[*at] = true);
        let tokenizer = &self.engine.processor().tokenizer;
        let is_truncated = completion.finish_reason != FinishReason::Stop;
        let said = match is_truncated {
            true => completion.token_ids.as_slice(),
            false => &completion.token_ids[..completion.token_ids.len().saturating_sub(1)],
        };
        let said = tokenizer.decode(said, true);
        let said = said.map_err(|e| Error::Other(e.to_string()))?;
        let opened = match PromptThink::of_prompt(&job.inputs.prompt) {
            PromptThink::Open => "<think>",
            PromptThink::Closed => "<think></think>",
            PromptThink::Undecided => "",
        };
        Ok(Member {
            sample: job.first + sample as u64,
            tokens: completion.token_ids,
            logprobs: completion.logprobs,
            inserted,
            is_truncated,
            text: format!("{opened}{said}"),
            verdict: None,
            reward: None,
        })
    }
}

/// A prompt with how often and from which draws it is completed.
struct Job {
    task: usize,
    thinking: bool,
    inputs: Arc<ModelInputs>,
    params: SamplingParams,
    /// Stream of the first sample.
    first: u64,
    samples: usize,
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
