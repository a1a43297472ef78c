//! Mixture of experts: the router's choice and the dispatch of tokens to experts.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use crate::weight::Weight;
use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor, TensorData, activation, s};

#[path = "moe_native.rs"]
pub(crate) mod native;

/// Most experts in one stack and most chosen ones that the kernels take; beyond, the twin runs.
const MAX_EXPERTS: usize = 1024;
const MAX_TOP_K: usize = 32;

/// How the router chooses. Source: `Glm4vMoeTextConfig`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouterConfig {
    /// Experts chosen per token (`num_experts_per_tok`).
    pub top_k: usize,
    /// Equal consecutive groups the experts are split into.
    pub n_group: usize,
    /// Groups that stay eligible.
    pub topk_group: usize,
    /// Divide the chosen scores by their sum + 1e-20 (`norm_topk_prob`).
    pub normalise: bool,
    /// Factor on the weights (`routed_scaling_factor`).
    pub scale: f32,
    /// Experts behind the routed ones that every token takes with weight 1 (`n_shared_experts`).
    pub shared: usize,
}

/// Chooses experts: `s = sigmoid(logits)`, groups ranked by the sum of their two largest
/// `s + bias`, then the `top_k` largest `s + bias` in the eligible groups; weights are the
/// unbiased `s`. The shared experts, numbered from `experts` on, follow with weight 1.
///
/// # Shapes
/// `logits` `[tokens, experts]` f32, `bias` `[experts]` → ids `[tokens, top_k + shared]` in
/// descending order of biased score, weights `[tokens, top_k + shared]` f32.
///
/// # Panics
/// If experts is no multiple of n_group or fewer than top_k are eligible.
///
/// Source: HF `Glm4vMoeTextTopkRouter`, `Glm4vMoeTextMoE.route_tokens_to_experts`.
pub fn moe_router(
    logits: Tensor<2>,
    bias: Tensor<1>,
    config: RouterConfig,
) -> (Tensor<2, Int>, Tensor<2>) {
    let [_, experts] = logits.dims();
    assert!(
        experts.is_multiple_of(config.n_group),
        "{experts} experts in {} groups",
        config.n_group
    );
    let eligible = experts / config.n_group * config.topk_group.min(config.n_group);
    assert!(
        config.top_k <= eligible,
        "top {} of {eligible} eligible experts",
        config.top_k
    );
    let fits = experts <= MAX_EXPERTS && config.top_k + config.shared <= MAX_TOP_K;
    if route(Op::MoeRouter, &logits.device()) == Route::Twin || !fits {
        return moe_router_reference(logits, bias, config);
    }
    let (ids, weights) = Dispatch::moe_router(logits.into_dispatch(), bias.into_dispatch(), config);
    (Tensor::from_dispatch(ids), Tensor::from_dispatch(weights))
}

/// Definition of [`moe_router`] in tensor operations; differentiable in `logits` through the
/// chosen scores.
pub fn moe_router_reference(
    logits: Tensor<2>,
    bias: Tensor<1>,
    config: RouterConfig,
) -> (Tensor<2, Int>, Tensor<2>) {
    let [tokens, experts] = logits.dims();
    // Through one axis, so that it is row-major: Burn's wgpu top-k misreads transposed input.
    let scores = activation::sigmoid(logits.reshape([tokens * experts]));
    let scores: Tensor<2> = scores.reshape([tokens, experts]);
    let mut choice = scores.clone() + bias.unsqueeze::<2>();
    if config.topk_group < config.n_group {
        let size = experts / config.n_group;
        let grouped: Tensor<3> = choice.clone().reshape([tokens, config.n_group, size]);
        let best: Tensor<2> = grouped
            .topk(size.min(2), 2)
            .sum_dim(2)
            .reshape([tokens, config.n_group]);
        let (_, kept) = best.topk_with_indices(config.topk_group, 1);
        let group = Tensor::<1, Int>::arange(0..config.n_group as i64, &choice.device());
        let group = group
            .reshape([1, config.n_group])
            .expand([tokens, config.n_group]);
        let mut out = group.clone().greater_equal_elem(0);
        for g in 0..config.topk_group {
            let one = kept
                .clone()
                .slice(s![.., g..g + 1])
                .expand([tokens, config.n_group]);
            out = out.bool_and(group.clone().not_equal(one));
        }
        let out: Tensor<3, burn::tensor::Bool> = out.reshape([tokens, config.n_group, 1]);
        let out = out
            .expand([tokens, config.n_group, size])
            .reshape([tokens, experts]);
        choice = choice.mask_fill(out, -3.0e38);
    }
    let (_, ids) = choice.topk_with_indices(config.top_k, 1);
    let mut weights = scores.gather(1, ids.clone());
    if config.normalise {
        let sum = weights.clone().sum_dim(1);
        weights = weights / (sum + 1e-20);
    }
    let weights = weights * config.scale;
    if config.shared == 0 {
        return (ids, weights);
    }
    let device = weights.device();
    let last = (experts + config.shared) as i64;
    let shared =
        Tensor::<1, Int>::arange(experts as i64..last, &device).reshape([1, config.shared]);
    let ones = Tensor::ones([tokens, config.shared], &device);
    (
        Tensor::cat(vec![ids, shared.expand([tokens, config.shared])], 1),
        Tensor::cat(vec![weights, ones], 1),
    )
}

