//! Rollout against trainer before the first update: the same tokens under the same weights must have
//! the same log-probabilities. Where they do not, the first layer that differs is named, and the
//! kernel if one makes the difference.

use super::learn::pack;
use super::localise::{Divergence, localise};
use super::{Batch, Group, Rollouts, Row, batch};
use crate::{Distribution, Error, scores};
use glmv_model::{Glm4v, Precision};
use glmv_rl::bound::{Bound, BoundConfig, StepZero};
use glmv_rl::objective::Truncated;
use glmv_rl::pack::PackConfig;
use serde::Serialize;

/// What the check measured, within the bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Tokens compared.
    pub tokens: usize,
    /// The workers among whose tokens they are, by number and device.
    pub workers: Vec<String>,
    /// Mean k3 estimate of KL(rollout, trainer), nats per token.
    pub mean_kl: f64,
    /// Largest |difference of log p|, nats.
    pub max_difference: f64,
    /// What was allowed.
    pub bound: Bound,
}

/// Beyond the bound: where it begins.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The worker that does not agree, where there are several.
    pub worker: Option<String>,
    /// The figures against the bound.
    pub figures: String,
    pub divergence: Divergence,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(worker) = &self.worker {
            write!(f, "worker {worker}: ")?;
        }
        write!(f, "{}; {}", self.figures, self.divergence)
    }
}

/// What is compared: the trainer's model and how it scores.
pub(super) struct Sides<'a> {
    pub model: &'a Glm4v,
    pub distribution: &'a Distribution,
    pub pack: &'a PackConfig,
    pub bound: &'a BoundConfig,
}

/// Compares every counted token of `groups`, those of each worker against the bound.
///
/// # Errors
/// [`Error::Disagreement`] beyond the bound, with the first worker that is; [`Error::Rl`] where no
/// token counts.
pub(super) fn agree(
    sides: &Sides<'_>,
    rollouts: &mut Rollouts,
    groups: &[Group],
) -> Result<Agreement, Error> {
    let merge = sides.model.config().vision.spatial_merge_size as u32;
    let is_f32 = sides.model.precision() == Precision::F32;
    let bound = sides.bound.resolve(is_f32)?;
    let (batch, places) = all_rows(groups, rollouts.handling());
    let packed = pack(&batch, sides.pack, merge)?;
    let mut zeros = vec![StepZero::default(); rollouts.workers()];
    for (micro, rows) in packed.micros.iter().zip(&packed.rows) {
        let found = scores(sides.model, micro, sides.distribution)?;
        let mut start = 0;
        for row in rows {
            let (group, member) = places[*row];
            let old = &batch.rows[*row].old;
            let new = &found.logprobs[start..start + old.len()];
            let zero = &mut zeros[groups[group].members[member].worker];
            zero.take(*row, old, new, &vec![true; old.len()])?;
            start += old.len();
        }
    }
    if zeros.iter().all(|zero| zero.tokens == 0) {
        zeros[0].check(&bound)?;
    }
    let mut agreement = Agreement {
        tokens: 0,
        workers: Vec::new(),
        mean_kl: 0.0,
        max_difference: 0.0,
        bound,
    };
    for (worker, zero) in zeros.iter().enumerate().filter(|(_, zero)| zero.tokens > 0) {
        match zero.check(&bound) {
            Ok(()) => agreement.take(zero, rollouts.name(worker)),
            Err(error @ glmv_rl::Error::Mismatch { .. }) => {
                let (group, member) = places[zero.sample];
                let (group, row) = (&groups[group], &batch.rows[zero.sample]);
                let token = nth_counted(row, group.inputs.input_ids.len(), zero.token);
                let tokens = &group.members[member].tokens[..token];
                let name = (rollouts.workers() > 1).then(|| rollouts.name(worker));
                let divergence = localise(rollouts.engine_of(worker), sides.model, group, tokens)?;
                return Err(Error::Disagreement(Box::new(Mismatch {
                    worker: name,
                    figures: error.to_string(),
                    divergence,
                })));
            }
            Err(error) => return Err(error.into()),
        }
    }
    agreement.mean_kl /= agreement.tokens.max(1) as f64;
    Ok(agreement)
}

impl Agreement {
    /// Adds a worker's figures; the mean is a sum until all are in.
    fn take(&mut self, zero: &StepZero, worker: String) {
        self.tokens += zero.tokens;
        self.workers.push(worker);
        self.mean_kl += zero.mean_kl().unwrap_or_default() * zero.tokens as f64;
        self.max_difference = self.max_difference.max(zero.max_difference);
    }
}

/// Every completion with a counted token, and where it is from: group and member.
fn all_rows(groups: &[Group], handling: Truncated) -> (Batch, Vec<(usize, usize)>) {
    let (mut rows, mut places) = (Batch::default(), Vec::new());
    for (at, group) in groups.iter().enumerate() {
        let masks = batch::masks(group, handling);
        for (member_at, (member, mask)) in group.members.iter().zip(masks).enumerate() {
            if mask.contains(&true) {
                rows.rows.push(batch::row(group, member, &mask, 0.0));
                places.push((at, member_at));
            }
        }
    }
    (rows, places)
}

/// Place in the completion of the row's counted token `n`.
fn nth_counted(row: &Row, prompt: usize, n: usize) -> usize {
    let counted = row.sample.counted[prompt..].iter().enumerate();
    let mut counted = counted.filter(|(_, counts)| **counts);
    counted.nth(n).map_or(0, |(at, _)| at)
}
