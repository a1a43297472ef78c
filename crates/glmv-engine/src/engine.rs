//! The engine: one checkpoint on one device, and all requests that share it.

use crate::Error;
use crate::completion::Event;
use crate::config::EngineConfig;
use crate::features::FeatureCache;
use crate::runner::Runner;
use crate::scheduler::Scheduler;
use crate::stats::Stats;
use burn::tensor::Device;
use glmv_model::{Glm4v, KvPool, LoadOptions, PoolConfig, Progress};
use glmv_processor::{Conversation, ModelInputs, Processor, RenderOptions};
use glmv_sampling::{GenerationConfig, SamplingOverrides, SamplingParams};
use std::path::Path;
use std::sync::Arc;

/// A loaded model with its processor, its generation defaults and the requests that run on it.
#[derive(Debug)]
pub struct Engine {
    pub(crate) model: Glm4v,
    pub(crate) processor: Arc<Processor>,
    pub(crate) generation: GenerationConfig,
    pub(crate) config: EngineConfig,
    pub(crate) scheduler: Scheduler,
    pub(crate) runner: Runner,
    pub(crate) stats: Stats,
    pub(crate) requests: u64,
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
        let parts = parts(dir)?;
        let (model, skipped) = Glm4v::load(dir, device, options, progress)?;
        let mut engine = Engine::around(model, parts)?;
        engine.skipped = skipped;
        Ok(engine)
    }

    /// An engine for a model that is loaded already, a trainer's say, with the processor and the
    /// generation defaults of the checkpoint folder `dir`.
    ///
    /// # Errors
    /// As [`Engine::load`], of those files.
    pub fn of_model(model: Glm4v, dir: &Path) -> Result<Self, Error> {
        Engine::around(model, parts(dir)?)
    }

    fn around(
        model: Glm4v,
        (processor, generation): (Arc<Processor>, GenerationConfig),
    ) -> Result<Self, Error> {
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
            skipped: Vec::new(),
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
}

/// What a checkpoint folder has beside weights.
fn parts(dir: &Path) -> Result<(Arc<Processor>, GenerationConfig), Error> {
    let processor = Arc::new(Processor::from_dir(dir)?);
    let path = dir.join("generation_config.json");
    let failed = |path, reason| Error::File { path, reason };
    let generation = match std::fs::read_to_string(&path) {
        Ok(text) => GenerationConfig::from_json(&text).map_err(|e| failed(path, e.to_string()))?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => GenerationConfig::default(),
        Err(e) => return Err(failed(path, e.to_string())),
    };
    Ok((processor, generation))
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
        format: config.kv_format.unwrap_or(model.cache_format()),
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
