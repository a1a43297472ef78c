//! Keeping the experts of a mixture busy: auxiliary losses on the routers' scores, and the update of
//! their correction biases that needs no loss.

use crate::Error;
use burn::tensor::{Int, Tensor, TensorData, activation};
use glmv_kernels::device::read_int;
use glmv_model::{Glm4v, LayerRouting};
use serde::{Deserialize, Serialize};

/// Coefficients of the balance losses and the bias update; 0 turns one off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Balance {
    /// Factor on the sequence-level loss over the routers' normalised sigmoid scores (paper: 1e-4).
    pub sequence: f64,
    /// Factor on Hugging Face's loss over the softmax of the routers' logits
    /// (`router_aux_loss_coef`).
    pub softmax: f64,
    /// Rate of the update of the correction biases without a loss (paper: 1e-3).
    pub bias_rate: f64,
}

impl Balance {
    /// True if a pass must keep what the routers say.
    pub(crate) fn watches(&self) -> bool {
        self.sequence != 0.0 || self.softmax != 0.0 || self.bias_rate != 0.0
    }

    /// True if one of the losses is on.
    pub(crate) fn has_loss(&self) -> bool {
        self.sequence != 0.0 || self.softmax != 0.0
    }
}

/// What the softmax loss needs to know of all layers before any layer's gradient: how often each
/// expert is among the `top_k` largest softmax scores, per row of router logits.
#[derive(Clone, Debug)]
pub(crate) struct SoftmaxLoad {
    /// Assignments per expert and row, `[experts]`.
    fractions: Tensor<1>,
    /// Rows of logits in all layers together.
    rows: usize,
}

/// Counts over all layers of a pass.
pub(crate) fn softmax_load(layers: &[LayerRouting], top_k: usize) -> Option<SoftmaxLoad> {
    let [_, experts] = layers.first()?.logits.dims();
    let mut rows = 0;
    let mut counts: Option<Tensor<1>> = None;
    for layer in layers {
        let logits = layer.logits.clone().inner();
        rows += logits.dims()[0];
        // The k largest of a softmax are those of its input.
        let (_, ids) = logits.topk_with_indices(top_k, 1);
        let own = histogram(ids, experts);
        counts = Some(match counts {
            Some(sum) => sum + own,
            None => own,
        });
    }
    let fractions = counts?.div_scalar(rows as f64);
    Some(SoftmaxLoad { fractions, rows })
}

/// How often each of `experts` occurs.
fn histogram(ids: Tensor<2, Int>, experts: usize) -> Tensor<1> {
    let [rows, k] = ids.dims();
    // As floats, which hold them exactly: the width of ids differs between devices and kernels.
    let all = Tensor::<1, Int>::arange(0..experts as i64, &ids.device()).float();
    let all = all.reshape([1, experts]).expand([rows * k, experts]);
    let ids = ids
        .float()
        .reshape([rows * k, 1])
        .expand([rows * k, experts]);
    let hits: Tensor<2> = ids.equal(all).float();
    hits.sum_dim(0).reshape([experts])
}

/// One layer's share of Hugging Face's loss: `E · Σ_e fraction_e · meanprob_e`, where both means run
/// over the rows of all layers; the shares of the layers add up to the loss.
///
/// Source: HF `load_balancing_loss_func`.
pub(crate) fn softmax_loss(logits: Tensor<2>, load: &SoftmaxLoad) -> Tensor<1> {
    let [_, experts] = logits.dims();
    let fractions = match logits.is_autodiff() {
        true => Tensor::from_inner(load.fractions.clone()),
        false => load.fractions.clone(),
    };
    let sums: Tensor<1> = activation::softmax(logits, 1).sum_dim(0).reshape([experts]);
    (sums * fractions).sum() * (experts as f64 / load.rows as f64)
}

