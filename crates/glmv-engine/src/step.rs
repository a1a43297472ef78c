//! Requests in, events out: what a step of the engine does.

use crate::completion::{Completion, Event, FinishReason, Usage};
use crate::prompt::Prompt;
use crate::request::{Request, RequestId};
use crate::scheduler::SequenceId;
use crate::sequence::Sequence;
use crate::stats::Stats;
use crate::{Engine, Error};
use burn::tensor::Tensor;
use glmv_kernels::INVARIANT_ROWS;
use glmv_processor::{Modality, Tokenizer};
use glmv_sampling::{PromptThink, Sampled, SamplingParams, ThinkBudget, ThinkIds};
use std::sync::Arc;

impl Engine {
    /// Queues a request; its first events come with a later [`Engine::step`].
    ///
    /// A completion is cut where the context or the KV pool ends.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::NoRoom`], [`Error::Empty`], [`Error::NoSamples`], parameters out
    /// of range, or pictures that do not fit the prompt.
    pub fn add(&mut self, request: Request) -> Result<RequestId, Error> {
        let limit = self.model.config().text.max_position_embeddings;
        let room = self.scheduler.most_tokens();
        let prompt = request.inputs.input_ids.len();
        if request.samples == 0 {
            return Err(Error::NoSamples);
        }
        if prompt >= limit {
            return Err(Error::TooLong { prompt, limit });
        }
        if prompt >= room {
            let limit = room;
            return Err(Error::NoRoom { prompt, limit });
        }
        let merge = self.model.config().vision.spatial_merge_size as u32;
        let prompt = Prompt::new(request.inputs, merge)?;
        let visual = prompt
            .inputs
            .modality
            .iter()
            .filter(|m| **m != Modality::Text);
        let out = Completion {
            token_ids: Vec::new(),
            logprobs: Vec::new(),
            forced: Vec::new(),
            finish_reason: FinishReason::Length,
            usage: Usage {
                prompt_tokens: prompt.len(),
                visual_tokens: visual.count(),
                completion_tokens: 0,
            },
        };
        let keys = match self.config.reuse_prefixes {
            true => self.scheduler.keys(&prompt),
            false => Vec::new(),
        };
        let id = RequestId(self.requests);
        let limit = request
            .params
            .max_new_tokens
            .min(limit.min(room) - prompt.len());
        let budget = self.budget(&prompt, &request.params)?;
        let params = (request.params, request.stream);
        let (prompt, keys) = (Arc::new(prompt), Arc::new(keys));
        let mut sequence = Sequence::new(id, prompt, keys, params, budget, limit, out)?;
        sequence.followers = request.samples - 1;
        self.scheduler.push(sequence);
        self.requests += 1;
        Ok(id)
    }

    /// Ids of the tags around reasoning, and of what is forced behind it.
    pub fn think_ids(&self) -> ThinkIds {
        think_ids(&self.processor.tokenizer)
    }

    fn budget(&self, prompt: &Prompt, params: &SamplingParams) -> Result<ThinkBudget, Error> {
        let think = PromptThink::of_prompt(&prompt.inputs.prompt);
        let ids = self.think_ids();
        Ok(ThinkBudget::new(ids, think, params.think_budget)?)
    }

    /// True if no request waits or runs and no event is left to return.
    pub fn is_idle(&self) -> bool {
        self.scheduler.is_idle() && self.queued.is_empty()
    }

    /// Ends every sample of a request that has not finished; false if there is none. The events of
    /// their ends come with the next step, and their blocks are free at once.
    pub fn cancel(&mut self, request: RequestId) -> bool {
        let found = self.scheduler.of_request(request);
        for id in &found {
            let Some(sequence) = self.scheduler.remove(*id) else {
                continue;
            };
            // Samples that wait for the prompt's prefill have no sequence of their own yet.
            for sample in sequence.sample..=sequence.sample + sequence.followers {
                let mut completion = sequence.out.clone();
                completion.finish_reason = FinishReason::Cancelled;
                self.queued.push(Event::Finished {
                    request,
                    sample,
                    completion,
                });
            }
        }
        !found.is_empty()
    }

    /// Admits what fits, decodes a token of everything that is ready, and runs parts of prompts up
    /// to the chunk size. Returns what came of it, in the order it came.
    ///
    /// # Errors
    /// A failure of the device or of the sampling; the requests are in no good state then, see
    /// [`Engine::reset`].
    pub fn step(&mut self) -> Result<Vec<Event>, Error> {
        self.scheduler.admit(&mut self.stats);
        if self.scheduler.is_stuck() {
            let blocks = &self.scheduler.blocks;
            let (available, limit) = (blocks.available(), blocks.limit());
            return Err(Error::Stuck { available, limit });
        }
        self.begin_followers()?;
        self.decode()?;
        self.prefill()?;
        Ok(std::mem::take(&mut self.queued))
    }

