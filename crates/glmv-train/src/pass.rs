//! Forward and backward over one micro-step.
//!
//! [`gradients`] scores every counted token, asks the caller how much each score matters, and adds
//! the gradients of `Σ coefficient · log p` to the sums. With [`Recompute::Layer`] only the inputs
//! of the layers are kept, and each layer runs again on the way back; the numbers are the same.

use crate::balance::{SoftmaxLoad, loads, sequence_loss, softmax_load, softmax_loss};
use crate::{Balance, Error, Grads, Micro};
use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use glmv_kernels::device::read;
use glmv_kernels::token_logprobs;
use glmv_model::{Glm4v, LayerRouting, PackedPass, Probe};
use serde::{Deserialize, Serialize};

/// What is kept between the passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recompute {
    /// Every activation.
    None,
    /// The inputs of the decoder's layers; the vision tower runs again too.
    #[default]
    Layer,
}

/// How a pass runs.
#[derive(Clone, Debug, Default)]
pub struct PassOptions {
    pub recompute: Recompute,
    pub balance: Balance,
    /// This pass's share of the step, by which the balance losses are weighted; 1 for a step of one.
    pub share: f64,
    /// Seed of what an adapter drops in this pass; nothing is dropped without one.
    pub dropout: Option<u64>,
}

/// What the model says of the counted tokens, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Natural logarithm of each token's probability, `[counted]`.
    pub logprobs: Vec<f32>,
    /// Entropy of the distribution each token is of, in nats, `[counted]`.
    pub entropies: Vec<f32>,
}

impl Scores {
    fn read((logprobs, entropies): (Tensor<1>, Tensor<1>)) -> Result<Self, Error> {
        let n = logprobs.dims()[0];
        let mut both = read(Tensor::cat(vec![logprobs.inner(), entropies.inner()], 0))?;
        let entropies = both.split_off(n);
        Ok(Scores {
            logprobs: both,
            entropies,
        })
    }
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
pub fn scores(model: &Glm4v, micro: &Micro) -> Result<Scores, Error> {
    let model = model.valid();
    let pass = model.packed_pass(&micro.packed)?;
    let mut x = embed(&model, micro)?;
    for index in 0..model.language_model.layers.len() {
        x = model.packed_layer(index, x, &pass, &mut Probe::off())?;
    }
    Scores::read(logprobs(&model, x, micro))
}

/// Adds to `grads` the gradients of `Σ coefficients · log p` of the counted tokens plus the balance
/// losses, with respect to every parameter of `model` that requires them.
///
/// `coefficients` is called once, with the scores, and returns one number per counted token: for the
/// mean cross-entropy of a step `-1 / tokens counted in the step`.
///
/// # Errors
/// As [`scores`], and what `coefficients` returns; [`Error::Sample`] if it returns another number of
/// them, or one that is not finite.
pub fn gradients(
    model: &Glm4v,
    micro: &Micro,
    options: &PassOptions,
    coefficients: &mut dyn FnMut(&Scores) -> Result<Vec<f32>, Error>,
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
        Recompute::None => step.kept(coefficients, grads),
        Recompute::Layer => step.recomputed(coefficients, grads),
    }
}

type Coefficients<'a> = &'a mut dyn FnMut(&Scores) -> Result<Vec<f32>, Error>;

struct Step<'a> {
    model: &'a Glm4v,
    micro: &'a Micro,
    options: &'a PassOptions,
}

/// Embedded tokens with features in place.
fn embed(model: &Glm4v, micro: &Micro) -> Result<Tensor<2>, Error> {
    let (images, videos) = (micro.image_pixels(), micro.video_pixels());
    let features = model.encode_all(images, videos, &mut Probe::off())?;
    Ok(model.packed_embed(&micro.packed, features)?)
}

