//! The shapes each op is checked with: every shader and every launch path of this device once.

use super::{Inputs, Outcome, difference, worst};
use crate::*;
use burn::tensor::Tensor;
use glmv_quant::Format;

pub(super) fn rms_norms(inputs: &Inputs) -> Outcome {
    const EPS: f32 = 1e-5;
    worst([(3, 64), (5, 13)].map(|(rows, d)| {
        let (h, a) = (inputs.floats([rows, d]), inputs.floats([rows, d]));
        let w = inputs.floats([d]);
        let y = difference(
            rms_norm(a.clone(), w.clone(), EPS),
            rms_norm_reference(a.clone(), w.clone(), EPS),
        );
        let post = difference(
            rms_norm_add(h.clone(), a.clone(), w.clone(), EPS),
            rms_norm_add_reference(h.clone(), a.clone(), w.clone(), EPS),
        );
        let (_, got) = add_rms_norm(h.clone(), a.clone(), w.clone(), EPS);
        let (_, want) = add_rms_norm_reference(h, a, w, EPS);
        worst([y, post, difference(got, want)])
    }))
}

pub(super) fn swiglus(inputs: &Inputs) -> Outcome {
    worst([(3, 64), (5, 13)].map(|(rows, n)| {
        let fused = inputs.floats([rows, 2 * n]);
        let (gate, up) = (inputs.floats([rows, n]), inputs.floats([rows, n]));
        worst([
            difference(swiglu(fused.clone()), swiglu_reference(fused)),
            difference(
                silu_mul(gate.clone(), up.clone()),
                silu_mul_reference(gate, up),
            ),
        ])
    }))
}

pub(super) fn ropes(inputs: &Inputs) -> Outcome {
    worst([Pairing::HalfSplit, Pairing::Interleaved].map(|pairing| {
        let frequencies = RopeTable::text_frequencies(10_000.0, 32);
        let axes = RopeTable::text_axes(&[4, 6, 6], 16);
        let table = RopeTable::new(&frequencies, &axes, 50, &inputs.device);
        let pos = inputs.ints([3, 7], |i| i * 17 % 50);
        let x = inputs.floats([7, 5, 64]);
        difference(
            rope(x.clone(), &table, pos.clone(), pairing),
            rope_reference(x, &table, pos, pairing),
        )
    }))
}

pub(super) fn pos_embeds(inputs: &Inputs) -> Outcome {
    worst([64, 13].map(|d| {
        let (x, table) = (inputs.floats([9, d]), inputs.floats([25, d]));
        let index = inputs.ints([9, 16], |i| i * 7 % 25);
        let weight = inputs.floats([9, 16]);
        difference(
            pos_embed(x.clone(), table.clone(), index.clone(), weight.clone()),
            pos_embed_reference(x, table, index, weight),
        )
    }))
}

pub(super) fn splices(inputs: &Inputs) -> Outcome {
    worst([64, 13].map(|d| {
        let (embeds, features) = (inputs.floats([9, d]), inputs.floats([4, d]));
        let source = inputs.ints([9], |i| i % 5) - 1;
        difference(
            splice(embeds.clone(), features.clone(), source.clone()),
            splice_reference(embeds, features, source),
        )
    }))
}

/// How a weight is stored.
const STORES: [Store; 4] = [
    Store::Float { half: false },
    Store::Float { half: true },
    Store::Codes(Format::Q8),
    Store::Codes(Format::Q4),
];

#[derive(Clone, Copy)]
enum Store {
    Float { half: bool },
    Codes(Format),
}

fn weight<const D: usize>(inputs: &Inputs, dims: [usize; D], store: Store) -> Weight<D> {
    match store {
        Store::Float { half } => inputs.weights(dims, half).into(),
        Store::Codes(format) => inputs.codes(dims, format).into(),
    }
}

pub(super) fn embeds(inputs: &Inputs) -> Outcome {
    worst(STORES.map(|store| {
        let table = weight(inputs, [9, 72], store);
        let ids = inputs.ints([7], |i| i * 5 % 13);
        difference(
            embed(table.clone(), ids.clone(), 2),
            embed_reference(table, ids, 2),
        )
    }))
}

