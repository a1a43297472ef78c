//! Loss and optimiser: a batch in, micro-steps through the model, one update out.

use super::{Batch, Row};
use crate::{Distribution, Error, Micro, Scores, StepReport, Trainer, scores};
use glmv_model::Glm4v;
use glmv_rl::objective::{Metrics, Objective, Outcome, Sample};
use glmv_rl::pack::{PackConfig, Schedule};
use std::ops::Range;

/// Weights that the KL term is held against.
#[derive(Debug)]
pub struct Reference {
    model: Glm4v,
}

impl Reference {
    /// Weights that do not learn.
    pub fn new(model: Glm4v) -> Self {
        Reference { model }
    }
}

/// What an update was.
#[derive(Clone, Debug)]
pub struct Learnt {
    pub report: StepReport,
    /// The loss before the update, and its parts.
    pub loss: f64,
    pub policy_loss: f64,
    pub kl_loss: f64,
    pub metrics: Metrics,
    /// Sum of the entropies of each row's counted tokens, nats.
    pub row_entropies: Vec<f64>,
    pub micro_steps: usize,
    /// Tokens over what the micro-steps could hold, 0 to 1.
    pub utilisation: f64,
}

/// The rows of a batch, packed into micro-steps.
pub(super) struct Packed {
    pub micros: Vec<Micro>,
    /// The rows of each micro-step, in order.
    pub rows: Vec<Vec<usize>>,
    pub utilisation: f64,
}

/// Packs a batch into as few micro-steps as there can be. Completions of one prompt stay together as far as
/// they fit, since what they share is computed once.
///
/// # Errors
/// [`Error::Rl`] for a row longer than a micro-step.
pub(super) fn pack(batch: &Batch, config: &PackConfig, merge: u32) -> Result<Packed, Error> {
    let (units, lengths): (Vec<Range<usize>>, Vec<usize>) =
        units(&batch.rows, config.capacity).into_iter().unzip();
    let schedule = Schedule::new(&lengths, 1, config)?;
    let rows_of = |units_of: &[usize]| -> Vec<usize> {
        units_of
            .iter()
            .flat_map(|unit| units[*unit].clone())
            .collect()
    };
    let rows: Vec<Vec<usize>> = (schedule.workers.iter().flatten())
        .map(|step| rows_of(&step.samples))
        .collect();
    let micro = |rows: &Vec<usize>| {
        let samples = rows.iter().map(|at| &batch.rows[*at].sample);
        Micro::new(samples, merge)
    };
    Ok(Packed {
        micros: rows.iter().map(micro).collect::<Result<_, _>>()?,
        utilisation: schedule.utilisation(config.capacity).unwrap_or_default(),
        rows,
    })
}

/// Neighbouring rows that share their beginning with the first of them, with the tokens that are left to
/// compute, at most `capacity` where a row alone has no more.
fn units(rows: &[Row], capacity: usize) -> Vec<(Range<usize>, usize)> {
    let mut units: Vec<(Range<usize>, usize)> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let length = row.sample.input_ids.len();
        if let Some((unit, tokens)) = units.last_mut() {
            let shared = rows[unit.start].sample.shared(&row.sample);
            let more = length - shared;
            if shared > 0 && *tokens + more <= capacity {
                unit.end = at + 1;
                *tokens += more;
                continue;
            }
        }
        units.push((at..at + 1, length));
    }
    units
}

