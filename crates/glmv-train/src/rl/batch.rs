//! From judged groups to what is learnt from: advantages, and which tokens count.

use super::Group;
use crate::{Error, Sample};
use glmv_rl::advantage::{self, Normalise};
use glmv_rl::curriculum::{Reply, Selection};
use glmv_rl::forced::{EndRates, loss_mask};
use glmv_rl::objective::{BatchSize, Truncated};

/// One completion to learn from.
#[derive(Clone, Debug)]
pub struct Row {
    /// Index of the task.
    pub task: usize,
    /// Prompt and completion, with the counted tokens marked.
    pub sample: Sample,
    /// Log-probabilities of the counted tokens when they were drawn, nats.
    pub old: Vec<f32>,
    pub advantage: f64,
}

/// The completions of one optimiser step.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Those with a counted token that need a pass.
    pub rows: Vec<Row>,
    /// Of all completions of the step, those that need no pass included.
    pub size: BatchSize,
}

/// What counts of each completion of a group, in order.
pub(super) fn masks(group: &Group, handling: Truncated) -> Vec<Vec<bool>> {
    let members = group.members.iter();
    let mask = members.map(|m| loss_mask(&m.inserted, m.is_truncated, handling));
    mask.collect()
}

/// What the curriculum hears of a group.
pub(super) fn reply(group: &Group, handling: Truncated) -> Reply {
    let judged = group.members.iter().zip(masks(group, handling));
    let judged = judged.filter_map(|(member, mask)| Some((member.reward?, mask)));
    let (rewards, masks): (Vec<f64>, Vec<Vec<bool>>) = judged.unzip();
    Reply {
        task: group.task,
        rewards,
        counted_tokens: masks.iter().flatten().filter(|&&counts| counts).count(),
    }
}

/// How the completions of `groups` ended.
pub(super) fn end_rates<'a>(
    groups: impl IntoIterator<Item = &'a Group>,
    handling: Truncated,
) -> EndRates {
    let mut rates = EndRates::default();
    for group in groups {
        for (member, mask) in group.members.iter().zip(masks(group, handling)) {
            rates.take(&member.inserted, member.is_truncated, &mask);
        }
    }
    rates
}

/// The steps of an iteration: the selected groups in `updates` parts of nearly equal size, each a
/// batch of its own. Parts without a counted token are left out. Completions without a reward are
/// none of any.
///
/// `everywhere`: groups without an advantage need a pass as well, for a KL or an entropy term.
///
/// # Errors
/// [`Error::Rl`] for a reward that is no number.
pub(super) fn batches(
    groups: &[Group],
    selection: &Selection,
    (normalise, handling): (Normalise, Truncated),
    updates: usize,
    everywhere: bool,
) -> Result<Vec<Batch>, Error> {
    let all: Vec<(usize, bool)> = (selection.train.iter().map(|task| (*task, true)))
        .chain(selection.filler.iter().map(|task| (*task, false)))
        .collect();
    let mut batches = vec![Batch::default(); updates.max(1)];
    let mut counted = vec![Vec::new(); batches.len()];
    let parts = batches.len();
    for (place, (task, trains)) in all.into_iter().enumerate() {
        // Most balanced groups come first: every part gets its share of them.
        let part = place % parts;
        let Some(group) = groups.iter().find(|group| group.task == task) else {
            return Err(Error::Other(format!(
                "task {task} was selected and has no group"
            )));
        };
        let rewards: Vec<f64> = group.members.iter().filter_map(|m| m.reward).collect();
        let mut advantages = advantage::of_group(&rewards, normalise)?.into_iter();
        for (member, mask) in group.members.iter().zip(masks(group, handling)) {
            if member.reward.is_none() {
                continue;
            }
            let advantage = advantages.next().unwrap_or_default();
            let tokens = mask.iter().filter(|&&counts| counts).count();
            counted[part].push(tokens);
            if tokens > 0 && (trains || everywhere) {
                batches[part]
                    .rows
                    .push(row(group, member, &mask, advantage));
            }
        }
    }
    for (batch, counted) in batches.iter_mut().zip(counted) {
        batch.size = BatchSize::of(counted);
    }
    batches.retain(|batch| !batch.rows.is_empty());
    Ok(batches)
}

/// A completion behind its prompt, as the trainer takes it.
pub(super) fn row(group: &Group, member: &super::Member, mask: &[bool], advantage: f64) -> Row {
    let inputs = &group.inputs;
    let prompt = inputs.input_ids.len();
    let visuals = |patches: &Option<glmv_processor::VisualPatches>| match patches {
        Some(patches) => (patches.pixel_values.clone(), patches.grid_thw.clone()),
        None => (Vec::new(), Vec::new()),
    };
    let mut modality: Vec<u8> = inputs.modality.iter().map(|m| *m as u8).collect();
    modality.resize(prompt + member.tokens.len(), 0);
    let mut counted = vec![false; prompt];
    counted.extend(mask);
    let old = member.logprobs.iter().zip(mask);
    Row {
        task: group.task,
        old: old
            .filter(|(_, counts)| **counts)
            .map(|(p, _)| *p)
            .collect(),
        sample: Sample {
            input_ids: [inputs.input_ids.as_slice(), &member.tokens].concat(),
            modality,
            counted,
            weight: 1.0,
            images: visuals(&inputs.images),
            videos: visuals(&inputs.videos),
        },
        advantage,
    }
}
