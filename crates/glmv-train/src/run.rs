//! A supervised run: batches in, steps, evaluations and checkpoints out, until the last step.
//!
//! Where the samples come from, what is shown, and when to stop early are the caller's, behind
//! [`Supply`] and [`Watch`].

use crate::checkpoint::Resumed;
use crate::{AdamW, Checkpoints, Distribution, Error, Micro, Sample, Scores, StepReport, Trainer};
use burn::module::Module;
use burn::tensor::Device;
use glmv_model::Glm4v;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where a run's samples come from.
pub trait Supply {
    /// The samples of the next step, one list per micro-step.
    ///
    /// # Errors
    /// What is wrong with the data; the run ends with it.
    fn next(&mut self) -> Result<Vec<Vec<Sample>>, Error>;

    /// Where the supply stands after the steps it has given, for a checkpoint.
    fn cursor(&self) -> serde_json::Value;

    /// Files and lines of the samples of the last step, as far as they are known.
    fn places(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Who looks at a run. All calls come from the thread that trains.
pub trait Watch {
    /// After every step.
    ///
    /// # Errors
    /// What keeps the step from being recorded; the run ends with it.
    fn step(&mut self, step: &SupervisedStep) -> Result<(), Error>;

    /// After every evaluation, with the model as it is.
    ///
    /// # Errors
    /// As [`Watch::step`].
    fn evaluation(&mut self, step: u64, loss: f64, model: &Glm4v) -> Result<(), Error>;

    /// After every checkpoint.
    ///
    /// # Errors
    /// As [`Watch::step`].
    fn saved(&mut self, step: u64, dir: &Path) -> Result<(), Error>;

    /// True to save and stop before the next step.
    fn stop(&mut self) -> bool;
}

/// A step with its loss.
#[derive(Clone, Debug, Serialize)]
pub struct SupervisedStep {
    #[serde(flatten)]
    pub report: StepReport,
    /// Mean cross-entropy of the counted tokens, by their samples' weights, in nats.
    pub loss: f64,
    /// Samples of the step.
    pub samples: usize,
    pub micro_steps: usize,
}

/// How often a run saves and evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rhythm {
    /// Steps between checkpoints; 0 for one at the end alone.
    pub save_every: u64,
    /// Steps between evaluations; 0 for none.
    pub eval_every: u64,
}

impl Default for Rhythm {
    fn default() -> Self {
        Rhythm {
            save_every: 100,
            eval_every: 100,
        }
    }
}

/// Everything beside weights and optimiser that a run goes on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Steps taken, skipped ones included.
    pub step: u64,
    /// Steps that changed the weights.
    pub updates: u64,
    /// Skipped steps in a row, and in all.
    pub skipped: [u64; 2],
    /// Step and loss of the best evaluation.
    pub best: Option<(u64, f64)>,
    /// The supply's own.
    pub cursor: serde_json::Value,
    /// Digest of the settings that must not change between the parts of a run.
    pub settings: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub step: u64,
    /// False if it was stopped early.
    pub complete: bool,
    /// The last checkpoint.
    pub checkpoint: PathBuf,
    pub best: Option<(u64, f64)>,
}

/// A run with everything it needs.
pub struct Run<'a> {
    pub trainer: &'a mut Trainer,
    pub supply: &'a mut dyn Supply,
    /// Held-out samples; none are evaluated where there are none.
    pub held_out: &'a [Micro],
    pub checkpoints: &'a Checkpoints,
    /// The checkpoint whose config, tokenizer and processor files go with the weights.
    pub origin: &'a Path,
    pub rhythm: Rhythm,
    /// Steps of the whole run.
    pub steps: u64,
    pub settings: String,
    pub best: Option<(u64, f64)>,
}

