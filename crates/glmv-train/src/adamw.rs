//! AdamW with decoupled decay and bias correction, over the flat list of parameters.

use crate::grads::global_norm;
use crate::params::map_values;
use crate::{Error, Grads, Groups, Means, Parameter, States};
use burn::tensor::Tensor;
use glmv_kernels::AdamWStep;
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
    /// How the means are kept.
    pub states: States,
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
            states: States::F32,
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
    states: Vec<Option<Means>>,
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

    /// How the means are kept.
    pub fn states(&self) -> States {
        self.config.states
    }

    /// The means of parameter `index`; `None` before its first gradient.
    pub fn state(&self, index: usize) -> Option<&Means> {
        self.states.get(index)?.as_ref()
    }

    /// Puts a saved optimiser in place of this one.
    pub fn restore(&mut self, steps: u64, states: Vec<Option<Means>>) {
        (self.steps, self.states) = (steps, states);
    }

    /// Looks at the gradients: their norm, and whether a step may be taken.
    ///
    /// # Errors
    /// If the device fails.
    pub fn prepare(&self, grads: &Grads) -> Result<Step, Error> {
        let norm = global_norm(&grads.norms()?);
        let applied = norm.is_finite();
        Ok(Step { norm, applied })
    }

    /// One step: `m = β₁m + (1-β₁)g`, `v = β₂v + (1-β₂)g²`,
    /// `p -= rate · (m̂ / (√v̂ + ε) + decay · p)`. Parameters without a gradient stay, and so does
    /// everything if `prepared` says that the gradients are not finite. Weights that nobody else
    /// holds are changed in place.
    ///
    /// Source: Loshchilov and Hutter, "Decoupled weight decay regularization"; `torch.optim.AdamW`.
    pub fn apply(
        &mut self,
        model: Glm4v,
        (list, groups): (&[Parameter], &Groups),
        grads: &Grads,
        prepared: Step,
        rate: f64,
    ) -> Glm4v {
        if !prepared.applied {
            return model;
        }
        let clip = match self.config.clip {
            Some(most) if prepared.norm > most => most / (prepared.norm + 1e-6),
            _ => 1.0,
        };
        self.steps += 1;
        self.states.resize(list.len(), None);
        map_values(model, &|index| grads.has(index), &mut |index, value| {
            let Some(grad) = grads.get(index) else {
                return value;
            };
            let group = groups.of(list[index].part);
            let decay = match list[index].is_vector() && !self.config.decay_vectors {
                true => 0.0,
                false => group.decay.unwrap_or(self.config.decay),
            };
            self.update(
                (index, &list[index]),
                (value, grad),
                clip,
                rate * group.rate,
                decay,
            )
        })
    }

    fn update(
        &mut self,
        (index, parameter): (usize, &Parameter),
        (value, grad): (Tensor<1>, Tensor<1>),
        clip: f64,
        rate: f64,
        decay: f64,
    ) -> Tensor<1> {
        let AdamWConfig {
            beta1,
            beta2,
            eps,
            states,
            ..
        } = self.config;
        let means = self.states[index].take();
        let means = means.unwrap_or_else(|| Means::zeros(states, parameter, &value.device()));
        let steps = self.steps as f64;
        let (correct1, correct2) = (1.0 - beta1.powf(steps), 1.0 - beta2.powf(steps));
        let step = AdamWStep {
            clip: clip as f32,
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            eps: eps as f32,
            rate: (rate / correct1) as f32,
            root: (1.0 / correct2.sqrt()) as f32,
            keep: (1.0 - rate * decay) as f32,
        };
        let (value, means) = means.step(value, grad, step, self.steps);
        self.states[index] = Some(means);
        value
    }
}