/// Runs one optimiser step over a batch.
///
/// # Errors
/// As [`Trainer::step`] and [`Objective::evaluate`].
pub(super) fn learn(
    trainer: &mut Trainer,
    batch: &Batch,
    objective: &Objective,
    reference: Option<(&Reference, &Distribution)>,
    config: &PackConfig,
) -> Result<Learnt, Error> {
    let merge = trainer.model().config().vision.spatial_merge_size as u32;
    let packed = pack(batch, config, merge)?;
    let held: Vec<Option<Scores>> = match reference.filter(|_| objective.kl != 0.0) {
        None => vec![None; packed.micros.len()],
        Some((reference, distribution)) => (packed.micros.iter())
            .map(|micro| scores(&reference.model, micro, distribution).map(Some))
            .collect::<Result<_, _>>()?,
    };
    // Merged in order at the end: workers finish in any.
    let mut parts: Vec<Option<(f64, f64, f64, Metrics)>> = vec![None; packed.micros.len()];
    let mut row_entropies = vec![0.0; batch.rows.len()];
    let report = trainer.step(&packed.micros, &mut |index, found| {
        let part = Part {
            batch,
            rows: &packed.rows[index],
            found,
            held: held[index].as_ref(),
        };
        let outcome = part.evaluate(objective)?;
        parts[index] = Some((outcome.loss, outcome.policy, outcome.kl, outcome.metrics));
        for (row, range) in part.rows.iter().zip(part.ranges()) {
            let own = found.entropies[range].iter().map(|nats| f64::from(*nats));
            row_entropies[*row] = own.sum();
        }
        let flat = |parts: Vec<Vec<f64>>| parts.concat().iter().map(|v| *v as f32).collect();
        Ok(crate::Factors {
            logprobs: flat(outcome.dlogp),
            entropies: match objective.entropy != 0.0 {
                true => flat(outcome.dentropy),
                false => Vec::new(),
            },
        })
    })?;
    let mut sums = (0.0, 0.0, 0.0, Metrics::default());
    for (loss, policy, kl, metrics) in parts.into_iter().flatten() {
        sums.0 += loss;
        sums.1 += policy;
        sums.2 += kl;
        sums.3.merge(&metrics);
    }
    Ok(Learnt {
        report,
        loss: sums.0,
        policy_loss: sums.1,
        kl_loss: sums.2,
        metrics: sums.3,
        row_entropies,
        micro_steps: packed.micros.len(),
        utilisation: packed.utilisation,
    })
}

/// A micro-step with its scores.
struct Part<'a> {
    batch: &'a Batch,
    rows: &'a [usize],
    found: &'a Scores,
    held: Option<&'a Scores>,
}

impl Part<'_> {
    fn evaluate(&self, objective: &Objective) -> Result<Outcome, Error> {
        let ranges = self.ranges();
        let longest = ranges.iter().map(Range::len).max().unwrap_or(0);
        // Scores are of counted tokens only, so that all of them count.
        let all = vec![true; longest];
        let samples: Vec<Sample<'_, f32>> = (self.rows.iter().zip(&ranges))
            .map(|(row, range)| Sample {
                logprobs: &self.found.logprobs[range.clone()],
                old: &self.batch.rows[*row].old,
                reference: self.held.map(|held| &held.logprobs[range.clone()]),
                entropy: Some(&self.found.entropies[range.clone()]),
                mask: &all[..range.len()],
                advantage: self.batch.rows[*row].advantage,
            })
            .collect();
        Ok(objective.evaluate(&samples, &self.batch.size)?)
    }

    /// Where the scores of each row are.
    fn ranges(&self) -> Vec<Range<usize>> {
        let mut end = 0;
        let next = |row: &usize| {
            let start = end;
            end += self.batch.rows[*row].old.len();
            start..end
        };
        self.rows.iter().map(next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sample;

    fn row(prompt: &[u32], completion: usize) -> Row {
        let own = (0..completion).map(|i| 100 + i as u32);
        let input_ids: Vec<u32> = prompt.iter().copied().chain(own).collect();
        let sample = Sample {
            modality: vec![0; input_ids.len()],
            counted: (0..input_ids.len()).map(|i| i >= prompt.len()).collect(),
            input_ids,
            ..Sample::default()
        };
        let old = vec![0.0; completion];
        Row {
            task: 0,
            sample,
            old,
            advantage: 1.0,
        }
    }

    #[test]
    fn completions_of_a_prompt_stay_together_as_far_as_they_fit() {
        let (a, b) = ([1, 2, 3, 4], [1, 2, 3, 5]);
        let rows = [row(&a, 2), row(&a, 3), row(&a, 1), row(&b, 2), row(&b, 2)];
        // The second begins as the first does, two tokens of its answer included; of the last, which is
        // the one before again, one token is left.
        assert_eq!(units(&rows, 100), [(0..3, 6 + 1 + 1), (3..5, 6 + 1)]);
        assert_eq!(units(&rows, 7), [(0..2, 7), (2..3, 5), (3..5, 7)]);
        let batch = Batch {
            rows: rows.to_vec(),
            ..Batch::default()
        };
        let config = PackConfig {
            capacity: 15,
            ..PackConfig::default()
        };
        let packed = pack(&batch, &config, 2).unwrap();
        assert_eq!(packed.rows, [[0, 1, 2, 3, 4]]);
        assert_eq!(packed.micros[0].tokens(), 15);
        assert_eq!(packed.utilisation, 1.0);
        // A row that does not fit alone is told.
        let config = PackConfig {
            capacity: 6,
            ..PackConfig::default()
        };
        assert!(pack(&batch, &config, 2).is_err());
    }
}
