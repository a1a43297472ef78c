//! Forward and backward over one micro-step.
//!
//! [`gradients`] scores every counted token, asks the caller how much each score matters, and adds
//! the gradients of `Σ factor · score` to the sums. With [`Recompute::Layer`] only the inputs
//! of the layers (of the vision tower's blocks) are kept, and each runs again on the way back; the
//! numbers are the same.

use crate::balance::{SoftmaxLoad, loads, sequence_loss, softmax_load, softmax_loss};
use crate::score::{logprobs, weighted_sum};
use crate::visual::{Sight, encode};
use crate::{Balance, Distribution, Error, Factors, Grads, Micro, Scores};
use burn::module::Module;
use burn::tensor::Tensor;
use glmv_kernels::device::read;
use glmv_model::{Glm4v, LayerRouting, PackedPass, Probe};
use serde::{Deserialize, Serialize};

/// What is kept between the passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Every activation.
    None,
    /// The inputs of the layers, or of the tower's blocks, which run again.
    #[default]
    Layer,
}

/// How a pass runs.
#[derive(Clone, Debug, Default)]
pub struct PassOptions {
    /// Of the decoder.
    pub recompute: Recompute,
    /// Of the vision tower and the projector.
    pub recompute_vision: Recompute,
    pub balance: Balance,
    /// This pass's share of the step, by which the balance losses are weighted; 1 for a step of one.
    pub share: f64,
    pub distribution: Distribution,
    /// Seed of what an adapter drops in this pass; nothing is dropped without one.
    pub dropout: Option<u64>,
}

/// What a pass found beside gradients.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub scores: Scores,
    /// Choices of each routed expert, by mixture-of-experts layer; empty unless a balance is on.
    pub loads: Vec<Vec<u64>>,
    /// Hugging Face's softmax loss, without its coefficient; `None` unless it is on.
    pub softmax_loss: Option<f32>,
}

/// The log-probabilities alone, without gradients.
///
/// # Errors
/// [`Error::Model`] if the model refuses the micro-step, [`Error::Device`] if the device fails.
pub fn scores(model: &Glm4v, micro: &Micro, distribution: &Distribution) -> Result<Scores, Error> {
    let model = model.valid();
    let pass = model.packed_pass(&micro.packed)?;
    let features = encode(&model, micro)?;
    let mut x = model.packed_embed(&micro.packed, micro.spread(features))?;
    for index in 0..model.language_model.layers.len() {
        x = model.packed_layer(index, x, &pass, &mut Probe::off())?;
    }
    Scores::read(logprobs(&model, x, micro, distribution))
}

/// Adds to `grads` the gradients of `Σ factor · score` over the counted tokens plus the balance
/// losses, with respect to every parameter of `model` that requires them.
///
/// `factors` is called once, with the scores, and returns the derivative of the loss by each: for the
/// mean cross-entropy of a step `-1 / tokens counted in the step` by every log-probability.
///
/// # Errors
/// As [`scores`], and what `factors` returns; [`Error::Sample`] if it returns another number of
/// them, or one that is not finite.
pub fn gradients(
    model: &Glm4v,
    micro: &Micro,
    options: &PassOptions,
    factors: &mut dyn FnMut(&Scores) -> Result<Factors, Error>,
    grads: &mut Grads,
) -> Result<Outcome, Error> {
    // The copy shares the weights, and their gradients are those of `model`.
    let dropping = options.dropout.map(|seed| model.with_dropout(Some(seed)));
    let step = Step {
        model: dropping.as_ref().unwrap_or(model),
        micro,
        options,
    };
    match options.recompute {
        Recompute::None => step.kept(factors, grads),
        Recompute::Layer => step.recomputed(factors, grads),
    }
}

type FactorsOf<'a> = &'a mut dyn FnMut(&Scores) -> Result<Factors, Error>;

struct Step<'a> {
    model: &'a Glm4v,
    micro: &'a Micro,
    options: &'a PassOptions,
}

