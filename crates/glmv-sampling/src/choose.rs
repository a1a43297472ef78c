//! The definition of how a token is chosen: one row of logits and a [`Choice`] in, a token out.
//! Called by the [`crate::Sampler`], by the engine on the CPU device, and by the tests of the GPU's
//! kernels, which have to choose the same.

use std::borrow::Cow;

use crate::weight::{check_vocab, fraction, least, scale, share, weight};
use crate::{Error, Logprobs, SamplingParams};

#[cfg(test)]
mod tests;

/// A chosen token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// The token's id.
    pub token: u32,
    /// Natural logarithm of the token's probability, as [`SamplingParams::logprobs`] asks for it.
    pub logprob: f32,
}

/// How the next token comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The best score, the lowest id of a tie.
    Best,
    /// By this random number.
    Draw(u32),
    /// This token, whatever its score.
    Forced(u32),
}

/// Everything but the logits that decides a token; made by [`crate::Sampler::choice`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Choice<'a> {
    /// Validated parameters.
    pub params: &'a SamplingParams,
    /// How the token comes about.
    pub pick: Pick,
    /// Ids seen so far, which the repetition penalty is for.
    pub history: &'a [u32],
}

/// The numbers a choice is computed with, as integers and f32: on the host and in the kernels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Factor from differences of scores to the steps of a weight.
    pub scale: f32,
    /// Scores below the `top_k`-th largest are left out; 0 = none.
    pub top_k: u32,
    /// `1 - top_p` in 2^-32: the share of the weights that is left out, smallest first.
    pub cut: u32,
    /// Smaller weights are left out.
    pub least: u64,
    /// Factor on negative logits seen before, and on the others.
    pub penalty: [f32; 2],
    /// Temperature of the log-probability.
    pub logprob_temperature: f32,
    /// True if forbidden ids are no part of the log-probability's distribution.
    pub logprob_masked: bool,
}

impl Rule {
    /// The numbers of validated `params` for rows of `vocab` logits.
    pub fn new(params: &SamplingParams, vocab: usize) -> Self {
        let warm = if params.temperature == 0.0 {
            1.0
        } else {
            params.temperature
        };
        let masked = params.logprobs == Logprobs::Policy;
        let top_k = params.top_k.filter(|k| *k < vocab).unwrap_or(0);
        Rule {
            scale: scale(warm),
            top_k: u32::try_from(top_k).unwrap_or(0),
            cut: params.top_p.map_or(0, |p| fraction(1.0 - f64::from(p))),
            least: params.min_p.map_or(0, least),
            penalty: [
                params.repetition_penalty,
                (1.0 / f64::from(params.repetition_penalty)) as f32,
            ],
            logprob_temperature: if masked { warm } else { 1.0 },
            logprob_masked: masked,
        }
    }
}

/// Chooses a token from `logits` `[vocab]`.
///
/// Order and meaning of the steps are those of HF's logits processors: repetition penalty,
/// temperature, top-k, top-p, min-p, then one multinomial draw; forbidden ids are taken out before.
/// Probabilities are the integers of `weight.rs`: a draw takes the first id at which the running sum
/// exceeds `random / 2^32` of the total.
///
/// # Errors
/// [`Error::BadLogit`] for NaN or +inf, [`Error::NoCandidate`] if no token is allowed,
/// [`Error::TokenOutOfRange`] for a forced or seen id beyond `logits`, [`Error::VocabTooLarge`].
pub fn choose(logits: &[f32], choice: &Choice<'_>) -> Result<Sampled, Error> {
    check_vocab(logits.len())?;
    argmax(logits)?;
    let rule = Rule::new(choice.params, logits.len());
    let token = match choice.pick {
        Pick::Forced(token) => token,
        Pick::Best => argmax(&scores(logits, choice, &rule)?)?,
        Pick::Draw(random) => {
            let scores = scores(logits, choice, &rule)?;
            let best = argmax(&scores)?;
            draw(&scores, scores[best as usize], &rule, random).unwrap_or(best)
        }
    };
    let logprob = match choice.params.logprobs {
        Logprobs::Model => token_logprob(logits, token)?,
        Logprobs::Policy => {
            let allowed = without(logits, &choice.params.forbidden_ids);
            log_softmax(&allowed, token, f64::from(rule.logprob_temperature))?
        }
    };
    Ok(Sampled { token, logprob })
}

/// The logits with the penalty applied and forbidden ids at -inf.
fn scores<'a>(
    logits: &'a [f32],
    choice: &Choice<'_>,
    rule: &Rule,
) -> Result<Cow<'a, [f32]>, Error> {
    let params = choice.params;
    if params.repetition_penalty == 1.0 {
        return Ok(without(logits, &params.forbidden_ids));
    }
    let mut scores = logits.to_vec();
    penalise(&mut scores, logits, choice.history, rule.penalty)?;
    Ok(Cow::Owned(
        without(&scores, &params.forbidden_ids).into_owned(),
    ))
}

