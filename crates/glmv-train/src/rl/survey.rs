//! What the tasks of a rewarded run ask of the device: the first prompts, rendered and counted; and
//! the plan's settings of a recipe.

use super::{RlRecipe, Tasks};
use crate::{Error, Recompute};
use glmv_engine::{EngineConfig, think_ids};
use glmv_model::plan::{BufferRules, CacheFormat, RolloutSettings, TrainSettings, WeightFormat};
use glmv_model::{Config, Precision};
use glmv_processor::{Processor, RenderOptions};
use serde::Serialize;

/// Prompts that are looked at.
const PROMPTS: usize = 64;

/// The most that any of the first prompts has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TaskSurvey {
    /// Prompts that were looked at.
    pub prompts: usize,
    /// Tokens of the longest, and of the shortest.
    pub tokens: usize,
    pub shortest: usize,
    /// Patches of the pictures and videos of one.
    pub patches: usize,
    /// Most tokens of a completion.
    pub completion: usize,
}

impl TaskSurvey {
    /// Renders the first of `tasks`.
    ///
    /// # Errors
    /// [`Error::Task`] for a prompt that cannot be made.
    pub fn new(tasks: &Tasks, processor: &Processor, recipe: &RlRecipe) -> Result<Self, Error> {
        let ids = think_ids(&processor.tokenizer);
        let mut survey = TaskSurvey {
            shortest: usize::MAX,
            completion: recipe.rl.rollout.budgets().max_tokens(&ids),
            ..TaskSurvey::default()
        };
        for index in 0..tasks.len().min(PROMPTS) {
            let task = tasks.row(index);
            let options = RenderOptions {
                add_generation_prompt: true,
                enable_thinking: Some(recipe.thinks()),
                ..RenderOptions::default()
            };
            let inputs = processor.process(&task.prompt, &options);
            let inputs = inputs.map_err(|e| Error::Task {
                place: task.place.to_string(),
                reason: e.to_string(),
            })?;
            let visuals = [&inputs.images, &inputs.videos].into_iter().flatten();
            let grids = visuals.flat_map(|patches| &patches.grid_thw);
            let patches = grids.map(|g| g.iter().map(|v| *v as usize).product::<usize>());
            let len = inputs.input_ids.len();
            survey.prompts += 1;
            survey.tokens = survey.tokens.max(len);
            survey.shortest = survey.shortest.min(len);
            survey.patches = survey.patches.max(patches.sum());
        }
        survey.shortest = survey.shortest.min(survey.tokens);
        Ok(survey)
    }

    /// What a run of `recipe` over such tasks needs at most: micro-steps filled with short completions
    /// of the longest prompts, and as many rollouts at once as the engine takes, each as long as it may
    /// be.
    ///
    /// # Errors
    /// [`Error::Model`] for an adapter that `config` cannot have.
    pub fn settings(
        &self,
        recipe: &RlRecipe,
        config: &Config,
        buffers: BufferRules,
    ) -> Result<TrainSettings, Error> {
        let (train, rl) = (&recipe.train, &recipe.rl);
        let rows = (rl.group_size * rl.batch_groups).div_ceil(recipe.updates.max(1));
        let longest = self.tokens + self.completion;
        let micro = rl.pack.capacity.min(rows * longest);
        // A group's picture is there once.
        let prompts = micro / (self.shortest + 1);
        let prompts = prompts.clamp(1, rl.batch_groups.max(1));
        let engine = EngineConfig::rollout();
        let adapter = recipe.adapter.as_ref().map(|a| a.planned(config));
        let adapter = adapter.transpose()?;
        let base = recipe
            .adapter
            .as_ref()
            .map_or(Precision::F32, |a| a.base.into());
        Ok(TrainSettings {
            tokens: micro,
            counted: micro.min(rows * self.completion),
            patches: prompts * self.patches,
            batch: (rows * longest).div_ceil(micro.max(1)),
            recompute: train.recompute == Recompute::Layer,
            recompute_vision: train.vision() == Recompute::Layer,
            trains: train.trains(),
            adapter,
            rollout: Some(RolloutSettings {
                sequences: engine.max_running.min(rows),
                tokens: longest,
                block: engine.block_size,
                kv: match WeightFormat::from(base) {
                    WeightFormat::F32 => CacheFormat::F32,
                    _ => CacheFormat::F16,
                },
                feature_bytes: self
                    .features(config, rl.batch_groups)
                    .min(engine.feature_bytes),
            }),
            states: train.adamw.states.into(),
            in_flight: 0,
            buffers,
        })
    }

    /// Bytes of the features of so many prompts' pictures, in f32.
    fn features(&self, config: &Config, prompts: usize) -> u64 {
        let v = &config.vision;
        let merged = self.patches / (v.spatial_merge_size * v.spatial_merge_size).max(1);
        4 * (merged * v.out_hidden_size * prompts) as u64
    }
}
