//! The engine: one checkpoint on one device, and all requests that share it.

use crate::Error;
use crate::completion::{Completion, Event, FinishReason, Usage};
use crate::config::EngineConfig;
use crate::features::FeatureCache;
use crate::prompt::Prompt;
use crate::request::{Request, RequestId};
use crate::runner::Runner;
use crate::scheduler::{Scheduler, SequenceId};
use crate::sequence::Sequence;
use crate::stats::Stats;
use burn::tensor::Device;
use glmv_kernels::INVARIANT_ROWS;
use glmv_model::{Glm4v, KvPool, LoadOptions, PoolConfig, Progress, kv_format};
use glmv_processor::{Conversation, Modality, ModelInputs, Processor, RenderOptions};
use glmv_sampling::{
    GenerationConfig, PromptThink, SamplingOverrides, SamplingParams, ThinkBudget, ThinkIds,
};
use std::path::Path;
use std::sync::Arc;

/// A loaded model with its processor, its generation defaults and the requests that run on it.
#[derive(Debug)]
pub struct Engine {
    model: Glm4v,
    processor: Arc<Processor>,
    generation: GenerationConfig,
    config: EngineConfig,
    scheduler: Scheduler,
    runner: Runner,
    stats: Stats,
    requests: u64,
    /// Events that the next step returns.
    pub(crate) queued: Vec<Event>,
    /// Tensors of the checkpoint that were skipped (multi-token-prediction layers).
    pub skipped: Vec<String>,
}

