//! Tokens from logits: on a wgpu device three launches choose for all rows, and eight bytes a row
//! come back; elsewhere the rows are read. Called by the engine once per step.

use crate::backend_sample::SampleOps;
use crate::device::{self, Error as DeviceError};
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor, TensorData};
use glmv_sampling::weight::MAX_VOCAB;
use glmv_sampling::{
    Choice, Error as SamplingError, Pick, Sampled, Sampler, SamplingParams, choose,
};
use rayon::prelude::*;

#[path = "sample_cube.rs"]
pub(crate) mod cube;
#[path = "sample_rules.rs"]
mod rules;

/// Token id of a row in which the kernels found nothing to choose from.
const NONE: i64 = 0xffff_ffff;

/// Why no tokens came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Logits that are no numbers, or that allow no token.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// A choice names a row that the logits do not have.
    #[error("a token is to be chosen from row {row} of {rows}")]
    Row { row: usize, rows: usize },
}

/// Chooses a token for each of `choices`, which name their row of the logits; several may share one.
///
/// Every token is the one that [`glmv_sampling::choose`] chooses from the same logits, and its
/// log-probability is that one's up to 1e-5; neither depends on the other rows. On a wgpu device only
/// ids and log-probabilities are read. A row that cannot be sampled from is read whole, for the error
/// that names the logit.
///
/// # Shapes
/// `logits` `[rows, vocab]` f32.
///
/// # Errors
/// [`SampleError::Row`], those of [`glmv_sampling::choose`], and a failed device.
pub fn sample(
    logits: &Tensor<2>,
    choices: &[(usize, Choice<'_>)],
) -> Result<Vec<Sampled>, SampleError> {
    let [rows, vocab] = logits.dims();
    for (row, choice) in choices {
        if *row >= rows {
            return Err(SampleError::Row { row: *row, rows });
        }
        check(choice, vocab)?;
    }
    if choices.is_empty() || !has_kernels(logits) {
        return sample_reference(logits, choices);
    }
    let words = device::read_int(launch(logits, choices))?;
    let each = choices.iter().zip(words.chunks(2));
    let sampled = each.map(|((row, choice), word)| match word {
        &[token, bits] if token != NONE => Ok(Sampled {
            token: token as u32,                  // a word of 32 bits
            logprob: f32::from_bits(bits as u32), // likewise
        }),
        _ => {
            let row = logits.clone().narrow(0, *row, 1);
            Ok(choose(&device::read(row)?, choice)?)
        }
    });
    sampled.collect()
}

/// The tokens and log-probabilities of [`sample`] `[choices, 2]` on the device, not read.
fn launch(logits: &Tensor<2>, choices: &[(usize, Choice<'_>)]) -> Tensor<2, Int> {
    let (words, filtered) = rules::words(choices, logits.dims()[1]);
    let len = words.len();
    let options = (&logits.device(), DType::U32);
    let rules = Tensor::<1, Int>::from_data(TensorData::new(words, [len]), options);
    let (logits, rules) = (logits.clone().into_dispatch(), rules.into_dispatch());
    Tensor::from_dispatch(Dispatch::sample(logits, rules, choices.len(), filtered))
}

/// Launches what [`sample`] launches, for the best token of the first row, without reading it: how its
/// pipelines are built before the first request. `None` where no kernel of its own runs.
///
/// # Shapes
/// `logits` `[rows, vocab]` → id and bits of the log-probability `[1, 2]`.
pub fn warm_sample(logits: &Tensor<2>) -> Option<Tensor<2, Int>> {
    let greedy = Sampler::new(SamplingParams::default()).ok()?;
    has_kernels(logits).then(|| launch(logits, &[(0, greedy.choice(&[]))]))
}

/// True where the kernels run: wgpu, and rows that they can sum and index.
fn has_kernels(logits: &Tensor<2>) -> bool {
    let [rows, vocab] = logits.dims();
    rows > 0
        && rows.saturating_mul(vocab) < u32::MAX as usize
        && (1..=MAX_VOCAB).contains(&vocab)
        && route(Op::Sample, &logits.device()) == Route::Wgsl
}

/// Definition of [`sample`]: the rows are read and chosen from on the host.
///
/// # Errors
/// As [`sample`].
pub fn sample_reference(
    logits: &Tensor<2>,
    choices: &[(usize, Choice<'_>)],
) -> Result<Vec<Sampled>, SampleError> {
    let [rows, vocab] = logits.dims();
    let values = device::read(logits.clone())?;
    let one = |(row, choice): &(usize, Choice<'_>)| {
        let (row, from) = (*row, row.saturating_mul(vocab));
        let logits = values.get(from..from.saturating_add(vocab));
        let logits = logits.ok_or(SampleError::Row { row, rows })?;
        Ok(choose(logits, choice)?)
    };
    choices.par_iter().map(one).collect()
}

/// Refuses ids that the kernels could not look up.
fn check(choice: &Choice<'_>, vocab: usize) -> Result<(), SamplingError> {
    let forced = match choice.pick {
        Pick::Forced(token) => Some(token),
        Pick::Best | Pick::Draw(_) => None,
    };
    let seen = match choice.params.repetition_penalty {
        1.0 => &[],
        _ => choice.history,
    };
    let beyond = |id: &&u32| **id as usize >= vocab;
    match forced.iter().chain(seen).find(beyond) {
        Some(id) => Err(SamplingError::TokenOutOfRange { id: *id, vocab }),
        None => Ok(()),
    }
}
