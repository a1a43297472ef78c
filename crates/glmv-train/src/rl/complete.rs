//! One engine's part of the rollouts.

use super::{Group, Member, Tasks};
use crate::Error;
use glmv_engine::{
    Completion, Engine, Event, FinishReason, ModelInputs, Request, RequestId, SamplingParams,
};
use glmv_sampling::PromptThink;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A prompt with how often and from which draws it is completed.
#[derive(Clone)]
pub(super) struct Job {
    pub task: usize,
    pub thinking: bool,
    pub inputs: Arc<ModelInputs>,
    pub params: SamplingParams,
    /// Stream of the first sample.
    pub first: u64,
    pub samples: usize,
}

impl Job {
    /// What it takes, in tokens: the prompt once, and each sample at its longest.
    pub fn cost(&self) -> f64 {
        (self.inputs.input_ids.len() + self.samples * self.params.max_new_tokens) as f64
    }
}

/// Completes `jobs` with an engine, that of worker number `place.0` on device `place.1`; the groups
/// come in the order of the jobs. `done` is called after every completion.
///
/// # Errors
/// [`Error::Task`] for a prompt that the engine refuses, [`Error::Engine`] for what fails.
pub(super) fn complete(
    engine: &mut Engine,
    (worker, device): (usize, &str),
    jobs: Vec<Job>,
    tasks: &Tasks,
    done: &mut dyn FnMut(),
) -> Result<Vec<Group>, Error> {
    let mut places = BTreeMap::<RequestId, usize>::new();
    let device: Arc<str> = device.into();
    let mut groups = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.into_iter().enumerate() {
        let id = engine.add(Request {
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
    while !engine.is_idle() {
        let events = match engine.step() {
            Ok(events) => events,
            Err(error) => {
                engine.reset()?;
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
                let mut member = member(engine, job, sample, completion)?;
                (member.worker, member.device) = (worker, device.clone());
                members.push(member);
                done();
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

fn member(
    engine: &Engine,
    job: &Job,
    sample: usize,
    completion: Completion,
) -> Result<Member, Error> {
    let mut inserted = vec![false; completion.token_ids.len()];
    completion.forced.iter().for_each(|at| inserted[*at] = true);
    let tokenizer = &engine.processor().tokenizer;
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
        worker: 0,
        device: "".into(),
        verdict: None,
        reward: None,
    })
}
