//! One row of logits in, one token out; called by the engine once per sequence and step.

use crate::{Error, SamplingParams, SplitMix64};

#[cfg(test)]
mod tests;

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// The token's id.
    pub token: u32,
    /// Natural logarithm of the token's probability under the raw logits: see [`token_logprob`].
    pub logprob: f32,
}

/// Chooses tokens for one sequence; owns the sequence's random generator.
///
/// Order and meaning of the steps are those of HF's logits processors:
/// repetition penalty, temperature, top-k, top-p, min-p, then one multinomial draw. Forbidden ids
/// are taken out before all of them.
/// Every sampled token takes exactly one draw, greedy ones take none.
#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplingParams,
    rng: SplitMix64,
    scores: Vec<f32>,
    candidates: Vec<Candidate>,
}

/// A token that may be drawn, with its probability relative to the best token's (`0 < w <= 1`).
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    weight: f64,
}

impl Sampler {
    /// A sampler that draws from stream 0 of the seed.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `params` does not validate.
    pub fn new(params: SamplingParams) -> Result<Self, Error> {
        Self::with_stream(params, 0)
    }

    /// A sampler with draws of its own for the same seed: one stream per sequence of a batch.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `params` does not validate.
    pub fn with_stream(params: SamplingParams, stream: u64) -> Result<Self, Error> {
        params.validate()?;
        let rng = SplitMix64::with_stream(params.seed, stream);
        Ok(Self {
            params,
            rng,
            scores: Vec::new(),
            candidates: Vec::new(),
        })
    }