impl Engine {
    /// Loads the checkpoint folder `dir` onto `device`; a [`glmv_model::Precision`] will do for
    /// `options`.
    ///
    /// # Errors
    /// Names the file, key or tensor that is missing or wrong.
    pub fn load(
        dir: &Path,
        device: &Device,
        options: impl Into<LoadOptions>,
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        // Cheap checks first: a bad tokenizer shows before gigabytes are read.
        glmv_model::Config::from_dir(dir)?;
        let processor = Arc::new(Processor::from_dir(dir)?);
        let path = dir.join("generation_config.json");
        let failed = |path, reason| Error::File { path, reason };
        let generation = match std::fs::read_to_string(&path) {
            Ok(text) => {
                GenerationConfig::from_json(&text).map_err(|e| failed(path, e.to_string()))?
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => GenerationConfig::default(),
            Err(e) => return Err(failed(path, e.to_string())),
        };
        let (model, skipped) = Glm4v::load(dir, device, options, progress)?;
        let config = EngineConfig::default();
        let (scheduler, runner) = state(&model, &config)?;
        Ok(Engine {
            model,
            processor,
            generation,
            config,
            scheduler,
            runner,
            stats: Stats::default(),
            requests: 0,
            queued: Vec::new(),
            skipped,
        })
    }

    /// Changes sizes and guarantees; drops every request, and all that was kept.
    ///
    /// # Errors
    /// [`Error::Config`] or the KV pool's for sizes that cannot be.
    pub fn configure(&mut self, config: EngineConfig) -> Result<(), Error> {
        (self.scheduler, self.runner) = state(&self.model, &config)?;
        self.config = config;
        self.queued.clear();
        self.stats = Stats::default();
        Ok(())
    }

    /// [`Engine::configure`] on the way.
    ///
    /// # Errors
    /// As [`Engine::configure`].
    pub fn with_config(mut self, config: EngineConfig) -> Result<Self, Error> {
        self.configure(config)?;
        Ok(self)
    }

    /// Drops every request and all that was kept: keys, values, features, counters. To be called
    /// after an error of [`Engine::step`], and when the weights have changed.
    ///
    /// # Errors
    /// As [`Engine::configure`].
    pub fn reset(&mut self) -> Result<(), Error> {
        self.configure(self.config.clone())
    }

    /// Replaces the weights, for example by newer ones of a training; resets.
    ///
    /// # Errors
    /// As [`Engine::reset`].
    pub fn set_model(&mut self, model: Glm4v) -> Result<(), Error> {
        self.model = model;
        self.reset()
    }

    /// The model.
    pub fn model(&self) -> &Glm4v {
        &self.model
    }

    /// Tokenizer, template and picture processing; to be cloned where it is used while tokens come.
    pub fn processor(&self) -> &Arc<Processor> {
        &self.processor
    }

    /// Sizes and guarantees.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// What was done since the engine was made or reset.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// KV blocks that requests refer to; 0 when nothing runs.
    pub fn blocks_in_use(&self) -> usize {
        self.scheduler.blocks.in_use()
    }

    /// The checkpoint's generation defaults with the user's choices on top. Stop ids come from
    /// generation_config.json, else from config.json.
    ///
    /// # Errors
    /// A value out of range.
    pub fn params(&self, user: &SamplingOverrides) -> Result<SamplingParams, Error> {
        let mut params = SamplingParams::merge(&self.generation, user)?;
        if params.stop_ids.is_empty() {
            params.stop_ids = self.model.config().text.eos_token_ids.clone();
        }
        Ok(params)
    }

    /// Ids that stand for pictures, videos or padding and are no text: what a rollout puts into
    /// [`SamplingParams::forbidden_ids`]. Stop ids are not among them.
    pub fn placeholder_ids(&self) -> Vec<u32> {
        let config = self.model.config();
        let tokens = ["<|begin_of_image|>", "<|image|>", "<|end_of_image|>"];
        let videos = ["<|begin_of_video|>", "<|video|>", "<|end_of_video|>"];
        let named = tokens.iter().chain(&videos);
        let mut ids: Vec<u32> = named
            .filter_map(|t| self.processor.tokenizer.id(t))
            .collect();
        ids.extend([config.image_token_id, config.video_token_id]);
        ids.extend(config.text.pad_token_id);
        ids.retain(|id| !config.text.eos_token_ids.contains(id));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Renders and tokenises a conversation, its pictures and videos included.
    ///
    /// # Errors
    /// As the processor's.
    pub fn prepare(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
    ) -> Result<ModelInputs, Error> {
        Ok(self.processor.process(conversation, options)?)
    }

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

    fn budget(&self, prompt: &Prompt, params: &SamplingParams) -> Result<ThinkBudget, Error> {
        let id = |token: &str| self.processor.tokenizer.id(token);
        let ids = ThinkIds {
            open: id("<think>"),
            close: id("</think>"),
            // GLM-4.1V answers inside <answer> tags, which follow the thought.
            after_close: id("<answer>").into_iter().collect(),
        };
        let think = PromptThink::of_prompt(&prompt.inputs.prompt);
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
        for (id, logits) in self.scheduler.pending() {
            self.sample(id, &logits)?;
        }
        self.decode()?;
        self.prefill()?;
        Ok(std::mem::take(&mut self.queued))
    }

    fn decode(&mut self) -> Result<(), Error> {
        let plan = self.scheduler.rows(INVARIANT_ROWS, &mut self.stats);
        self.runner.prepare(&self.scheduler.blocks, &plan.copies)?;
        let vocab = self.model.config().text.vocab_size;
        for rows in plan.rows.chunks(INVARIANT_ROWS) {
            let sequences = &self.scheduler.sequences;
            let logits = self
                .runner
                .rows(&self.model, sequences, rows, &mut self.stats)?;
            rows.iter().for_each(|row| self.scheduler.decoded(*row));
            let wanted = rows.iter().filter(|row| row.last);
            for (row, logits) in wanted.zip(logits.chunks(vocab)) {
                self.sample(row.id, logits)?;
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

    /// Samples the first token behind a prompt, here and in the prompt's other samples.
    fn answer(&mut self, id: SequenceId, logits: Vec<f32>) -> Result<(), Error> {
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
        self.scheduler.fork(id, followers, &logits);
        self.sample(id, &logits)
    }

    /// Samples the next token of a sequence, and ends it if it was the last.
    fn sample(&mut self, id: SequenceId, logits: &[f32]) -> Result<(), Error> {
        let Some(sequence) = self.scheduler.sequences.get_mut(&id) else {
            return Ok(());
        };
        let (token, last) = sequence.advance(logits)?;
        self.queued.push(Event::Token(token));
        if last && let Some(sequence) = self.scheduler.remove(id) {
            self.queued.push(Event::Finished {
                request: sequence.request,
                sample: sequence.sample,
                completion: sequence.out,
            });
        }
        Ok(())
    }

    /// Puts events back, before those that came since.
    pub(crate) fn put_back(&mut self, mut events: Vec<Event>) {
        events.append(&mut self.queued);
        self.queued = events;
    }
}

/// Bookkeeping and memory of a fresh engine.
fn state(model: &Glm4v, config: &EngineConfig) -> Result<(Scheduler, Runner), Error> {
    let text = &model.config().text;
    if config.chunk == 0 || config.max_running == 0 || config.kv_blocks == Some(0) {
        let reason = "chunk, max_running and kv_blocks must be positive".to_string();
        return Err(Error::Config { reason });
    }
    let pool = PoolConfig {
        blocks: config.kv_blocks.unwrap_or(0),
        block_size: config.block_size,
        format: config
            .kv_format
            .unwrap_or_else(|| kv_format(model.precision(), &model.device())),
    };
    let pool = KvPool::new(text, pool, &model.device())?;
    let longest = text.max_position_embeddings.div_ceil(config.block_size);
    let limit = match config.kv_blocks {
        Some(blocks) => blocks,
        None => pool
            .most_blocks()
            .min(config.max_running.saturating_mul(longest)),
    };
    let runner = Runner {
        pool,
        features: FeatureCache::new(config.feature_bytes),
        invariant: config.invariant,
    };
    Ok((Scheduler::new(config, limit), runner))
}