    fn decode(&mut self) -> Result<(), Error> {
        let plan = self.scheduler.rows(INVARIANT_ROWS, &mut self.stats);
        self.runner.prepare(&self.scheduler.blocks, &plan.copies)?;
        for rows in plan.rows.chunks(INVARIANT_ROWS) {
            let sequences = &self.scheduler.sequences;
            let sampled = self
                .runner
                .rows(&self.model, sequences, rows, &mut self.stats)?;
            rows.iter().for_each(|row| self.scheduler.decoded(*row));
            let wanted = rows.iter().filter(|row| row.last);
            for (row, sampled) in wanted.zip(sampled) {
                self.take(row.id, sampled);
            }
        }
        Ok(())
    }

    fn prefill(&mut self) -> Result<(), Error> {
        let (mut left, mut first) = (self.scheduler.budget(), true);
        while let Some(chunk) = self.scheduler.chunk((!first).then_some(left)) {
            first = false;
            left = left.saturating_sub(chunk.to - chunk.from);
            self.runner.prepare(&self.scheduler.blocks, &[])?;
            let Some(sequence) = self.scheduler.sequences.get_mut(&chunk.id) else {
                break;
            };
            let logits = self
                .runner
                .chunk(&self.model, sequence, chunk, &mut self.stats)?;
            let complete = self.scheduler.prefilled(chunk);
            let in_use = self.scheduler.blocks.in_use();
            self.stats.most_blocks = self.stats.most_blocks.max(in_use);
            // After a preemption the next token is known already.
            if let (true, Some(logits)) = (complete, logits) {
                self.answer(chunk.id, logits)?;
            }
        }
        Ok(())
    }

    /// Samples the first token behind a prompt; the prompt's other samples wait for their turn.
    fn answer(&mut self, id: SequenceId, logits: Tensor<2>) -> Result<(), Error> {
        let logits = Arc::new(logits);
        let Some(sequence) = self.scheduler.sequences.get(&id) else {
            return Ok(());
        };
        if !sequence.out.token_ids.is_empty() {
            return Ok(());
        }
        let followers = 1..=sequence.followers;
        let followers = followers.map(|sample| sequence.follower(sample));
        let followers = followers.collect::<Result<Vec<_>, _>>()?;
        let clock = |stats: &mut Stats, seconds| stats.prefill_s += seconds;
        let first = [(0, sequence)];
        let sampled = crate::runner::sample(&logits, &first, &mut self.stats, clock)?;
        self.scheduler.fork(id, followers, &logits);
        sampled.into_iter().for_each(|token| self.take(id, token));
        Ok(())
    }

    /// Samples the first token of followers that run now, those of one prompt together.
    fn begin_followers(&mut self) -> Result<(), Error> {
        let pending = self.scheduler.pending();
        for group in pending.chunk_by(|a, b| Arc::ptr_eq(&a.1, &b.1)) {
            let sequence = |(id, _): &(SequenceId, _)| self.scheduler.sequences.get(id);
            let rows: Vec<_> = group.iter().filter_map(sequence).map(|s| (0, s)).collect();
            let clock = |stats: &mut Stats, seconds| stats.decode_s += seconds;
            let sampled = crate::runner::sample(&group[0].1, &rows, &mut self.stats, clock)?;
            for ((id, _), sampled) in group.iter().zip(sampled) {
                self.take(*id, sampled);
            }
        }
        Ok(())
    }

    /// Takes the next token of a sequence, and ends it if it was the last.
    fn take(&mut self, id: SequenceId, sampled: Sampled) {
        let Some(sequence) = self.scheduler.sequences.get_mut(&id) else {
            return;
        };
        let (token, last) = sequence.advance(sampled);
        self.queued.push(Event::Token(token));
        if last && let Some(sequence) = self.scheduler.remove(id) {
            self.queued.push(Event::Finished {
                request: sequence.request,
                sample: sequence.sample,
                completion: sequence.out,
            });
        }
    }

    /// Puts events back, before those that came since.
    pub(crate) fn put_back(&mut self, mut events: Vec<Event>) {
        events.append(&mut self.queued);
        self.queued = events;
    }
}

/// Ids of the tags around a thought, and of what follows it.
pub fn think_ids(tokenizer: &Tokenizer) -> ThinkIds {
    let id = |token: &str| tokenizer.id(token);
    ThinkIds {
        open: id("<think>"),
        close: id("</think>"),
        // GLM-4.1V answers inside <answer> tags, which follow the thought.
        after_close: id("<answer>").into_iter().collect(),
    }
}
