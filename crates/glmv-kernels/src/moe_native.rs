//! Native MoE for the CPU device: slots sorted by expert, one pair of products per used expert.

use super::RouterConfig;
use crate::elementwise::native::silu;
use crate::flex::{
    Mat, Weights, dot, f32_rows, floats, ints, matmul, new_f32, weight_rows, words_of,
};
use burn::backend::TensorMetadata;
use burn::tensor::{Shape, TensorData};
use burn_flex::FlexTensor;
use glmv_quant::Format;
use rayon::prelude::*;

#[path = "moe_native_backward.rs"]
mod backward;
pub(crate) use backward::moe_experts_grad;

/// [`Problem::few`], unless rows must not depend on each other.
const FEW_ROWS: usize = 8;

pub(crate) fn moe_router(
    logits: FlexTensor,
    bias: FlexTensor,
    config: RouterConfig,
) -> (FlexTensor, FlexTensor) {
    let (logits, bias) = (f32_rows(logits), f32_rows(bias));
    let [tokens, experts] = logits.shape().dims::<2>();
    let rows: Vec<(Vec<i64>, Vec<f32>)> = floats(&logits)
        .par_chunks(experts)
        .map(|row| route_token(row, floats(&bias), config))
        .collect();
    let (ids, weights): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let shape = Shape::new([tokens, config.top_k + config.shared]);
    let ids = FlexTensor::from_data(TensorData::new(ids.concat(), shape.clone()));
    (ids, new_f32(weights.concat(), shape))
}

/// Largest value first; equal values keep the lower index.
fn descending(values: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    order
}

fn route_token(logits: &[f32], bias: &[f32], config: RouterConfig) -> (Vec<i64>, Vec<f32>) {
    let scores: Vec<f32> = logits.iter().map(|l| 1.0 / (1.0 + (-l).exp())).collect();
    let mut choice: Vec<f32> = scores.iter().zip(bias).map(|(s, b)| s + b).collect();
    if config.topk_group < config.n_group {
        let size = choice.len() / config.n_group;
        let best: Vec<f32> = choice
            .chunks(size)
            .map(|group| descending(group).iter().take(2).map(|i| group[*i]).sum())
            .collect();
        for group in descending(&best).into_iter().skip(config.topk_group) {
            choice[group * size..(group + 1) * size].fill(-3.0e38);
        }
    }
    let chosen: Vec<usize> = descending(&choice).into_iter().take(config.top_k).collect();
    let mut weights: Vec<f32> = chosen.iter().map(|e| scores[*e]).collect();
    if config.normalise {
        let sum: f32 = weights.iter().sum::<f32>() + 1e-20;
        weights.iter_mut().for_each(|w| *w /= sum);
    }
    weights.iter_mut().for_each(|w| *w *= config.scale);
    weights.resize(config.top_k + config.shared, 1.0);
    let shared = logits.len()..logits.len() + config.shared;
    let ids = chosen.into_iter().chain(shared).map(|e| e as i64).collect();
    (ids, weights)
}

/// Slots (token * top_k + j) of each expert of the shard, in slot order.
pub(crate) fn slots_by_expert(ids: &[i64], base: usize, shard: usize) -> Vec<Vec<usize>> {
    let mut slots = vec![Vec::new(); shard];
    for (slot, id) in ids.iter().enumerate() {
        let local = usize::try_from(*id)
            .ok()
            .and_then(|id| id.checked_sub(base));
        if let Some(list) = local.and_then(|local| slots.get_mut(local)) {
            list.push(slot);
        }
    }
    slots
}

/// `rows[n, k] · w[m, k]ᵀ`, by dot products for up to `few` rows.
fn product(rows: &[f32], w: &[f32], [n, m, k]: [usize; 3], few: usize) -> Vec<f32> {
    let mut out = vec![0f32; n * m];
    if n <= few {
        for (j, row) in w.chunks_exact(k).enumerate() {
            for i in 0..n {
                out[i * m + j] = dot(&rows[i * k..][..k], row);
            }
        }
    } else {
        matmul(
            &mut out,
            Mat::rows(rows, k),
            Mat::rows(w, k).t(),
            [n, m, k],
            false,
            false,
        );
    }
    out
}

