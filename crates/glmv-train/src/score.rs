//! What a pass is scored by: the distribution, the scores of the counted tokens, and how much each
//! matters.

use crate::{Error, Micro};
use burn::tensor::{Device, Int, Tensor, TensorData};
use glmv_kernels::device::read;
use glmv_kernels::token_logprobs;
use glmv_model::Glm4v;

/// Which distribution tokens are scored under: `softmax(logits / temperature)` over the ids that are
/// not forbidden. Supervised learning has temperature 1 and forbids nothing; rewarded learning takes
/// what the completions were sampled from.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Above 0.
    pub temperature: f32,
    /// Ids that are never chosen; ids beyond the vocabulary are ignored.
    pub forbidden: Vec<u32>,
}

impl Default for Distribution {
    fn default() -> Self {
        Distribution {
            temperature: 1.0,
            forbidden: Vec::new(),
        }
    }
}

impl Distribution {
    /// `[vocabulary]`, 1 where an id is forbidden; `None` where none is.
    fn mask(&self, vocabulary: usize, device: &Device) -> Option<Tensor<1>> {
        let mut mask = vec![0.0f32; vocabulary];
        let known = self.forbidden.iter().map(|id| *id as usize);
        let known: Vec<usize> = known.filter(|id| *id < vocabulary).collect();
        known.iter().for_each(|id| mask[*id] = 1.0);
        (!known.is_empty()).then(|| Tensor::from_data(mask.as_slice(), device))
    }
}

/// How much the scores of a pass matter: the derivative of the loss by each of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factors {
    /// By the log-probabilities, `[counted]`.
    pub logprobs: Vec<f32>,
    /// By the entropies, `[counted]`; empty where they do not matter.
    pub entropies: Vec<f32>,
}

impl From<Vec<f32>> for Factors {
    fn from(logprobs: Vec<f32>) -> Self {
        Factors {
            logprobs,
            entropies: Vec::new(),
        }
    }
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
    pub(crate) fn read((logprobs, entropies): (Tensor<1>, Tensor<1>)) -> Result<Self, Error> {
        let n = logprobs.dims()[0];
        let mut both = read(Tensor::cat(vec![logprobs.inner(), entropies.inner()], 0))?;
        let entropies = both.split_off(n);
        Ok(Scores {
            logprobs: both,
            entropies,
        })
    }
}

/// Log-probabilities of the counted tokens from the last layer's output, and the entropies of the
/// distributions they are of, `[counted]` each.
pub(crate) fn logprobs(
    model: &Glm4v,
    x: Tensor<2>,
    micro: &Micro,
    distribution: &Distribution,
) -> (Tensor<1>, Tensor<1>) {
    let device = x.device();
    let forbidden = distribution.mask(model.config().text.vocab_size, &device);
    let x = model.final_norm(model.select_rows(x, &micro.rows));
    let targets: Vec<i64> = micro.targets.iter().map(|id| i64::from(*id)).collect();
    let targets = Tensor::<1, Int>::from_data(targets.as_slice(), &device);
    token_logprobs(
        x,
        model.head(),
        targets,
        distribution.temperature,
        forbidden,
    )
}

/// `Σ factors · scores`.
pub(crate) fn weighted_sum(scores: Tensor<1>, factors: Vec<f32>) -> Result<Tensor<1>, Error> {
    let n = scores.dims()[0];
    if factors.len() != n || factors.iter().any(|f| !f.is_finite()) {
        let reason = format!("{} factors for {n} scores, or one is NaN", factors.len());
        return Err(Error::Sample { reason });
    }
    let factors = Tensor::<1>::from_data(TensorData::new(factors, [n]), &scores.device());
    Ok((scores * factors).sum())
}
