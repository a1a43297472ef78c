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
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Tokens compared.
    pub tokens: usize,
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
    /// The figures against the bound.
    pub figures: String,
    pub divergence: Divergence,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// Compares every counted token of `groups`.
///
/// # Errors
/// [`Error::Disagreement`] beyond the bound, [`Error::Rl`] where no token counts.
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
    let mut zero = StepZero::default();
    for (micro, rows) in packed.micros.iter().zip(&packed.rows) {
        let found = scores(sides.model, micro, sides.distribution)?;
        let mut start = 0;
        for row in rows {
            let old = &batch.rows[*row].old;
            let new = &found.logprobs[start..start + old.len()];
            zero.take(*row, old, new, &vec![true; old.len()])?;
            start += old.len();
        }
    }
    match zero.check(&bound) {
        Ok(()) => Ok(Agreement {
            tokens: zero.tokens,
            mean_kl: zero.mean_kl().unwrap_or_default(),
            max_difference: zero.max_difference,
            bound,
        }),
        Err(error @ glmv_rl::Error::Mismatch { .. }) => {
            let (group, member) = places[zero.sample];
            let (group, row) = (&groups[group], &batch.rows[zero.sample]);
            let token = nth_counted(row, group.inputs.input_ids.len(), zero.token);
            let tokens = &group.members[member].tokens[..token];
            let divergence = localise(rollouts.engine(), sides.model, group, tokens)?;
            Err(Error::Disagreement(Box::new(Mismatch {
                figures: error.to_string(),
                divergence,
            })))
        }
        Err(error) => Err(error.into()),
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
