//! Hand-written backward of norms, gated activations and attention against automatic differentiation
//! of the twins, and against finite differences.

use crate::attention::{Case as Attention, PLAIN};
use crate::backward::gradients;
use crate::slopes::slopes;
use crate::support::{Path, Source, View, check, finish, read, reject};
use burn::tensor::Tensor;
use glmv_kernels::{
    Op, add_rms_norm, add_rms_norm_reference, attention, attention_reference, rms_norm,
    rms_norm_add, rms_norm_add_reference, rms_norm_reference, silu_mul, silu_mul_reference, swiglu,
    swiglu_reference,
};

const EPS: f32 = 1e-5;

/// All three norms, so that h, a and the weight are reached through each.
fn norms_grad([rows, d]: [usize; 2], source: &mut Source, path: Path) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let h = source.floats([2, rows, d]).require_grad();
    let a = source.floats([2, rows, d]).require_grad();
    let w = source.floats([d]).require_grad();
    let (plain, post, pre) = match path {
        Path::Routed => (
            rms_norm(h.clone(), w.clone(), EPS),
            rms_norm_add(h.clone(), a.clone(), w.clone(), EPS),
            add_rms_norm(h.clone(), a.clone(), w.clone(), EPS),
        ),
        Path::Twin => (
            rms_norm_reference(h.clone(), w.clone(), EPS),
            rms_norm_add_reference(h.clone(), a.clone(), w.clone(), EPS),
            add_rms_norm_reference(h.clone(), a.clone(), w.clone(), EPS),
        ),
    };
    let mut results = Vec::new();
    for y in [plain, post, pre.0 + pre.1 * 0.5] {
        let grads = gradients(y, source);
        // A norm without a residual does not reach a.
        for t in [&h, &a] {
            results.extend(t.grad(&grads).map(read));
        }
        results.push(read(w.grad(&grads).expect("w")));
    }
    results
}

#[test]
fn norm_backward_matches_autodiff() {
    for sizes in [[1, 1], [1, 4], [3, 13], [70, 64], [65, 1028], [9, 130]] {
        for view in View::ALL {
            check(
                Op::RmsNorm,
                &format!("backward {sizes:?}"),
                view,
                2e-5,
                |s, p| norms_grad(sizes, s, p),
            );
        }
    }
    for input in 0..3 {
        reject(Op::RmsNorm, input, 2e-5, |s, p| norms_grad([4, 16], s, p));
    }
    slopes([12, 12, 4], |[h, a, w]| {
        let (h, a) = (h.reshape([3, 4]), a.reshape([3, 4]));
        let y = rms_norm_add(h.clone(), a.clone(), w.clone(), EPS);
        let (sum, normed) = add_rms_norm(h, a, w.clone(), EPS);
        (y.clone() * normed + rms_norm(sum, w, EPS)).reshape([12])
    });
    finish(Op::RmsNorm);
}

fn gates_grad([rows, n]: [usize; 2], source: &mut Source, path: Path) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let fused = (source.floats([rows, 2 * n]) * 8.0).require_grad();
    let gate = source.floats([rows, n]).require_grad();
    let up = source.floats([rows, n]).require_grad();
    let y = match path {
        Path::Routed => swiglu(fused.clone()) + silu_mul(gate.clone(), up.clone()),
        Path::Twin => {
            swiglu_reference(fused.clone()) + silu_mul_reference(gate.clone(), up.clone())
        }
    };
    let grads = gradients(y, source);
    let of = |t: &Tensor<2>| read(t.grad(&grads).expect("reached"));
    vec![of(&fused), of(&gate), of(&up)]
}

#[test]
fn gate_backward_matches_autodiff() {
    for sizes in [[1, 1], [1, 4], [5, 13], [33, 64], [3, 1030]] {
        for view in View::ALL {
            check(
                Op::SwiGlu,
                &format!("backward {sizes:?}"),
                view,
                1e-5,
                |s, p| gates_grad(sizes, s, p),
            );
        }
    }
    for input in 0..3 {
        reject(Op::SwiGlu, input, 1e-5, |s, p| gates_grad([3, 8], s, p));
    }
    slopes([8, 4, 4], |[fused, gate, up]| {
        swiglu(fused * 4.0) + silu_mul(gate, up)
    });
    finish(Op::SwiGlu);
}

