//! The engine: one checkpoint on one device, prefill, then decode step by step.

use crate::Error;
use crate::batch::{join, left_pad, sequences_of};
use crate::completion::{Completion, FinishReason, Step, Timings, Usage};
use burn::tensor::Device;
use glmv_kernels::device::read;
use glmv_model::{Batch, Glm4v, KvCache, LoadOptions, Pixels, Probe, Progress, decode_positions};
use glmv_processor::{Conversation, ModelInputs, Processor, RenderOptions};
use glmv_sampling::{
    GenerationConfig, PromptThink, Sampler, SamplingOverrides, SamplingParams, ThinkBudget,
    ThinkIds, token_logprob,
};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// A loaded model with its processor and its generation defaults.
#[derive(Debug)]
pub struct Engine {
    model: Glm4v,
    processor: Processor,
    generation: GenerationConfig,
    /// Tensors of the checkpoint that were skipped (multi-token-prediction layers).
    pub skipped: Vec<String>,
}

/// State of one row while it runs.
struct Row {
    sampler: Sampler,
    budget: ThinkBudget,
    history: Vec<u32>,
    limit: usize,
    out: Completion,
    done: bool,
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
        let processor = Processor::from_dir(dir)?;
        let path = dir.join("generation_config.json");
        let generation = match std::fs::read_to_string(&path) {
            Ok(text) => GenerationConfig::from_json(&text).map_err(|e| Error::File {
                path,
                reason: e.to_string(),
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => GenerationConfig::default(),
            Err(e) => {
                return Err(Error::File {
                    path,
                    reason: e.to_string(),
                });
            }
        };
        let (model, skipped) = Glm4v::load(dir, device, options, progress)?;
        Ok(Engine {
            model,
            processor,
            generation,
            skipped,
        })
    }

    /// The model.
    pub fn model(&self) -> &Glm4v {
        &self.model
    }

    /// Tokenizer, template and picture processing.
    pub fn processor(&self) -> &Processor {
        &self.processor
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

    /// Generates one completion per prompt; `on_step` sees every token as it comes and may break.
    ///
    /// Row i draws from stream i of its own seed, so a row's tokens do not depend on its neighbours.
    ///
    /// # Errors
    /// [`Error::TooLong`], [`Error::Empty`], or a failure of the device.
    pub fn generate(
        &self,
        prompts: &[ModelInputs],
        params: &[SamplingParams],
        on_step: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> Result<(Vec<Completion>, Timings), Error> {
        if prompts.len() != params.len() {
            return Err(Error::Count {
                prompts: prompts.len(),
                params: params.len(),
            });
        }
        let mut rows = self.rows(prompts, params)?;
        let prompts: Vec<&ModelInputs> = prompts.iter().collect();
        let longest = rows.iter().map(|r| r.limit).max().unwrap_or(0);
        let merge = self.model.config().vision.spatial_merge_size as u32;
        let (sequences, positions) = left_pad(&prompts, self.pad_id(), merge)?;
        let mut cache = self.model.new_cache(sequences.seq + longest)?;
        let mut timings = Timings::default();
        let mut logits = self.prefill(&prompts, &sequences, &mut cache, &mut timings)?;
        let start = Instant::now();
        loop {
            let cancelled = self.emit(&mut rows, &logits, on_step)?;
            if cancelled || rows.iter().all(|r| r.done) {
                break;
            }
            let ids = rows
                .iter()
                .map(|r| *r.out.token_ids.last().unwrap_or(&self.pad_id()));
            let seen: Vec<usize> = sequences.padding.iter().map(|p| cache.len() - p).collect();
            let position = decode_positions(&seen, &positions.rope_delta);
            let next = sequences_of(ids.collect(), position, sequences.padding.clone());
            let batch = Batch {
                sequences: &next,
                images: None,
                videos: None,
            };
            let hidden = self
                .model
                .forward(&batch, Some(&mut cache), &mut Probe::off())?;
            logits = read(self.model.logits(hidden))?;
        }
        timings.decode_s = start.elapsed().as_secs_f64();
        Ok((rows.into_iter().map(|r| r.out).collect(), timings))
    }

    fn pad_id(&self) -> u32 {
        self.model.config().text.pad_token_id.unwrap_or(0)
    }

    fn rows(&self, prompts: &[ModelInputs], params: &[SamplingParams]) -> Result<Vec<Row>, Error> {
        let limit = self.model.config().text.max_position_embeddings;
        let rows = prompts
            .iter()
            .zip(params)
            .enumerate()
            .map(|(i, (prompt, params))| {
                let prompt_tokens = prompt.input_ids.len();
                if prompt_tokens == 0 {
                    return Err(Error::Empty);
                }
                if prompt_tokens >= limit {
                    return Err(Error::TooLong {
                        prompt: prompt_tokens,
                        limit,
                    });
                }
                let think = PromptThink::of_prompt(&prompt.prompt);
                let budget = ThinkBudget::new(self.think_ids(), think, params.think_budget)?;
                let visual_tokens = prompt
                    .modality
                    .iter()
                    .filter(|m| **m != glmv_processor::Modality::Text)
                    .count();
                let usage = Usage {
                    prompt_tokens,
                    visual_tokens,
                    completion_tokens: 0,
                };
                Ok(Row {
                    sampler: Sampler::with_stream(params.clone(), i as u64)?,
                    budget,
                    history: prompt.input_ids.clone(),
                    limit: params.max_new_tokens.min(limit - prompt_tokens),
                    out: Completion {
                        token_ids: Vec::new(),
                        logprobs: Vec::new(),
                        finish_reason: FinishReason::Length,
                        usage,
                    },
                    done: params.max_new_tokens == 0,
                })
            });
        rows.collect()
    }

    fn think_ids(&self) -> ThinkIds {
        let id = |token: &str| self.processor.tokenizer.id(token);
        ThinkIds {
            open: id("<think>"),
            close: id("</think>"),
            // GLM-4.1V answers inside <answer> tags, which follow the thought.
            after_close: id("<answer>").into_iter().collect(),
        }
    }

    /// Vision and prefill; returns the logits of every row's last token, `[batch, vocab]`.
    fn prefill(
        &self,
        prompts: &[&ModelInputs],
        sequences: &glmv_model::Sequences,
        cache: &mut KvCache,
        timings: &mut Timings,
    ) -> Result<Vec<f32>, Error> {
        let images = join(prompts, |p| p.images.as_ref());
        let videos = join(prompts, |p| p.videos.as_ref());
        let batch = Batch {
            sequences,
            images: images
                .as_ref()
                .map(|(values, grids)| Pixels { values, grids }),
            videos: videos
                .as_ref()
                .map(|(values, grids)| Pixels { values, grids }),
        };
        let start = Instant::now();
        let features = self.model.features(&batch, &mut Probe::off())?;
        if features.is_some() {
            self.wait()?;
            timings.vision_s = start.elapsed().as_secs_f64();
        }
        let start = Instant::now();
        let mut off = Probe::off();
        let hidden = self
            .model
            .forward_features(sequences, features, Some(cache), &mut off)?;
        let last: Vec<usize> = (0..sequences.batch)
            .map(|b| (b + 1) * sequences.seq - 1)
            .collect();
        let logits = read(self.model.logits(self.model.select_rows(hidden, &last)))?;
        timings.prefill_s = start.elapsed().as_secs_f64();
        Ok(logits)
    }

    fn wait(&self) -> Result<(), Error> {
        let result = self.model.device().sync();
        result.map_err(|e| glmv_kernels::device::Error::Read {
            reason: format!("{e:?}"),
        })?;
        Ok(glmv_kernels::device::check()?)
    }

    /// Chooses the next token of every running row; true if the callback broke off.
    fn emit(
        &self,
        rows: &mut [Row],
        logits: &[f32],
        on_step: &mut dyn FnMut(Step) -> ControlFlow<()>,
    ) -> Result<bool, Error> {
        let vocab = self.model.config().text.vocab_size;
        for (i, (row, logits)) in rows.iter_mut().zip(logits.chunks(vocab)).enumerate() {
            if row.done {
                continue;
            }
            let (token, logprob) = row.next(logits)?;
            let stop = row.sampler.params().stops_at(token);
            if stop {
                row.out.finish_reason = FinishReason::Stop;
            }
            row.done = stop || row.out.token_ids.len() >= row.limit;
            if on_step(Step {
                row: i,
                token,
                logprob,
                stop,
            })
            .is_break()
            {
                let running = rows.iter_mut().filter(|r| !r.done);
                running.for_each(|r| r.out.finish_reason = FinishReason::Cancelled);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Row {
    fn next(&mut self, logits: &[f32]) -> Result<(u32, f32), Error> {
        let (token, logprob) = match self.budget.forced() {
            Some(token) => (token, token_logprob(logits, token)?),
            None => {
                let sampled = self.sampler.sample(logits, &self.history)?;
                (sampled.token, sampled.logprob)
            }
        };
        self.budget.observe(token);
        self.history.push(token);
        self.out.token_ids.push(token);
        self.out.logprobs.push(logprob);
        self.out.usage.completion_tokens += 1;
        Ok((token, logprob))
    }
}