/// Sends every token through its experts and sums the weighted results:
/// `sum_j weights[t, j] * down[e] · (silu(gate[e] x_t) * up[e] x_t)`, e = ids[t, j] - base.
///
/// The stacks may be one shard of the layer's experts, `base..base + shard`; ids outside it
/// contribute zero, so shards add up.
///
/// # Shapes
/// `x` `[tokens, hidden]`, `ids` and `weights` `[tokens, top_k]`, `gate_up`
/// `[shard, 2 * width, hidden]` (gate rows first), `down` `[shard, hidden, width]`, f32, f16 or codes
/// → `[tokens, hidden]` f32.
///
/// Source: HF `Glm4vMoeTextNaiveMoe.forward`.
pub fn moe_experts(
    x: Tensor<2>,
    ids: Tensor<2, Int>,
    weights: Tensor<2>,
    gate_up: impl Into<Weight<3>>,
    down: impl Into<Weight<3>>,
    base: usize,
) -> Tensor<2> {
    let (gate_up, down) = (gate_up.into(), down.into());
    let ([_, hidden], [_, width2, gh], [_, dh, width]) = (x.dims(), gate_up.dims(), down.dims());
    assert!(
        gh == hidden && dh == hidden && width2 == 2 * width,
        "experts: x {:?}, gate_up {:?}, down {:?}",
        x.dims(),
        gate_up.dims(),
        down.dims()
    );
    let routed = route(Op::MoeExperts, &x.device());
    if routed == Route::Twin || gate_up.dims()[0] > MAX_EXPERTS {
        return moe_experts_reference(x, ids, weights, gate_up, down, base);
    }
    // The kernels for codes read rows in fours.
    let fours = hidden.is_multiple_of(4) && width.is_multiple_of(4);
    let codes_run = routed == Route::Native || fours;
    let (x, ids, weights) = (
        x.into_dispatch(),
        ids.into_dispatch(),
        weights.into_dispatch(),
    );
    Tensor::from_dispatch(match (gate_up, down) {
        (Weight::Quantised(gate_up), Weight::Quantised(down)) if codes_run => {
            let (gate_up, gate_up_scales, first) = gate_up.into_parts();
            let (down, down_scales, second) = down.into_parts();
            Dispatch::moe_experts_codes(
                x,
                ids,
                weights,
                gate_up.into_dispatch(),
                gate_up_scales.into_dispatch(),
                down.into_dispatch(),
                down_scales.into_dispatch(),
                [first, second],
                base,
            )
        }
        (gate_up, down) => {
            let (gate_up, down) = (gate_up.into_float(), down.into_float());
            let (gate_up, down) = (gate_up.into_dispatch(), down.into_dispatch());
            Dispatch::moe_experts(x, ids, weights, gate_up, down, base)
        }
    })
}

/// Definition of [`moe_experts`]: gathers the rows of each expert, runs its two products and adds
/// the weighted rows back. Reads the ids to the host to know the rows, which no other path does.
///
/// # Panics
/// If the ids cannot be read from the device.
pub fn moe_experts_reference(
    x: Tensor<2>,
    ids: Tensor<2, Int>,
    weights: Tensor<2>,
    gate_up: impl Into<Weight<3>>,
    down: impl Into<Weight<3>>,
    base: usize,
) -> Tensor<2> {
    let (gate_up, down) = (gate_up.into(), down.into());
    let ([tokens, hidden], [_, top_k]) = (x.dims(), ids.dims());
    let [shard, width2, _] = gate_up.dims();
    let device = x.device();
    let host: Vec<i64> = match ids.try_into_data() {
        Ok(data) => data.iter::<i64>().collect(),
        Err(error) => panic!("expert ids cannot be read: {error:?}"),
    };
    let mut out = Tensor::<2>::zeros([tokens, hidden], &device);
    let flat = weights.reshape([tokens * top_k]);
    for e in 0..shard {
        let slots: Vec<i64> = (0..host.len() as i64)
            .filter(|s| host[*s as usize] == (base + e) as i64)
            .collect();
        if slots.is_empty() {
            continue;
        }
        let n = slots.len();
        let rows: Vec<i64> = slots.iter().map(|s| s / top_k as i64).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), &device);
        let slots = Tensor::<1, Int>::from_data(TensorData::new(slots, [n]), &device);
        let of = |w: &Weight<3>| w.clone().narrow(e, e + 1).dequantise();
        let gate_up = of(&gate_up).reshape([width2, hidden]);
        let down = of(&down).reshape([hidden, width2 / 2]);
        let act = x
            .clone()
            .select(0, rows.clone())
            .matmul(gate_up.transpose());
        let y = crate::swiglu_reference(act).matmul(down.transpose());
        let y = y * flat.clone().select(0, slots).reshape([n, 1]);
        out = out.select_assign(0, rows, y, burn::tensor::IndexingUpdateOp::Add);
    }
    out
}