pub(super) fn token_logprobs(inputs: &Inputs) -> Outcome {
    worst(STORES.map(|store| {
        let hidden = inputs.floats([9, 72]);
        let head = vec![
            weight(inputs, [37, 72], store),
            weight(inputs, [20, 72], store),
        ];
        let targets = inputs.ints([9], |i| i * 7 % 57) - 1;
        let forbidden = inputs.floats([57]).greater_elem(0.5).float();
        let of = |(chosen, entropy): (Tensor<1>, Tensor<1>)| {
            // A forbidden target's -3e38 says nothing about rounding.
            Tensor::cat(vec![chosen.clamp_min(-100.0), entropy], 0)
        };
        let (h, t, f) = (hidden.clone(), targets.clone(), Some(forbidden));
        let got = crate::token_logprobs(h, head.clone(), t, 0.7, f.clone());
        let want = token_logprobs_reference(hidden, head, targets, 0.7, f);
        difference(of(got), of(want))
    }))
}

pub(super) fn linears(inputs: &Inputs) -> Outcome {
    // One to nine rows: a weight read once for several; seventy: tiles.
    let sizes = [(1, 64), (3, 13), (9, 104), (70, 64)];
    let cases = sizes.iter().flat_map(|s| STORES.map(|store| (s, store)));
    worst(cases.map(|(&(rows, k), store)| {
        let (x, w) = (inputs.floats([rows, k]), weight(inputs, [37, k], store));
        let bias = (rows != 3).then(|| inputs.floats([37]));
        difference(
            linear(x.clone(), w.clone(), bias.clone()),
            linear_reference(x, w, bias),
        )
    }))
}

pub(super) fn attentions(inputs: &Inputs) -> Outcome {
    // Prefill with grouped heads, then decoding against 300 keys, which a GPU splits.
    let cases = [(40, 40, 64), (1, 300, 128), (1, 300, 13)];
    let cases = cases.iter().flat_map(|c| [(c, false), (c, true)]);
    worst(cases.map(|(&(queries, keys, head_dim), half)| {
        let q = inputs.floats([2, queries, 6, head_dim]);
        let k = inputs.weights([2, keys, 2, head_dim], half);
        let v = inputs.weights([2, keys, 2, head_dim], half);
        let range = inputs.ints([2 * queries, 2], |i| match (i % 2, queries) {
            (0, _) => i / 2 / queries, // left padding of the second row
            (_, 1) => 290,
            _ => i / 2 % queries + 1,
        });
        let scale = 1.0 / (head_dim as f32).sqrt();
        difference(
            attention(q.clone(), k.clone(), v.clone(), range.clone(), scale),
            attention_reference(q, k, v, range, scale),
        )
    }))
}

pub(super) fn routers(inputs: &Inputs) -> Outcome {
    worst([(1, 1), (8, 3)].map(|(n_group, topk_group)| {
        let config = RouterConfig {
            top_k: 8,
            n_group,
            topk_group,
            normalise: true,
            scale: 1.0,
            shared: n_group / 4,
        };
        let (logits, bias) = (inputs.floats([5, 128]) * 4.0, inputs.floats([128]));
        let (got_ids, got) = moe_router(logits.clone(), bias.clone(), config);
        let (want_ids, want) = moe_router_reference(logits, bias, config);
        worst([
            difference(got_ids.float(), want_ids.float()),
            difference(got, want),
        ])
    }))
}