impl Run<'_> {
    /// Trains until the last step or until `watch` says stop, and saves at the end.
    ///
    /// # Errors
    /// The first failure of data, device, disk or watch, or gradients that stay not finite; the last
    /// complete checkpoint is untouched then.
    pub fn run(&mut self, watch: &mut dyn Watch) -> Result<Ended, Error> {
        let mut saved = None;
        while self.trainer.steps() < self.steps && !watch.stop() {
            let step = self.step()?;
            let at = step.report.step;
            watch.step(&step)?;
            if due(at, self.rhythm.eval_every) && !self.held_out.is_empty() {
                self.evaluate(at, watch)?;
            }
            if due(at, self.rhythm.save_every) {
                saved = Some((at, self.save(watch)?));
            }
        }
        let step = self.trainer.steps();
        let checkpoint = match saved {
            Some((at, dir)) if at == step => dir,
            _ if self.checkpoints.dir(step).exists() => self.checkpoints.dir(step),
            _ => self.save(watch)?,
        };
        Ok(Ended {
            step,
            complete: step >= self.steps,
            checkpoint,
            best: self.best,
        })
    }

    fn step(&mut self) -> Result<SupervisedStep, Error> {
        let lists = self.supply.next()?;
        let merge = self.trainer.model().config().vision.spatial_merge_size as u32;
        let micros: Vec<Micro> = (lists.iter())
            .map(|list| Micro::new(list, merge))
            .collect::<Result<_, _>>()?;
        let all = micros.iter().flat_map(Micro::weights);
        let weight: f64 = all.map(|w| f64::from(*w)).sum();
        // Added up in order at the end: workers finish in any.
        let mut sums = vec![0.0; micros.len()];
        let report = self.trainer.step(&micros, &mut |index, scores| {
            let weights = micros[index].weights();
            sums[index] = total(scores, weights);
            let shares = weights.iter().map(|w| (-f64::from(*w) / weight) as f32);
            Ok(shares.collect::<Vec<_>>().into())
        });
        let report = report.map_err(|error| located(error, &self.supply.places()))?;
        Ok(SupervisedStep {
            report,
            loss: -sums.iter().sum::<f64>() / weight,
            samples: lists.iter().map(Vec::len).sum(),
            micro_steps: lists.len(),
        })
    }

    fn evaluate(&mut self, step: u64, watch: &mut dyn Watch) -> Result<(), Error> {
        let loss = mean_loss(self.trainer, self.held_out)?;
        if self.best.is_none_or(|(_, best)| loss < best) {
            self.best = Some((step, loss));
        }
        watch.evaluation(step, loss, self.trainer.model())
    }

    fn save(&mut self, watch: &mut dyn Watch) -> Result<PathBuf, Error> {
        let trainer = &self.trainer;
        let state = RunState {
            step: trainer.steps(),
            updates: trainer.adamw().steps(),
            skipped: trainer.skipped(),
            best: self.best,
            cursor: self.supply.cursor(),
            settings: self.settings.clone(),
        };
        let parts = (trainer.model(), trainer.parameters(), trainer.adamw());
        let best = self.best.map(|(step, _)| step);
        let dir = (self.checkpoints).save(state.step, parts, self.origin, &state, best)?;
        watch.saved(state.step, &dir)?;
        Ok(dir)
    }
}

/// Mean cross-entropy over all counted tokens of `micros` under the trainer's weights, in nats.
///
/// # Errors
/// As [`Trainer::scores`]; [`Error::Sample`] without a counted token.
pub fn mean_loss(trainer: &Trainer, micros: &[Micro]) -> Result<f64, Error> {
    let micros: Vec<&Micro> = micros.iter().filter(|m| m.counted() > 0).collect();
    let (mut sum, mut weight) = (0.0, 0.0);
    let found = trainer.scores(&micros, &Distribution::default())?;
    for (micro, scores) in micros.iter().zip(&found) {
        sum -= total(scores, micro.weights());
        weight += micro.weights().iter().map(|w| f64::from(*w)).sum::<f64>();
    }
    match weight > 0.0 {
        true => Ok(sum / weight),
        false => Err(Error::Sample {
            reason: "nothing to evaluate: no counted token".into(),
        }),
    }
}

/// Puts a checkpoint's optimiser and counts into a trainer whose model was loaded from it.
///
/// # Errors
/// [`Error::Setting`] if the run had other settings, [`Error::Checkpoint`] and [`Error::Model`] if
/// the checkpoint is damaged.
pub fn resume(
    trainer: &mut Trainer,
    resumed: &Resumed<RunState>,
    settings: &str,
    mut adamw: AdamW,
) -> Result<(), Error> {
    let state = &resumed.state;
    if state.settings != settings {
        return Err(Error::Setting {
            key: "resume".into(),
            reason: format!(
                "{} was written with another recipe; only steps, save and eval may change",
                resumed.dir.display()
            ),
        });
    }
    let device: Device = trainer.model().valid().device();
    resumed.restore(&mut adamw, trainer.parameters(), state.updates, &device)?;
    trainer.resume(state.step, state.skipped, adamw);
    Ok(())
}

/// Most places that an error lists.
const PLACES: usize = 6;

/// Says what a step learnt from that could not be taken.
fn located(error: Error, places: &[String]) -> Error {
    match error {
        Error::NotFinite {
            steps, step, norm, ..
        } if !places.is_empty() => {
            let named = places[..places.len().min(PLACES)].join(", ");
            let more = match places.len().saturating_sub(PLACES) {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            Error::NotFinite {
                steps,
                step,
                norm,
                rows: format!("; the last one learnt from {named}{more}"),
            }
        }
        other => other,
    }
}

/// Weighted sum of the log-probabilities.
fn total(scores: &Scores, weights: &[f32]) -> f64 {
    let pairs = scores.logprobs.iter().zip(weights);
    pairs.map(|(p, w)| f64::from(*p) * f64::from(*w)).sum()
}

fn due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
