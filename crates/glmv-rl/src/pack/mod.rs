//! Lengths of rollouts in, micro-steps of fixed length on workers out, with what each weighs in the
//! step. Called by the trainer after a batch is selected.
//!
//! Source: GLM-V paper (arXiv 2507.01006), §5.4: balance over workers, packing into a fixed context,
//! gradients weighted by sample count, as few micro-steps as possible. It names no algorithms; ours
//! are best fit with a search for fewer ([`bins`]), and largest differencing ([`balance`]).

mod balance;
mod bins;

use serde::{Deserialize, Serialize};

pub use balance::balance;
pub use bins::{Bins, bins};

use crate::Error;
use crate::error::require;
use crate::objective::{Aggregation, BatchSize};

/// The `[pack]` section of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackConfig {
    /// Tokens of a micro-step, prompts included, at least 1. Default 32768.
    pub capacity: usize,
    /// Cost of attention: a sample of L tokens costs `L + quadratic * L^2`, per token, from 0.
    /// Default 2e-5: causal attention over products of weights for 9 billion parameters, 40 layers
    /// and a width of 4096.
    pub quadratic: f64,
}

impl Default for PackConfig {
    fn default() -> Self {
        Self {
            capacity: 32_768,
            quadratic: 2e-5,
        }
    }
}

impl PackConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<(), Error> {
        require(
            self.capacity > 0,
            "pack.capacity",
            self.capacity,
            "at least 1",
        )?;
        let (key, value) = ("pack.quadratic", self.quadratic);
        require((0.0..=1.0).contains(&value), key, value, "0 to 1")
    }

    fn cost(&self, length: usize) -> f64 {
        let length = length as f64;
        length + self.quadratic * length * length
    }
}

/// One forward and backward pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicroStep {
    /// Indices of its samples, ascending.
    pub samples: Vec<usize>,
    /// Their tokens; the rest of the capacity is padding.
    pub tokens: usize,
}

/// The micro-steps of one training step.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Micro-steps of each worker; a worker may have none where there are few samples.
    pub workers: Vec<Vec<MicroStep>>,
    /// Cost of each worker, in tokens.
    pub costs: Vec<f64>,
    /// Micro-steps that any packing of these samples needs at least.
    pub least: usize,
}

impl Schedule {
    /// Packs samples of `lengths` (prompt and completion, tokens) and gives the micro-steps to
    /// `workers`. Where there are fewer micro-steps than workers, the costliest are split.
    ///
    /// # Errors
    /// [`Error::TooLong`] for a sample above the capacity, [`Error::Setting`].
    pub fn new(lengths: &[usize], workers: usize, config: &PackConfig) -> Result<Self, Error> {
        config.check()?;
        require(workers > 0, "workers", workers, "at least 1")?;
        let Bins { mut bins, least } = bins(lengths, config.capacity)?;
        let cost = |bin: &Vec<usize>| bin.iter().map(|&i| config.cost(lengths[i])).sum::<f64>();
        while bins.len() < workers {
            let splittable = bins.iter().enumerate().filter(|(_, bin)| bin.len() > 1);
            let Some((at, _)) = splittable.max_by(|a, b| cost(a.1).total_cmp(&cost(b.1))) else {
                break;
            };
            let bin = bins.swap_remove(at);
            let costs: Vec<f64> = bin.iter().map(|&i| config.cost(lengths[i])).collect();
            for half in balance(&costs, 2)? {
                bins.push(half.into_iter().map(|i| bin[i]).collect());
            }
        }
        let costs: Vec<f64> = bins.iter().map(cost).collect();
        let assigned = balance(&costs, workers)?;
        let step = |&bin: &usize| MicroStep {
            tokens: bins[bin].iter().map(|&i| lengths[i]).sum(),
            samples: bins[bin].clone(),
        };
        Ok(Self {
            costs: assigned
                .iter()
                .map(|own| own.iter().map(|&bin| costs[bin]).sum())
                .collect(),
            workers: assigned
                .iter()
                .map(|own| own.iter().map(step).collect())
                .collect(),
            least,
        })
    }

    /// Micro-steps on all workers.
    pub fn micro_steps(&self) -> usize {
        self.workers.iter().map(Vec::len).sum()
    }

    /// Tokens over what the micro-steps could hold, 0 to 1; `None` without a micro-step.
    pub fn utilisation(&self, capacity: usize) -> Option<f64> {
        let tokens: usize = self.workers.iter().flatten().map(|step| step.tokens).sum();
        let room = self.micro_steps() * capacity;
        (room > 0).then(|| tokens as f64 / room as f64)
    }

    /// What the loss of each micro-step, averaged over itself, weighs, so that the sum over all
    /// workers' micro-steps is the loss (and gradient) of the batch: its share of the samples, or of
    /// the tokens for an average per token. `counted[i]` are the tokens of sample `i` in the loss.
    ///
    /// # Errors
    /// [`Error::Length`] if `counted` has fewer samples than were packed.
    pub fn shares(
        &self,
        aggregation: &Aggregation,
        counted: &[usize],
    ) -> Result<Vec<Vec<f64>>, Error> {
        let packed: usize = self
            .workers
            .iter()
            .flatten()
            .map(|step| step.samples.len())
            .sum();
        if counted.len() != packed {
            return Err(Error::Length {
                what: "counted tokens",
                sample: 0,
                found: counted.len(),
                expected: packed,
            });
        }
        let batch = BatchSize::of(counted.iter().copied());
        let share = |step: &MicroStep| {
            let part = BatchSize::of(step.samples.iter().map(|&i| counted[i]));
            aggregation.share(&part, &batch)
        };
        Ok(self
            .workers
            .iter()
            .map(|steps| steps.iter().map(share).collect())
            .collect())
    }
}
