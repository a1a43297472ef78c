//! AdamW with decoupled decay and bias correction, over the flat list of parameters.

use crate::grads::global_norm;
use crate::params::map_values;
use crate::{Error, Grads, Groups, Parameter};
use burn::tensor::Tensor;
use glmv_model::Glm4v;
use serde::{Deserialize, Serialize};

/// Settings of the optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// Decay rate of the mean of the gradients.
    pub beta1: f64,
    /// Decay rate of the mean of their squares.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Decoupled weight decay, per step and unit of learning rate.
    pub decay: f64,
    /// Norms and biases decay too.
    pub decay_vectors: bool,
    /// Largest global norm of the gradients; longer ones are scaled down to it.
    pub clip: Option<f64>,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        AdamWConfig {
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            decay: 0.1,
            decay_vectors: false,
            clip: Some(1.0),
        }
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Norm of all gradients before clipping.
    pub norm: f64,
    /// False if the gradients were not finite, so that nothing changed.
    pub applied: bool,
}

/// Means of gradients and of their squares, one pair per parameter that has had a gradient.
#[derive(Clone, Debug)]
pub struct AdamW {
    config: AdamWConfig,
    states: Vec<Option<[Tensor<1>; 2]>>,
    steps: u64,
}

impl AdamW {
    /// An optimiser that has seen nothing.
    pub fn new(config: AdamWConfig) -> Self {
        AdamW {
            config,
            states: Vec::new(),
            steps: 0,
        }
    }

    /// Steps applied so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The means of parameter `index`, flat; `None` before its first gradient.
    pub fn state(&self, index: usize) -> Option<&[Tensor<1>; 2]> {
        self.states.get(index)?.as_ref()
    }

    /// Puts a saved optimiser in place of this one.
    pub fn restore(&mut self, steps: u64, states: Vec<Option<[Tensor<1>; 2]>>) {
        (self.steps, self.states) = (steps, states);
    }

    /// One step: `m = β₁m + (1-β₁)g`, `v = β₂v + (1-β₂)g²`,
    /// `p -= rate · (m̂ / (√v̂ + ε) + decay · p)`. Parameters without a gradient stay.
    ///
    /// Gradients that are not finite change nothing, neither weights nor means.
    ///
    /// # Errors
    /// If the device fails.
    ///
    /// Source: Loshchilov and Hutter, "Decoupled weight decay regularization"; `torch.optim.AdamW`.
    pub fn step(
        &mut self,
        model: Glm4v,
        list: &[Parameter],
        groups: &Groups,
        grads: &Grads,
        rate: f64,
    ) -> Result<(Glm4v, Step), Error> {
        let norm = global_norm(&grads.norms()?);
        if !norm.is_finite() {
            let applied = false;
            return Ok((model, Step { norm, applied }));
        }
        let scale = match self.config.clip {
            Some(most) if norm > most => most / (norm + 1e-6),
            _ => 1.0,
        };
        self.steps += 1;
        self.states.resize(list.len(), None);
        let model = map_values(model, &mut |index, value| {
            let grad = grads.get(index)?.mul_scalar(scale);
            let group = groups.of(list[index].part);
            let decay = match list[index].is_vector() && !self.config.decay_vectors {
                true => 0.0,
                false => group.decay.unwrap_or(self.config.decay),
            };
            Some(self.update(index, value, grad, rate * group.rate, decay))
        });
        Ok((
            model,
            Step {
                norm,
                applied: true,
            },
        ))
    }

    fn update(
        &mut self,
        index: usize,
        value: Tensor<1>,
        grad: Tensor<1>,
        rate: f64,
        decay: f64,
    ) -> Tensor<1> {
        let AdamWConfig {
            beta1, beta2, eps, ..
        } = self.config;
        let [mean, square] = match self.states[index].take() {
            Some([mean, square]) => [
                mean.mul_scalar(beta1) + grad.clone().mul_scalar(1.0 - beta1),
                square.mul_scalar(beta2) + grad.powi_scalar(2).mul_scalar(1.0 - beta2),
            ],
            None => [
                grad.clone().mul_scalar(1.0 - beta1),
                grad.powi_scalar(2).mul_scalar(1.0 - beta2),
            ],
        };
        let steps = self.steps as f64;
        let (correct1, correct2) = (1.0 - beta1.powf(steps), 1.0 - beta2.powf(steps));
        let root = square.clone().sqrt().mul_scalar(1.0 / correct2.sqrt());
        let update = mean.clone().mul_scalar(rate / correct1) / root.add_scalar(eps);
        self.states[index] = Some([mean, square]);
        value.mul_scalar(1.0 - rate * decay) - update
    }
}