    /// The parameters given.
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// Chooses a token from `logits` `[vocab]`, given the ids seen so far (prompt and completion,
    /// used by the repetition penalty only).
    ///
    /// # Errors
    /// [`Error::BadLogit`] for NaN or +inf, [`Error::NoCandidate`] if all are -inf,
    /// [`Error::TokenOutOfRange`] for an id in `history` beyond `logits`.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<Sampled, Error> {
        argmax(logits)?;
        self.scores.clear();
        self.scores.extend_from_slice(logits);
        if self.params.repetition_penalty != 1.0 {
            penalise(
                &mut self.scores,
                logits,
                history,
                self.params.repetition_penalty,
            )?;
        }
        for id in &self.params.forbidden_ids {
            if let Some(score) = self.scores.get_mut(*id as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
        let best = argmax(&self.scores)?;
        let token = if self.params.temperature == 0.0 {
            best
        } else {
            self.draw(best)
        };
        Ok(Sampled {
            token,
            logprob: token_logprob(logits, token)?,
        })
    }

    /// Draws from the processed `scores`, whose maximum is at `best`.
    fn draw(&mut self, best: u32) -> u32 {
        let max = f64::from(self.scores[best as usize]);
        let temperature = f64::from(self.params.temperature);
        let threshold = kth_largest(&self.scores, self.params.top_k);
        self.candidates.clear();
        for (token, &score) in (0_u32..).zip(&self.scores) {
            let weight = ((f64::from(score) - max) / temperature).exp();
            if score >= threshold && weight > 0.0 {
                self.candidates.push(Candidate { token, weight });
            }
        }
        if let Some(top_p) = self.params.top_p {
            keep_top_p(&mut self.candidates, f64::from(top_p));
        }
        if let Some(min_p) = self.params.min_p {
            self.candidates.retain(|c| c.weight >= f64::from(min_p));
        }
        let total: f64 = self.candidates.iter().map(|c| c.weight).sum();
        let target = self.rng.next_unit() * total;
        let mut sum = 0.0;
        for candidate in &self.candidates {
            sum += candidate.weight;
            if target < sum {
                return candidate.token;
            }
        }
        best // only where rounding left `sum` below `total`
    }
}

/// Index of the largest logit, the lowest one on ties. `logits` `[vocab]`.
///
/// # Errors
/// [`Error::EmptyLogits`], [`Error::VocabTooLarge`], [`Error::BadLogit`] (first NaN or +inf),
/// [`Error::NoCandidate`] if all are -inf.
pub fn argmax(logits: &[f32]) -> Result<u32, Error> {
    let vocab = logits.len();
    if vocab == 0 {
        return Err(Error::EmptyLogits);
    }
    let mut best = (0_usize, f32::NEG_INFINITY);
    for (index, &value) in logits.iter().enumerate() {
        if value.is_nan() || value == f32::INFINITY {
            return Err(Error::BadLogit {
                index,
                vocab,
                value,
            });
        }
        if value > best.1 {
            best = (index, value);
        }
    }
    if best.1 == f32::NEG_INFINITY {
        return Err(Error::NoCandidate { vocab });
    }
    u32::try_from(best.0).map_err(|_| Error::VocabTooLarge { vocab })
}

/// Log-softmax of the raw `logits` `[vocab]` at `token`: before any processor, temperature 1.
///
/// `logits[token] - max - ln(sum(exp(logits - max)))`, summed in f64, rounded once to f32.
/// A token whose logit is -inf has -inf here.
///
/// # Errors
/// Those of [`argmax`], and [`Error::TokenOutOfRange`].
pub fn token_logprob(logits: &[f32], token: u32) -> Result<f32, Error> {
    let best = argmax(logits)?;
    let at = |id: u32| logits.get(id as usize).copied().map(f64::from);
    let out_of_range = Error::TokenOutOfRange {
        id: token,
        vocab: logits.len(),
    };
    let (Some(max), Some(logit)) = (at(best), at(token)) else {
        return Err(out_of_range);
    };
    let sum: f64 = logits.iter().map(|&l| (f64::from(l) - max).exp()).sum();
    Ok((logit - max - sum.ln()) as f32)
}

/// HF `RepetitionPenaltyLogitsProcessor`: positive logits of seen tokens are divided, negative ones
/// multiplied. Reads `logits` and writes `scores`, so that repeated ids are penalised once.
fn penalise(
    scores: &mut [f32],
    logits: &[f32],
    history: &[u32],
    penalty: f32,
) -> Result<(), Error> {
    for &id in history {
        let Some(&logit) = logits.get(id as usize) else {
            return Err(Error::TokenOutOfRange {
                id,
                vocab: logits.len(),
            });
        };
        scores[id as usize] = if logit < 0.0 {
            logit * penalty
        } else {
            logit / penalty
        };
    }
    Ok(())
}

/// The `k`-th largest score, or -inf where `k` removes nothing (HF `TopKLogitsWarper`: scores
/// equal to the k-th are kept).
fn kth_largest(scores: &[f32], k: Option<usize>) -> f32 {
    match k {
        Some(k) if (1..scores.len()).contains(&k) => {
            let mut sorted = scores.to_vec();
            *sorted
                .select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a))
                .1
        }
        Some(_) | None => f32::NEG_INFINITY,
    }
}

/// HF `TopPLogitsWarper`: in ascending order, removes tokens while their running probability is
/// `<= 1 - top_p`; the best token always stays. Ties go by token id. Leaves descending order.
fn keep_top_p(candidates: &mut Vec<Candidate>, top_p: f64) {
    let total: f64 = candidates.iter().map(|c| c.weight).sum();
    let budget = (1.0 - top_p) * total;
    // All tokens below budget/n weigh less than the budget together, so they go without sorting.
    let floor = budget / candidates.len() as f64;
    let mut removed = 0.0;
    candidates.retain(|c| {
        if c.weight < floor {
            removed += c.weight;
        }
        c.weight >= floor
    });
    candidates.sort_unstable_by(|a, b| b.weight.total_cmp(&a.weight).then(a.token.cmp(&b.token)));
    while candidates.len() > 1 {
        removed += candidates[candidates.len() - 1].weight;
        if removed > budget {
            break;
        }
        candidates.pop();
    }
}