fn attention_grad(case: Attention, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let c = case;
    let q = (source.floats([c.batch, c.queries, c.heads, c.head_dim]) * 3.0).require_grad();
    let shape = [c.batch, c.keys, c.kv_heads, c.head_dim];
    let k = source.weights(shape, c.half).require_grad();
    let v = source.weights(shape, c.half).require_grad();
    let rows = (0..c.batch).flat_map(|b| (0..c.queries).map(move |i| (b, i)));
    let range = rows.flat_map(|(b, i)| (c.range)(b, i)).collect();
    let range = source.ints(range, [c.batch * c.queries, 2]);
    let call = match path {
        Path::Routed => attention,
        Path::Twin => attention_reference,
    };
    let scale = 1.0 / (c.head_dim as f32).sqrt();
    let y = call(q.clone(), k.clone(), v.clone(), range, scale);
    let grads = gradients(y, source);
    let of = |t: &Tensor<4>| read(t.grad(&grads).expect("reached"));
    vec![of(&q), of(&k), of(&v)]
}

fn attention_cases() -> Vec<Attention> {
    let widths = [1, 7, 12, 64, 80, 128, 256];
    let mut cases: Vec<Attention> = widths
        .map(|head_dim| Attention { head_dim, ..PLAIN })
        .into();
    // Batch b starts with 3 b padding tokens, whose own range is empty.
    let causal = |b: usize, i: usize| match i < 3 * b {
        true => [0, 0],
        false => [3 * b as i64, i as i64 + 1],
    };
    for (queries, heads, kv_heads) in [(1, 2, 1), (19, 3, 3), (33, 6, 2), (67, 12, 1), (131, 6, 2)]
    {
        cases.push(Attention {
            batch: 2,
            queries,
            keys: queries,
            heads,
            kv_heads,
            range: causal,
            ..PLAIN
        });
    }
    // Segments of 40, more keys than any range reaches, ranges beyond the keys, and none at all.
    let segments = |_: usize, i: usize| [i as i64 / 40 * 40, (i as i64 / 40 + 1) * 40];
    let ranges: [fn(usize, usize) -> [i64; 2]; 3] =
        [segments, |_, i| [-3, 200 * i as i64], |_, _| [5, 5]];
    for range in ranges {
        cases.push(Attention {
            queries: 100,
            keys: 130,
            range,
            ..PLAIN
        });
    }
    cases
}

#[test]
fn attention_backward_matches_autodiff() {
    for case in attention_cases() {
        // Sums over more than a hundred rows.
        check(
            Op::Attention,
            &format!("backward {case:?}"),
            View::Rows,
            2e-5,
            |s, p| attention_grad(case, s, p),
        );
    }
    for view in View::ALL {
        let half = Attention {
            half: true,
            queries: 9,
            ..PLAIN
        };
        // The rounding of the gradients of f16 keys to f16.
        check(Op::Attention, "backward f16", view, 2e-3, |s, p| {
            attention_grad(half, s, p)
        });
    }
    for input in 0..3 {
        reject(Op::Attention, input, 2e-5, |s, p| {
            attention_grad(PLAIN, s, p)
        });
    }
    finish(Op::Attention);
}

#[test]
fn attention_slopes() {
    slopes([24, 12, 12], |[q, k, v]| {
        let ranges = [0i64, 1, 1, 3, 2, 2];
        let range = Tensor::<1, burn::tensor::Int>::from_data(ranges, &q.device());
        let (q, range) = (q.reshape([1, 3, 2, 4]), range.reshape([3, 2]));
        let (k, v) = (k.reshape([1, 3, 1, 4]), v.reshape([1, 3, 1, 4]));
        attention(q, k, v, range, 0.7).reshape([24])
    });
    finish(Op::Attention);
}

#[test]
fn attention_gradients_repeat_bit_by_bit() {
    for (label, device) in crate::support::devices() {
        let case = attention_cases().pop().map(|c| Attention {
            range: |_, i| [0, i as i64 + 1],
            ..c
        });
        let case = case.expect("there are cases");
        let run = || attention_grad(case, &mut Source::new(&device, View::Rows), Path::Routed);
        assert_eq!(run(), run(), "{label}");
    }
    finish(Op::Attention);
}