/// The row with the ids of `forbidden` that it has at -inf.
fn without<'a>(row: &'a [f32], forbidden: &[u32]) -> Cow<'a, [f32]> {
    let mut row = Cow::Borrowed(row);
    for id in forbidden {
        if (*id as usize) < row.len() {
            row.to_mut()[*id as usize] = f32::NEG_INFINITY;
        }
    }
    row
}

/// HF `RepetitionPenaltyLogitsProcessor`: positive logits of seen tokens are divided, negative ones
/// multiplied. Reads `logits` and writes `scores`, so that repeated ids are penalised once.
///
/// Departure from HF: 1. the division is a product with the reciprocal, as on the GPU.
fn penalise(
    scores: &mut [f32],
    logits: &[f32],
    history: &[u32],
    [penalty, reciprocal]: [f32; 2],
) -> Result<(), Error> {
    for &id in history {
        let Some(&logit) = logits.get(id as usize) else {
            return Err(Error::TokenOutOfRange {
                id,
                vocab: logits.len(),
            });
        };
        scores[id as usize] = logit * if logit < 0.0 { penalty } else { reciprocal };
    }
    Ok(())
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    token: u32,
    score: f32,
    weight: u64,
}

/// Draws from `scores`, whose maximum is `max`; `None` without a candidate.
fn draw(scores: &[f32], max: f32, rule: &Rule, random: u32) -> Option<u32> {
    let threshold = kth_largest(scores, rule.top_k as usize);
    let mut candidates: Vec<Candidate> = (0_u32..)
        .zip(scores)
        .filter(|(_, score)| **score >= threshold)
        .map(|(token, &score)| Candidate {
            token,
            score,
            weight: weight(max - score, rule.scale),
        })
        .filter(|candidate| candidate.weight > 0)
        .collect();
    if rule.cut > 0 {
        keep_top_p(&mut candidates, rule.cut);
    }
    candidates.retain(|c| c.weight >= rule.least);
    let total: u64 = candidates.iter().map(|c| c.weight).sum();
    let goal = share(total, random);
    let mut sum = 0;
    let drawn = candidates.iter().find(|candidate| {
        sum += candidate.weight;
        goal < sum
    });
    drawn.map(|candidate| candidate.token)
}

/// The `k`-th largest score, or -inf for 0 (HF `TopKLogitsWarper`: scores equal to the k-th are
/// kept).
fn kth_largest(scores: &[f32], k: usize) -> f32 {
    if k == 0 || k >= scores.len() {
        return f32::NEG_INFINITY;
    }
    let mut sorted = scores.to_vec();
    *sorted
        .select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a))
        .1
}

/// HF `TopPLogitsWarper`: from the smallest score on, removes tokens while what they weigh together
/// is at most the share `cut`; the best token always stays. Of equal scores the larger id goes
/// first. Leaves the order of ids.
fn keep_top_p(candidates: &mut Vec<Candidate>, cut: u32) {
    let total: u64 = candidates.iter().map(|c| c.weight).sum();
    let budget = share(total, cut);
    // All tokens below budget/n weigh less than the budget together, so they go without sorting.
    let floor = budget / candidates.len().max(1) as u64;
    let mut removed = 0;
    candidates.retain(|c| {
        if c.weight < floor {
            removed += c.weight;
        }
        c.weight >= floor
    });
    candidates.sort_unstable_by(|a, b| {
        // Zeros of both signs are equal.
        let order = b.score.partial_cmp(&a.score);
        order
            .unwrap_or(std::cmp::Ordering::Equal)
            .then(a.token.cmp(&b.token))
    });
    while candidates.len() > 1 {
        removed += candidates[candidates.len() - 1].weight;
        if removed > budget {
            break;
        }
        candidates.pop();
    }
    candidates.sort_unstable_by_key(|c| c.token);
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
    let limit = u32::MAX as usize;
    u32::try_from(best.0).map_err(|_| Error::VocabTooLarge { vocab, limit })
}

/// Log-softmax of the raw `logits` `[vocab]` at `token`: before any processor, temperature 1.
///
/// `logits[token] - max - ln(sum(exp(logits - max)))`, summed in f64, rounded once to f32.
/// A token whose logit is -inf has -inf here.
///
/// # Errors
/// Those of [`argmax`], and [`Error::TokenOutOfRange`].
pub fn token_logprob(logits: &[f32], token: u32) -> Result<f32, Error> {
    log_softmax(logits, token, 1.0)
}

/// Log-softmax of `logits / temperature` at `token`.
fn log_softmax(logits: &[f32], token: u32, temperature: f64) -> Result<f32, Error> {
    let best = argmax(logits)?;
    let at = |id: u32| logits.get(id as usize).copied().map(f64::from);
    let out_of_range = Error::TokenOutOfRange {
        id: token,
        vocab: logits.len(),
    };
    let (Some(max), Some(logit)) = (at(best), at(token)) else {
        return Err(out_of_range);
    };
    let term = |l: &f32| ((f64::from(*l) - max) / temperature).exp();
    let sum: f64 = logits.iter().map(term).sum();
    Ok(((logit - max) / temperature - sum.ln()) as f32)
}