struct Problem<'a> {
    x: &'a [f32],
    weights: &'a [f32],
    gate_up: Weights<'a>,
    down: Weights<'a>,
    hidden: usize,
    width: usize,
    top_k: usize,
    /// Up to this many rows an expert's weights are used by dot products.
    few: usize,
}

impl Problem<'_> {
    fn gather(&self, slots: &[usize], source: &[f32]) -> Vec<f32> {
        let mut rows = Vec::with_capacity(slots.len() * self.hidden);
        for slot in slots {
            rows.extend_from_slice(&source[slot / self.top_k * self.hidden..][..self.hidden]);
        }
        rows
    }

    fn gate_up_of(&self, expert: usize) -> std::borrow::Cow<'_, [f32]> {
        let size = 2 * self.width * self.hidden;
        self.gate_up.block(expert * size, size)
    }

    fn down_of(&self, expert: usize) -> std::borrow::Cow<'_, [f32]> {
        let size = self.width * self.hidden;
        self.down.block(expert * size, size)
    }

    /// Gate and up pre-activations `[n, 2 * width]` and the activations `[n, width]`.
    fn activations(&self, expert: usize, rows: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let n = rows.len() / self.hidden;
        let pre = product(
            rows,
            &self.gate_up_of(expert),
            [n, 2 * self.width, self.hidden],
            self.few,
        );
        let mut act = Vec::with_capacity(n * self.width);
        for row in pre.chunks(2 * self.width) {
            let (gate, up) = row.split_at(self.width);
            act.extend(gate.iter().zip(up).map(|(g, u)| silu(*g) * u));
        }
        (pre, act)
    }
}

pub(crate) fn moe_experts(
    x: FlexTensor,
    ids: FlexTensor,
    weights: FlexTensor,
    gate_up: FlexTensor,
    down: FlexTensor,
    base: usize,
) -> FlexTensor {
    let (gate_up, down) = (weight_rows(gate_up), weight_rows(down));
    let [shard, _, width] = down.shape().dims::<3>();
    let stacks = [Weights::new(&gate_up), Weights::new(&down)];
    dispatch([x, weights], ids, stacks, [shard, width], base)
}

pub(crate) fn moe_experts_codes(
    x: FlexTensor,
    ids: FlexTensor,
    weights: FlexTensor,
    codes: [FlexTensor; 4],
    formats: [Format; 2],
    base: usize,
) -> FlexTensor {
    let codes = codes.map(|t| t.to_contiguous());
    let [shard, rows, _] = codes[0].shape().dims::<3>();
    let (hidden, width) = (x.shape()[1], rows / 2);
    let stack = |at: usize, format, inner| {
        Weights::codes(
            words_of(&codes[at]),
            words_of(&codes[at + 1]),
            format,
            inner,
        )
    };
    let stacks = [stack(0, formats[0], hidden), stack(2, formats[1], width)];
    dispatch([x, weights], ids, stacks, [shard, width], base)
}

fn dispatch(
    [x, weights]: [FlexTensor; 2],
    ids: FlexTensor,
    [gate_up, down]: [Weights<'_>; 2],
    [shard, width]: [usize; 2],
    base: usize,
) -> FlexTensor {
    let (x, weights) = (f32_rows(x), f32_rows(weights));
    let [tokens, hidden] = x.shape().dims::<2>();
    let gate_up = gate_up.matrix([shard * 2 * width, hidden]);
    let down = down.matrix([shard * hidden, width]);
    let routing = glmv_cpu::Routing {
        ids: &ints(&ids),
        weights: floats(&weights),
        top_k: ids.shape()[1],
        base,
    };
    let mut out = vec![0f32; tokens * hidden];
    let run = glmv_cpu::Experts::new(shard, gate_up, down)
        .and_then(|stacks| glmv_cpu::experts(floats(&x), tokens, &routing, &stacks, &mut out));
    if let Err(error) = run {
        panic!("experts on the CPU: {error}");
    }
    new_f32(out, x.shape())
}
