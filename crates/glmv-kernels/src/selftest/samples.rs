//! The choice of tokens: greedy, drawn with and without filters, forced.

use super::{Inputs, Outcome, worst};
use crate::device::Error;
use crate::{sample, sample_reference};
use glmv_sampling::{Logprobs, Sampled, Sampler, SamplingParams};

/// Difference of log-probabilities; a row with another token counts as infinitely different.
pub(super) fn samples(inputs: &Inputs) -> Outcome {
    let logits = inputs.floats([2, 5000]) * 6.0;
    let greedy = SamplingParams {
        repetition_penalty: 1.2,
        ..SamplingParams::default()
    };
    let warm = SamplingParams {
        temperature: 0.8,
        forbidden_ids: vec![3, 4999],
        logprobs: Logprobs::Policy,
        ..SamplingParams::default()
    };
    let narrow = SamplingParams {
        top_k: Some(40),
        top_p: Some(0.8),
        min_p: Some(0.05),
        ..warm.clone()
    };
    let failed = |reason: String| Error::Read { reason };
    let samplers = [greedy, warm, narrow].map(Sampler::new);
    let [Ok(greedy), Ok(warm), Ok(narrow)] = &samplers else {
        return Err(failed(format!("parameters out of range: {samplers:?}")));
    };
    let choices = [
        (0, greedy.choice(&[7, 8])),
        (1, warm.choice(&[])),
        (0, narrow.choice(&[])),
        (1, narrow.choice(&[])),
        (1, warm.forced(5)),
    ];
    let got = sample(&logits, &choices).map_err(|e| failed(e.to_string()))?;
    let want = sample_reference(&logits, &choices).map_err(|e| failed(e.to_string()))?;
    let difference = |(got, want): (&Sampled, &Sampled)| match got.token == want.token {
        true => Ok((got.logprob - want.logprob).abs()),
        false => Ok(f32::INFINITY),
    };
    worst(got.iter().zip(&want).map(difference))
}
