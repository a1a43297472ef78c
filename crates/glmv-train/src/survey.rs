//! What a run's data asks of the device: the first packs as the loader makes them, counted; and the
//! plan's settings of a recipe.

use crate::supply::options;
use crate::{DataConfig, Error, Recipe, Recompute, States};
use glmv_data::{Encoder, Loader};
use glmv_model::Config;
use glmv_model::plan::{BufferRules, StateFormat, TrainSettings};
use serde::Serialize;

/// Packs that are looked at.
const PACKS: usize = 8;
/// Packs that wait ready beside the window, and those of the step.
const READY: usize = 2;

/// The most that any of the first packs has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Packs that were looked at.
    pub packs: usize,
    pub tokens: usize,
    /// Tokens to predict.
    pub counted: usize,
    /// Patches of pictures and videos.
    pub patches: usize,
}

impl Survey {
    /// Looks at the first packs of `data`. Bad rows are left out, as a run leaves them out and reports
    /// them.
    ///
    /// # Errors
    /// [`Error::Data`] if a file cannot be read or a row cannot be used; [`Error::Sample`] without a
    /// single pack.
    pub fn new(data: &DataConfig, encoder: Encoder) -> Result<Self, Error> {
        let mut survey = Survey::default();
        let loader = Loader::start(data.mixture.clone(), encoder, options(data), None)?;
        for pack in loader.take(PACKS) {
            let pack = pack?;
            let counted = pack.samples.iter().map(|s| s.loss_tokens()).sum();
            let visuals = pack.samples.iter().flat_map(|s| &s.visuals);
            let grids = visuals.flat_map(|v| &v.patches.grid_thw);
            let patches = grids.map(|g| g.iter().map(|v| *v as usize).product::<usize>());
            survey.packs += 1;
            survey.tokens = survey.tokens.max(pack.tokens());
            survey.counted = survey.counted.max(counted);
            survey.patches = survey.patches.max(patches.sum());
        }
        match survey.packs {
            0 => Err(Error::Sample {
                reason: "the data has no sample that can be used".into(),
            }),
            _ => Ok(survey),
        }
    }

    /// What a run of `recipe` over such packs needs: sequences of the recipe's full length with as many
    /// patches and counted tokens as any that was looked at.
    ///
    /// # Errors
    /// [`Error::Model`] for an adapter that `config` cannot have.
    pub fn settings(
        &self,
        recipe: &Recipe,
        config: &Config,
        buffers: BufferRules,
    ) -> Result<TrainSettings, Error> {
        let train = &recipe.train;
        let adapter = recipe.adapter.as_ref().map(|a| a.planned(config));
        Ok(TrainSettings {
            tokens: recipe.data.sequence,
            counted: self.counted.min(recipe.data.sequence),
            patches: self.patches,
            batch: recipe.data.batch,
            recompute: train.recompute == Recompute::Layer,
            recompute_vision: train.vision() == Recompute::Layer,
            trains: train.trains(),
            adapter: adapter.transpose()?,
            rollout: None,
            states: train.adamw.states.into(),
            in_flight: recipe.data.window + READY + recipe.data.batch,
            buffers,
        })
    }
}

impl From<States> for StateFormat {
    fn from(states: States) -> Self {
        match states {
            States::F32 => StateFormat::F32,
            States::Blocks => StateFormat::Blocks,
        }
    }
}