/// One layer's sequence-level balance loss, the mean over `lengths`' sequences of
/// `Σ_e f_e · P_e`, `f_e = E / (k T) · choices of e`, `P_e` the mean of the sigmoid scores divided by
/// their sum per token.
///
/// # Shapes
/// Logits `[tokens, experts]`, the tokens those of the sequences one behind the other.
///
/// Source: DeepSeek-V3 (arXiv 2412.19437) eq. 17–20, which the GLM-V paper's coefficient refers to.
pub(crate) fn sequence_loss(routing: &LayerRouting, lengths: &[usize]) -> Tensor<1> {
    let [tokens, experts] = routing.logits.dims();
    let [_, top_k] = routing.ids.dims();
    let scores = activation::sigmoid(routing.logits.clone());
    let scores = scores.clone() / (scores.sum_dim(1) + 1e-20);
    let (mut start, mut parts) = (0, Vec::with_capacity(lengths.len()));
    for len in lengths {
        let rows = start..start + len;
        start += len;
        let counts = histogram(routing.ids.clone().slice([rows.clone(), 0..top_k]), experts);
        let load = counts.mul_scalar(experts as f64 / (top_k * len) as f64);
        let load = match scores.is_autodiff() {
            true => Tensor::from_inner(load.inner()),
            false => load,
        };
        let own: Tensor<1> =
            (scores.clone().slice([rows, 0..experts]).sum_dim(0)).reshape([experts]);
        parts.push((own * load).sum() / *len as f64);
    }
    debug_assert_eq!(start, tokens, "tokens of the sequences");
    let n = parts.len() as f64;
    Tensor::cat(parts, 0).sum() / n
}

/// How often each routed expert was chosen, by layer; from one read per layer.
///
/// # Errors
/// If the device fails.
pub(crate) fn loads(layers: &[LayerRouting]) -> Result<Vec<Vec<u64>>, Error> {
    let load = |layer: &LayerRouting| {
        let mut counts = vec![0; layer.logits.dims()[1]];
        for id in read_int(layer.ids.clone())? {
            let count = usize::try_from(id).ok().and_then(|id| counts.get_mut(id));
            *count.ok_or_else(|| Error::Sample {
                reason: format!("a router chose expert {id}"),
            })? += 1;
        }
        Ok(counts)
    };
    layers.iter().map(load).collect()
}

/// Moves the correction bias of every mixture-of-experts layer by `rate`: up for experts chosen less
/// than the mean, down for the others.
///
/// # Errors
/// [`Error::Setting`] if `loads` are not those of this model.
///
/// Source: GLM-V paper §3 (loss-free routing, rate 1e-3); Wang et al., arXiv 2408.15664.
pub fn balance_router(model: &mut Glm4v, loads: &[Vec<u64>], rate: f64) -> Result<(), Error> {
    let mut loads = loads.iter();
    let wrong = || Error::Setting {
        key: "balance".into(),
        reason: "loads of another model".into(),
    };
    for layer in &mut model.language_model.layers {
        let glmv_model::FeedForward::Experts(moe) = &mut layer.mlp else {
            continue;
        };
        let load = loads.next().ok_or_else(wrong)?;
        let bias = moe.e_score_correction_bias.val().inner();
        if bias.dims()[0] != load.len() {
            return Err(wrong());
        }
        let mean = load.iter().sum::<u64>() as f64 / load.len() as f64;
        let moves: Vec<f32> = (load.iter())
            .map(|count| match (*count as f64).total_cmp(&mean) {
                std::cmp::Ordering::Less => rate as f32,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Greater => -(rate as f32),
            })
            .collect();
        let n = moves.len();
        let moved = bias.clone() + Tensor::from_data(TensorData::new(moves, [n]), &bias.device());
        let old = moe.e_score_correction_bias.clone();
        moe.e_score_correction_bias = old.map(|old| match old.is_autodiff() {
            true => Tensor::from_inner(moved).set_require_grad(false),
            false => moved,
        });
    }
    match loads.next() {
        None => Ok(()),
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn device() -> Device {
        Device::flex()
    }

    #[test]
    fn histograms_count() {
        let ids = Tensor::<2, Int>::from_data([[0, 2], [2, 3]], &device());
        let counts = glmv_kernels::device::read(histogram(ids, 5)).unwrap();
        assert_eq!(counts, [1.0, 0.0, 2.0, 1.0, 0.0]);
    }

    #[test]
    fn an_even_router_has_the_least_loss() {
        let even = Tensor::<2>::zeros([4, 2], &device());
        let ids = |ids: [[i64; 1]; 4]| Tensor::<2, Int>::from_data(ids, &device());
        let routing = |logits: Tensor<2>, ids| LayerRouting { logits, ids };
        let loss =
            |r: &LayerRouting| glmv_kernels::device::read(sequence_loss(r, &[4])).unwrap()[0];
        let balanced = loss(&routing(even.clone(), ids([[0], [1], [0], [1]])));
        assert!((balanced - 1.0).abs() < 1e-6, "{balanced}");
        let logits = Tensor::<2>::from_data([[4.0, -4.0]; 4], &device());
        let skewed = loss(&routing(logits, ids([[0], [0], [0], [0]])));
        assert!(skewed > 1.9, "{skewed}");
    }
}
