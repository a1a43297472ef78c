//! Sums over the counted tokens of one step, kept so that micro-steps and workers can be merged.

use super::k3;
use super::terms::{Row, Terms};

/// What to log about a step; the means are methods.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Metrics {
    /// Samples.
    pub samples: usize,
    /// Samples without a counted token.
    pub empty_samples: usize,
    /// Counted tokens.
    pub tokens: usize,
    /// Tokens at the lower clip.
    pub clipped_low: usize,
    /// Tokens at the upper clip.
    pub clipped_high: usize,
    /// Largest `p / p_old` of a token; 0 without tokens.
    pub ratio_max: f64,
    ratio: f64,
    old_k1: f64,
    old_k3: f64,
    reference_tokens: usize,
    reference_k1: f64,
    reference_k3: f64,
    entropy_tokens: usize,
    entropy: f64,
}

impl Metrics {
    pub(super) fn take(&mut self, row: &Row, terms: &Terms) {
        self.samples += 1;
        self.empty_samples += usize::from(row.at.is_empty());
        self.tokens += row.at.len();
        self.clipped_low += terms.clipped_low;
        self.clipped_high += terms.clipped_high;
        for &log_ratio in &row.log_ratio {
            self.ratio_max = self.ratio_max.max(log_ratio.exp());
            self.ratio += log_ratio.exp();
            self.old_k1 -= log_ratio;
            self.old_k3 += k3(log_ratio);
        }
        if let Some(reference) = &row.reference {
            self.reference_tokens += reference.len();
            for (reference, logp) in reference.iter().zip(&row.logprobs) {
                self.reference_k1 += logp - reference;
                self.reference_k3 += k3(reference - logp);
            }
        }
        if let Some(entropy) = &row.entropy {
            self.entropy_tokens += entropy.len();
            self.entropy += entropy.iter().sum::<f64>();
        }
    }

    /// Adds the sums of another micro-step or worker.
    pub fn merge(&mut self, other: &Self) {
        self.samples += other.samples;
        self.empty_samples += other.empty_samples;
        self.tokens += other.tokens;
        self.clipped_low += other.clipped_low;
        self.clipped_high += other.clipped_high;
        self.ratio_max = self.ratio_max.max(other.ratio_max);
        self.ratio += other.ratio;
        self.old_k1 += other.old_k1;
        self.old_k3 += other.old_k3;
        self.reference_tokens += other.reference_tokens;
        self.reference_k1 += other.reference_k1;
        self.reference_k3 += other.reference_k3;
        self.entropy_tokens += other.entropy_tokens;
        self.entropy += other.entropy;
    }

    /// Share of counted tokens at the lower clip; 0 without tokens.
    pub fn clip_fraction_low(&self) -> f64 {
        mean(self.clipped_low as f64, self.tokens).unwrap_or_default()
    }

    /// Share of counted tokens at the upper clip; 0 without tokens.
    pub fn clip_fraction_high(&self) -> f64 {
        mean(self.clipped_high as f64, self.tokens).unwrap_or_default()
    }

    /// Share of counted tokens at either clip; 0 without tokens.
    pub fn clip_fraction(&self) -> f64 {
        self.clip_fraction_low() + self.clip_fraction_high()
    }

    /// Mean ratio `p / p_old`; `None` without tokens.
    pub fn ratio_mean(&self) -> Option<f64> {
        mean(self.ratio, self.tokens)
    }

    /// Mean `log p_old - log p` (k1), nats: KL(old, new) estimated; `None` without tokens.
    pub fn old_k1(&self) -> Option<f64> {
        mean(self.old_k1, self.tokens)
    }

    /// Mean k3 estimate of KL(old, new), nats; `None` without tokens.
    pub fn old_k3(&self) -> Option<f64> {
        mean(self.old_k3, self.tokens)
    }

    /// Mean `log p - log p_reference` (k1), nats; `None` without a reference.
    pub fn reference_k1(&self) -> Option<f64> {
        mean(self.reference_k1, self.reference_tokens)
    }

    /// Mean k3 estimate of KL(new, reference), nats; `None` without a reference.
    pub fn reference_k3(&self) -> Option<f64> {
        mean(self.reference_k3, self.reference_tokens)
    }

    /// Mean entropy, nats; `None` where none was given.
    pub fn entropy(&self) -> Option<f64> {
        mean(self.entropy, self.entropy_tokens)
    }
}

fn mean(sum: f64, count: usize) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}
