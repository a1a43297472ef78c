//! Token log-probabilities and advantages in, loss and its derivative by every log-probability out.
//! Called by the trainer per micro-step; tensors stay outside: the trainer multiplies
//! [`Outcome::dlogp`] (and [`Outcome::dentropy`]) into the backward of its log-softmax.
//!
//! `loss = - sum_it w_it J_it  +  kl * sum_it w_it k3_it  -  entropy * sum_it w_it H_it`
//!
//! where `w` comes from the [`Aggregation`] over the whole batch, so that the losses and gradients of
//! micro-steps add up to those of the batch, and `J` from a [`Surrogate`]: one file per method.

mod aggregate;
mod cispo;
mod config;
mod dapo;
mod dr_grpo;
mod grpo;
mod gspo;
mod metrics;
mod terms;

pub use aggregate::{Aggregation, BatchSize};
pub use cispo::Cispo;
pub use config::{AggregationKind, Method, ObjectiveConfig, Truncated};
pub use dapo::overlong_penalty;
pub use grpo::Clipped;
pub use gspo::Gspo;
pub use metrics::Metrics;
pub use terms::{Row, Surrogate, Terms};

use crate::Error;

/// The tokens of one completion; every slice has one element per token.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a, T> {
    /// Log-probabilities under the weights that learn, nats.
    pub logprobs: &'a [T],
    /// Log-probabilities under the weights that rolled out, nats.
    pub old: &'a [T],
    /// Log-probabilities under the reference weights, nats; needed where `kl` is not 0.
    pub reference: Option<&'a [T]>,
    /// Entropies of the distributions under the weights that learn, nats; needed where `entropy`
    /// is not 0.
    pub entropy: Option<&'a [T]>,
    /// Tokens that count; see [`crate::forced`] for those that do not. What the other slices hold
    /// at a token that does not count is never read.
    pub mask: &'a [bool],
    /// Advantage of the completion.
    pub advantage: f64,
}

/// A loss and its derivatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The whole loss.
    pub loss: f64,
    /// Its part from the surrogate.
    pub policy: f64,
    /// Its part from the reference, `kl` included.
    pub kl: f64,
    /// Its part from the entropy, `entropy` included (at most 0).
    pub entropy: f64,
    /// `d loss / d logprobs`, per sample and token; 0 where a token does not count.
    pub dlogp: Vec<Vec<f64>>,
    /// `d loss / d entropy`, per sample and token; 0 throughout without an entropy term.
    pub dentropy: Vec<Vec<f64>>,
    /// What to log.
    pub metrics: Metrics,
}

/// An objective, resolved from its [`ObjectiveConfig`].
#[derive(Debug)]
pub struct Objective {
    /// The method's `J`.
    pub surrogate: Box<dyn Surrogate>,
    /// How tokens and samples are averaged.
    pub aggregation: Aggregation,
    /// Weight of the k3 estimate of the KL divergence to the reference weights; 0 is off.
    pub kl: f64,
    /// Weight of the entropy that is wanted; 0 is off.
    pub entropy: f64,
}