impl Step<'_> {
    fn probe(&self) -> Probe {
        match self.options.balance.watches() {
            true => Probe::of_routing(),
            false => Probe::off(),
        }
    }

    /// `Σ factor · score`, tracked.
    fn objective(
        &self,
        x: Tensor<2>,
        factors: FactorsOf<'_>,
    ) -> Result<(Tensor<1>, Scores), Error> {
        let (logprobs, entropies) = logprobs(self.model, x, self.micro, &self.options.distribution);
        let scores = Scores::read((logprobs.clone(), entropies.clone()))?;
        let factors = factors(&scores)?;
        let mut sum = weighted_sum(logprobs, factors.logprobs)?;
        if !factors.entropies.is_empty() {
            sum = sum + weighted_sum(entropies, factors.entropies)?;
        }
        Ok((sum, scores))
    }

    /// The balance losses of some layers, weighted; `None` if there are none.
    fn balance(&self, layers: &[LayerRouting], load: Option<&SoftmaxLoad>) -> Option<Tensor<1>> {
        let (balance, share) = (self.options.balance, self.options.share);
        let mut sum: Option<Tensor<1>> = None;
        let mut add = |loss: Tensor<1>| {
            sum = Some(match sum.take() {
                Some(sum) => sum + loss,
                None => loss,
            })
        };
        for layer in layers {
            if let Some(load) = load {
                add(softmax_loss(layer.logits.clone(), load) * (balance.softmax * share));
            }
            if balance.sequence != 0.0 {
                let lengths = self.micro.packed.lengths();
                add(sequence_loss(layer, lengths) * (balance.sequence * share));
            }
        }
        sum
    }

    fn load(&self, layers: &[LayerRouting]) -> Option<SoftmaxLoad> {
        let moe = self.model.config().text.moe.as_ref()?;
        match self.options.balance.softmax != 0.0 {
            true => softmax_load(layers, moe.top_k),
            false => None,
        }
    }

    fn outcome(
        &self,
        scores: Scores,
        layers: &[LayerRouting],
        load: Option<&SoftmaxLoad>,
    ) -> Result<Outcome, Error> {
        let softmax_loss = match load {
            None => None,
            Some(load) => {
                let mut sum = 0.0;
                for layer in layers {
                    let own = softmax_loss(layer.logits.clone().inner(), load);
                    sum += read(own)?.iter().sum::<f32>();
                }
                Some(sum)
            }
        };
        Ok(Outcome {
            scores,
            loads: loads(layers)?,
            softmax_loss,
        })
    }

    fn kept(&self, factors: FactorsOf<'_>, grads: &mut Grads) -> Result<Outcome, Error> {
        let (model, mut probe) = (self.model, self.probe());
        let sight = self.sight(&model.valid(), true)?;
        let features = sight.tracked(model, self.micro)?;
        let seen = features.as_ref().map(|f| f.rows.clone());
        let pass = model.packed_pass(&self.micro.packed)?;
        let mut x = model.packed_embed(&self.micro.packed, self.micro.spread(features))?;
        for index in 0..model.language_model.layers.len() {
            x = model.packed_layer(index, x, &pass, &mut probe)?;
        }
        let layers = probe.take_routing();
        let load = self.load(&layers);
        let (mut objective, scores) = self.objective(x, factors)?;
        if let Some(balance) = self.balance(&layers, load.as_ref()) {
            objective = objective + balance;
        }
        let mut found = objective.backward();
        let above = seen.and_then(|rows| rows.grad_remove(&mut found));
        grads.collect(model, &mut found);
        drop(found);
        sight.back(model, above, grads)?;
        self.outcome(scores, &layers, load.as_ref())
    }

    fn sight(&self, plain: &Glm4v, whole: bool) -> Result<Sight<'_>, Error> {
        let how = (self.options.recompute_vision, whole);
        Sight::new((self.model, plain), self.micro, how)
    }

    fn recomputed(&self, factors: FactorsOf<'_>, grads: &mut Grads) -> Result<Outcome, Error> {
        let (model, mut probe) = (self.model, self.probe());
        let plain = model.valid();
        let pass = plain.packed_pass(&self.micro.packed)?;
        let sight = self.sight(&plain, false)?;
        let features = sight.plain(&plain, self.micro)?;
        let mut inputs = vec![plain.packed_embed(&self.micro.packed, self.micro.spread(features))?];
        for index in 0..model.language_model.layers.len() {
            let x = inputs[index].clone();
            inputs.push(plain.packed_layer(index, x, &pass, &mut probe)?);
        }
        let layers = probe.take_routing();
        let load = self.load(&layers);

        let last = leaf(last_of(&mut inputs));
        let (objective, scores) = self.objective(last.clone(), factors)?;
        let mut found = objective.backward();
        let mut up = last.grad_remove(&mut found);
        grads.collect(model, &mut found);
        drop((found, last));

        let pass = model.packed_pass(&self.micro.packed)?;
        for index in (0..model.language_model.layers.len()).rev() {
            let Some(above) = up else { break };
            up = self.layer_back(
                index,
                leaf(last_of(&mut inputs)),
                above,
                (&pass, load.as_ref()),
                grads,
            )?;
        }
        if let Some(above) = up {
            self.embed_back(sight, above, grads)?;
        }
        self.outcome(scores, &layers, load.as_ref())
    }

    /// Embeds again and goes back from the gradient of the first layer's input.
    fn embed_back(
        &self,
        sight: Sight<'_>,
        above: Tensor<2>,
        grads: &mut Grads,
    ) -> Result<(), Error> {
        let features = sight.tracked(self.model, self.micro)?;
        let seen = features.as_ref().map(|f| f.rows.clone());
        let x = (self.model).packed_embed(&self.micro.packed, self.micro.spread(features))?;
        if !x.is_tracked() {
            return Ok(());
        }
        let mut found = weighted(x, above).backward();
        let above = seen.and_then(|rows| rows.grad_remove(&mut found));
        grads.collect(self.model, &mut found);
        drop(found);
        sight.back(self.model, above, grads)
    }

    /// Runs layer `index` again and back; the gradient of its input.
    fn layer_back(
        &self,
        index: usize,
        x: Tensor<2>,
        above: Tensor<2>,
        (pass, load): (&PackedPass, Option<&SoftmaxLoad>),
        grads: &mut Grads,
    ) -> Result<Option<Tensor<2>>, Error> {
        let mut probe = match self.options.balance.has_loss() {
            true => Probe::of_routing(),
            false => Probe::off(),
        };
        let y = self
            .model
            .packed_layer(index, x.clone(), pass, &mut probe)?;
        let mut objective = weighted(y, above);
        if let Some(balance) = self.balance(&probe.take_routing(), load) {
            objective = objective + balance;
        }
        let mut found = objective.backward();
        let up = x.grad_remove(&mut found);
        grads.collect(self.model, &mut found);
        Ok(up)
    }
}

/// A kept activation as the start of a graph.
pub(crate) fn leaf(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_inner(x).require_grad()
}

/// The input that was kept last.
fn last_of(inputs: &mut Vec<Tensor<2>>) -> Tensor<2> {
    match inputs.pop() {
        Some(x) => x,
        None => unreachable!("one input is kept per layer and one for the head"),
    }
}

/// `Σ x · above`, whose gradient with respect to x is `above`.
pub(crate) fn weighted(x: Tensor<2>, above: Tensor<2>) -> Tensor<1> {
    (x * Tensor::from_inner(above)).sum()
}