pub(super) fn experts(inputs: &Inputs) -> Outcome {
    // Few slots, then sorted ones, in full and as a shard; vectors and single numbers.
    let sizes = [
        (3, 32, 16, 0),
        (3, 13, 7, 0),
        (80, 32, 16, 2),
        (80, 13, 7, 0),
    ];
    let cases = sizes.iter().flat_map(|s| STORES.map(|store| (s, store)));
    worst(cases.map(|(&(tokens, hidden, width, base), store)| {
        let x = inputs.floats([tokens, hidden]);
        let ids = inputs.ints([tokens, 2], |i| (i / 2 * 3 + i % 2 * 5) % 8);
        let weights = inputs.floats([tokens, 2]);
        let gate_up = weight(inputs, [6, 2 * width, hidden], store);
        let down = weight(inputs, [6, hidden, width], store);
        let (i, product) = (ids.clone(), gate_up.clone());
        let one = difference(
            expert_linear(x.clone(), ids.clone(), product.clone(), base),
            expert_linear_reference(x.clone(), i, product, base),
        );
        let whole = difference(
            moe_experts(
                x.clone(),
                ids.clone(),
                weights.clone(),
                gate_up.clone(),
                down.clone(),
                base,
            ),
            moe_experts_reference(x, ids, weights, gate_up, down, base),
        );
        worst([one, whole])
    }))
}

pub(super) fn fused(inputs: &Inputs) -> Outcome {
    let sizes = [(1, false), (1, true), (3, false), (6, true)];
    worst(sizes.map(|(rows, half)| {
        let x = inputs.floats([rows, 64]);
        let norm = || Norm {
            weight: inputs.floats([64]),
            eps: 1e-5,
        };
        let product = |norm: Option<Norm>, n: usize, after: After| {
            let weight = inputs.weights([n, 64], half);
            difference(
                fused_linear(x.clone(), norm.clone(), weight.clone(), after.clone()),
                fused_linear_reference(x.clone(), norm, weight, after),
            )
        };
        let experts = || {
            let ids = inputs.ints([rows, 3], |i| (i / 3 * 2 + i % 3 * 3) % 8);
            let weights = inputs.floats([rows, 3]);
            let gate_up = inputs.weights([8, 32, 64], half);
            let down = inputs.weights([8, 64, 16], half);
            let (norm, shards) = (norm(), [(gate_up.into(), down.into())]);
            let (x, i, w) = (x.clone(), ids.clone(), weights.clone());
            difference(
                fused_experts(x.clone(), norm.clone(), ids, weights, &shards),
                fused_experts_reference(x, norm, i, w, &shards),
            )
        };
        worst([
            product(Some(norm()), 38, After::Nothing),
            product(None, 40, After::Bias(inputs.floats([40]))),
            product(None, 36, After::Residual(inputs.floats([rows, 36]))),
            product(Some(norm()), 36, After::SwiGlu),
            experts(),
            queries(inputs, x.clone(), norm(), half),
        ])
    }))
}

fn queries(inputs: &Inputs, x: Tensor<2>, norm: Norm, half: bool) -> Outcome {
    let heads = Heads {
        queries: 4,
        keys: 2,
        dim: 16,
    };
    let tokens = x.dims()[0];
    let weight = Weight::from(inputs.weights([heads.rows(), 64], half));
    let bias = Some(inputs.floats([heads.rows()]));
    let table = RopeTable::new(&[1.0, 0.3, 0.1, 0.02], &[0, 1, 2, 0], 32, &inputs.device);
    let positions = inputs.ints([3, tokens], |i| (5 * i + 3) % 31);
    let slots = inputs.ints([1, tokens], |i| 7 - i).reshape([tokens]);
    let pairing = if half {
        Pairing::Interleaved
    } else {
        Pairing::HalfSplit
    };
    let want = fused_qkv_reference(
        x.clone(),
        norm.clone(),
        (weight.clone(), bias.clone()),
        heads,
        (&table, positions.clone(), pairing),
    );
    if !qkv_is_fused(&x, &weight, heads, &table) {
        // The CPU device runs the parts, which have checks of their own.
        return difference(want.0.clone(), want.0);
    }
    let cache = CacheRows {
        keys: inputs.floats([8, 2, 16]),
        values: inputs.floats([8, 2, 16]),
        slots: slots.clone(),
    };
    let angles = table.angles(positions);
    let (q, keys, values) = fused_qkv(x, norm, (weight, bias), heads, (angles, pairing), cache);
    worst([
        difference(q, want.0),
        difference(keys.select(0, slots.clone()), want.1),
        difference(values.select(0, slots), want.2),
    ])
}