impl Objective {
    /// Loss and derivatives of some samples of a batch of `size`.
    ///
    /// With `size` of these very samples it is the batch's loss; with the size of a larger batch it
    /// is their share of that batch's, and the shares of a partition add up to the whole.
    /// A batch without a counted token has loss 0 and derivative 0.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Missing`], [`Error::NotFinite`].
    pub fn evaluate<T: Copy + Into<f64>>(
        &self,
        samples: &[Sample<'_, T>],
        size: &BatchSize,
    ) -> Result<Outcome, Error> {
        let mut outcome = Outcome {
            loss: 0.0,
            policy: 0.0,
            kl: 0.0,
            entropy: 0.0,
            dlogp: Vec::with_capacity(samples.len()),
            dentropy: Vec::with_capacity(samples.len()),
            metrics: Metrics::default(),
        };
        for (index, sample) in samples.iter().enumerate() {
            let row = self.row(index, sample)?;
            let weight = self.aggregation.weight(row.at.len(), size);
            self.add(index, &row, weight, &mut outcome)?;
        }
        outcome.loss = outcome.policy + outcome.kl + outcome.entropy;
        Ok(outcome)
    }

    /// The counted tokens of a sample, checked.
    fn row<T: Copy + Into<f64>>(&self, index: usize, sample: &Sample<'_, T>) -> Result<Row, Error> {
        let at: Vec<usize> = (0..sample.mask.len()).filter(|&t| sample.mask[t]).collect();
        let pick = |what, values: &[T]| pick(what, values, index, sample.mask.len(), &at);
        let logprobs = pick("log-probability", sample.logprobs)?;
        let old = pick("old log-probability", sample.old)?;
        let optional = |what, values: Option<&[T]>| values.map(|v| pick(what, v)).transpose();
        let reference = optional("reference log-probability", sample.reference)?;
        let entropy = optional("entropy", sample.entropy)?;
        let needed = |what, by, weight: f64, is_there: bool| match weight == 0.0 || is_there {
            true => Ok(()),
            false => Err(Error::Missing {
                what,
                sample: index,
                needed_by: by,
            }),
        };
        needed(
            "reference log-probability",
            "kl",
            self.kl,
            reference.is_some(),
        )?;
        needed("entropy", "entropy", self.entropy, entropy.is_some())?;
        Ok(Row {
            len: sample.mask.len(),
            log_ratio: logprobs
                .iter()
                .zip(&old)
                .map(|(new, old)| new - old)
                .collect(),
            advantage: finite(sample.advantage, "advantage", index, 0)?,
            at,
            logprobs,
            reference,
            entropy,
        })
    }

    /// Adds one sample, each of whose tokens weighs `weight`.
    fn add(&self, index: usize, row: &Row, weight: f64, to: &mut Outcome) -> Result<(), Error> {
        let terms = self.surrogate.terms(row);
        let mut dlogp = vec![0.0; row.len];
        let mut dentropy = vec![0.0; row.len];
        for (n, &token) in row.at.iter().enumerate() {
            to.policy -= weight * finite(terms.value[n], "surrogate", index, token)?;
            dlogp[token] -= weight * finite(terms.slope[n], "surrogate's slope", index, token)?;
            if let (true, Some(reference)) = (self.kl != 0.0, &row.reference) {
                let to_reference = reference[n] - row.logprobs[n];
                let k3 = finite(k3(to_reference), "KL to the reference", index, token)?;
                to.kl += self.kl * weight * k3;
                dlogp[token] -= self.kl * weight * to_reference.exp_m1();
            }
            if let (true, Some(entropy)) = (self.entropy != 0.0, &row.entropy) {
                to.entropy -= self.entropy * weight * entropy[n];
                dentropy[token] = -self.entropy * weight;
            }
        }
        to.metrics.take(row, &terms);
        to.dlogp.push(dlogp);
        to.dentropy.push(dentropy);
        Ok(())
    }
}

/// `exp(d) - d - 1` with `d = log q - log p`: an estimate of KL(p, q) from samples of p that is
/// never negative and has little variance (J. Schulman, "Approximating KL divergence", 2020).
pub fn k3(log_ratio: f64) -> f64 {
    // exp_m1 keeps the digits of small differences; the true value is never below 0.
    (log_ratio.exp_m1() - log_ratio).max(0.0)
}

/// The values of the counted tokens `at` of sample `sample`, which has `len` tokens.
fn pick<T: Copy + Into<f64>>(
    what: &'static str,
    values: &[T],
    sample: usize,
    len: usize,
    at: &[usize],
) -> Result<Vec<f64>, Error> {
    if values.len() != len {
        return Err(Error::Length {
            what,
            sample,
            found: values.len(),
            expected: len,
        });
    }
    at.iter()
        .map(|&token| finite(values[token].into(), what, sample, token))
        .collect()
}

fn finite(value: f64, what: &'static str, sample: usize, token: usize) -> Result<f64, Error> {
    match value.is_finite() {
        true => Ok(value),
        false => Err(Error::NotFinite {
            what,
            sample,
            token,
            value,
        }),
    }
}