/// Log-probabilities of the counted tokens from the last layer's output, and the entropies of the
/// distributions they are of, `[counted]` each.
fn logprobs(model: &Glm4v, x: Tensor<2>, micro: &Micro) -> (Tensor<1>, Tensor<1>) {
    let device = x.device();
    let x = model.final_norm(model.select_rows(x, &micro.rows));
    let targets: Vec<i64> = micro.targets.iter().map(|id| i64::from(*id)).collect();
    let targets = Tensor::<1, Int>::from_data(targets.as_slice(), &device);
    token_logprobs(x, model.head(), targets, 1.0, None)
}

impl Step<'_> {
    fn probe(&self) -> Probe {
        match self.options.balance.watches() {
            true => Probe::of_routing(),
            false => Probe::off(),
        }
    }

    /// `Σ coefficients · log p`, tracked.
    fn objective(
        &self,
        (logprobs, entropies): (Tensor<1>, Tensor<1>),
        coefficients: Coefficients<'_>,
    ) -> Result<(Tensor<1>, Scores), Error> {
        let scores = Scores::read((logprobs.clone(), entropies))?;
        let factors = coefficients(&scores)?;
        let n = scores.logprobs.len();
        if factors.len() != n || factors.iter().any(|f| !f.is_finite()) {
            let reason = format!(
                "{} coefficients for {n} scores, or one is NaN",
                factors.len()
            );
            return Err(Error::Sample { reason });
        }
        let factors = Tensor::<1>::from_data(TensorData::new(factors, [n]), &logprobs.device());
        Ok(((logprobs * factors).sum(), scores))
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

    fn kept(&self, coefficients: Coefficients<'_>, grads: &mut Grads) -> Result<Outcome, Error> {
        let (model, mut probe) = (self.model, self.probe());
        let pass = model.packed_pass(&self.micro.packed)?;
        let mut x = embed(model, self.micro)?;
        for index in 0..model.language_model.layers.len() {
            x = model.packed_layer(index, x, &pass, &mut probe)?;
        }
        let layers = probe.take_routing();
        let load = self.load(&layers);
        let (mut objective, scores) =
            self.objective(logprobs(model, x, self.micro), coefficients)?;
        if let Some(balance) = self.balance(&layers, load.as_ref()) {
            objective = objective + balance;
        }
        grads.collect(model, &mut objective.backward());
        self.outcome(scores, &layers, load.as_ref())
    }

    fn recomputed(
        &self,
        coefficients: Coefficients<'_>,
        grads: &mut Grads,
    ) -> Result<Outcome, Error> {
        let (model, mut probe) = (self.model, self.probe());
        let plain = model.valid();
        let pass = plain.packed_pass(&self.micro.packed)?;
        let mut inputs = vec![embed(&plain, self.micro)?];
        for index in 0..model.language_model.layers.len() {
            let x = inputs[index].clone();
            inputs.push(plain.packed_layer(index, x, &pass, &mut probe)?);
        }
        let layers = probe.take_routing();
        let load = self.load(&layers);

        let last = leaf(inputs.pop());
        let (objective, scores) =
            self.objective(logprobs(model, last.clone(), self.micro), coefficients)?;
        let mut found = objective.backward();
        let mut up = last.grad_remove(&mut found);
        grads.collect(model, &mut found);
        drop((found, last));

        let pass = model.packed_pass(&self.micro.packed)?;
        for index in (0..model.language_model.layers.len()).rev() {
            let Some(above) = up else { break };
            up = self.layer_back(
                index,
                leaf(inputs.pop()),
                above,
                (&pass, load.as_ref()),
                grads,
            )?;
        }
        if let Some(above) = up {
            let x = embed(model, self.micro)?;
            if x.is_tracked() {
                let mut found = weighted(x, above).backward();
                grads.collect(model, &mut found);
            }
        }
        self.outcome(scores, &layers, load.as_ref())
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
fn leaf(x: Option<Tensor<2>>) -> Tensor<2> {
    match x {
        Some(x) => Tensor::from_inner(x).require_grad(),
        None => unreachable!("one input is kept per layer and one for the head"),
    }
}

/// `Σ x · above`, whose gradient with respect to x is `above`.
fn weighted(x: Tensor<2>, above: Tensor<2>) -> Tensor<1> {
    (x * Tensor::from_inner(above)).sum()
}
