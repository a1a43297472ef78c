//! Fused decoding: products with their neighbours, for every number of rows they take.

use crate::support::{Path, Source, View, check, devices, finish, read, reject};
use burn::tensor::{Int, Tensor};
use glmv_kernels::*;
use glmv_quant::Format;

const TOLERANCE: f32 = 2e-5;
const EPS: f32 = 1e-5;

fn norm(source: &mut Source, d: usize) -> Norm {
    Norm {
        weight: source.floats([d]) + 1.5,
        eps: EPS,
    }
}

/// What the weights of a case hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    F32,
    F16,
    Codes(Format),
}

const KINDS: [Kind; 4] = [
    Kind::F32,
    Kind::F16,
    Kind::Codes(Format::Q8),
    Kind::Codes(Format::Q4),
];

/// All views of f32 weights; the others are made contiguous by the same code.
fn views(kind: Kind) -> &'static [View] {
    match kind {
        Kind::F32 => &View::ALL,
        _ => &View::ALL[..1],
    }
}

fn weight<const D: usize>(source: &mut Source, dims: [usize; D], kind: Kind) -> Weight<D> {
    match kind {
        Kind::Codes(format) => source.codes(dims, format).into(),
        kind => source.weights(dims, kind == Kind::F16).into(),
    }
}

/// Every form of a product of `rows` rows.
fn products(
    source: &mut Source,
    path: Path,
    [rows, k, n]: [usize; 3],
    kind: Kind,
) -> Vec<Vec<f32>> {
    let x = source.floats([rows, k]);
    let norm = norm(source, k);
    let weight = weight(source, [2 * n, k], kind);
    let (bias, residual) = (source.floats([2 * n]), source.floats([rows, 2 * n]));
    let forms = [
        (None, After::Nothing),
        (Some(norm.clone()), After::Nothing),
        (Some(norm.clone()), After::Bias(bias)),
        (None, After::Residual(residual)),
        (Some(norm), After::SwiGlu),
        (None, After::SwiGlu),
    ];
    let run = match path {
        Path::Routed => fused_linear,
        Path::Twin => fused_linear_reference,
    };
    let outputs = forms.map(|(norm, after)| run(x.clone(), norm, weight.clone(), after));
    outputs.map(read).to_vec()
}

#[test]
fn fused_linear_matches_its_twin() {
    // Whole tiles and parts of them, widths of one lane and of many, and more rows than are few.
    for (rows, k, n) in [
        (1, 64, 32),
        (1, 8, 1),
        (2, 40, 5),
        (3, 96, 33),
        (5, 8, 7),
        (17, 136, 19),
        (64, 64, 9),
        (65, 64, 9),
        (3, 1544, 70),
        (4, 13, 6),
    ] {
        for kind in KINDS {
            for view in views(kind) {
                let name = format!("{rows}x{k} {n} {kind:?}");
                check(Op::Fused, &name, *view, TOLERANCE, |s, p| {
                    products(s, p, [rows, k, n], kind)
                });
            }
        }
    }
    for input in [0, 1, 2, 3, 4] {
        reject(Op::Fused, input, TOLERANCE, |s, p| {
            products(s, p, [3, 64, 8], Kind::F32)
        });
    }
    finish(Op::Fused);
}

fn experts(
    source: &mut Source,
    path: Path,
    [tokens, slots, experts]: [usize; 3],
    [hidden, width]: [usize; 2],
    kind: Kind,
) -> Vec<Vec<f32>> {
    let x = source.floats([tokens, hidden]);
    let norm = norm(source, hidden);
    // Distinct within a token; the last expert is everyone's, some are nobody's.
    let id = |i: usize| match i % slots {
        0 => experts - 1,
        j => (i / slots * 5 + j * 3) % (experts - 1),
    };
    let ids = source.ints(
        (0..tokens * slots).map(|i| id(i) as i64).collect(),
        [tokens, slots],
    );
    let weights = source.floats([tokens, slots]);
    let parts = [experts / 2, experts - experts / 2];
    let shards = parts.map(|e| {
        let gate_up = weight(source, [e, 2 * width, hidden], kind);
        (gate_up, weight(source, [e, hidden, width], kind))
    });
    let run = match path {
        Path::Routed => fused_experts,
        Path::Twin => fused_experts_reference,
    };
    vec![read(run(x, norm, ids, weights, &shards))]
}

#[test]
fn fused_experts_match_their_twin() {
    for (sizes, shape) in [
        ([1, 2, 6], [32, 16]),
        ([1, 5, 9], [64, 8]),
        ([2, 3, 8], [40, 24]),
        ([7, 3, 8], [32, 16]),
        ([33, 5, 16], [32, 8]),
        ([64, 4, 33], [16, 8]),
        ([80, 2, 6], [32, 16]),
        ([3, 2, 6], [30, 7]),
    ] {
        for kind in KINDS {
            for view in views(kind) {
                let name = format!("{sizes:?} {shape:?} {kind:?}");
                check(Op::Fused, &name, *view, TOLERANCE, |s, p| {
                    experts(s, p, sizes, shape, kind)
                });
            }
        }
    }
    for input in [0, 1, 2, 3, 4] {
        reject(Op::Fused, input, TOLERANCE, |s, p| {
            experts(s, p, [5, 3, 8], [32, 16], Kind::F32)
        });
    }
    finish(Op::Fused);
}

/// One call of `fused_qkv` for `tokens` tokens, or what it must write.
fn queries(
    source: &mut Source,
    path: Path,
    tokens: usize,
    pairing: Pairing,
    kind: Kind,
) -> Vec<Vec<f32>> {
    let heads = Heads {
        queries: 6,
        keys: 2,
        dim: 20,
    };
    let x = source.floats([tokens, 48]);
    let norm = norm(source, 48);
    let weight = weight(source, [heads.rows(), 48], kind);
    let bias = match kind {
        Kind::F16 => None,
        _ => Some(source.floats([heads.rows()])),
    };
    let axes = [0, 1, 2, 0, 1, 2];
    let table = RopeTable::new(&[1.0, 0.7, 0.5, 0.2, 0.1, 0.01], &axes, 64, &source.device);
    let positions = (0..3 * tokens).map(|i| (7 * i % 63) as i64).collect();
    let positions = source.ints(positions, [3, tokens]);
    // Every third row from the end: the others must stay as they are.
    let rows = 3 * tokens + 2;
    let slots: Tensor<1, Int> = source.ints(
        (0..tokens).map(|i| (rows - 1 - 3 * i) as i64).collect(),
        [tokens],
    );
    let view = std::mem::replace(&mut source.view, View::Rows);
    let cache = || {
        let zeros = Tensor::<3>::zeros([rows, heads.keys, heads.dim], &source.device);
        zeros + 0.5
    };
    let (keys, values) = (cache(), cache());
    source.view = view;
    let (q, keys, values) = if path == Path::Routed && qkv_is_fused(&x, &weight, heads, &table) {
        let cache = CacheRows {
            keys,
            values,
            slots,
        };
        let angles = table.angles(positions);
        fused_qkv(x, norm, (weight, bias), heads, (angles, pairing), cache)
    } else {
        let rotation = (&table, positions, pairing);
        let (q, k, v) = fused_qkv_reference(x, norm, (weight, bias), heads, rotation);
        let write = |cache: Tensor<3>, new: Tensor<3>| {
            (0..tokens).fold(cache, |cache, i| {
                let row = rows - 1 - 3 * i;
                let one = new.clone().narrow(0, i, 1);
                cache.slice_assign(burn::tensor::s![row..row + 1], one)
            })
        };
        (q, write(keys, k), write(values, v))
    };
    [q, keys, values].map(read).to_vec()
}

#[test]
fn fused_qkv_matches_its_twin() {
    for tokens in [1, 3, 11, 64] {
        for pairing in [Pairing::HalfSplit, Pairing::Interleaved] {
            for kind in KINDS {
                for view in views(kind) {
                    let name = format!("{tokens} {pairing:?} {kind:?}");
                    check(Op::Fused, &name, *view, TOLERANCE, |s, p| {
                        queries(s, p, tokens, pairing, kind)
                    });
                }
            }
        }
    }
    finish(Op::Fused);
}

/// A row's bits do not depend on its company: the first row of many equals the row alone.
#[test]
fn rows_do_not_depend_on_their_number() {
    for (label, device) in devices().into_iter().filter(|(label, _)| *label == "wgpu") {
        for kind in KINDS {
            let mut source = Source::new(&device, View::Rows);
            let (x, norm) = (source.floats([64, 96]), norm(&mut source, 96));
            let matrix = weight(&mut source, [70, 96], kind);
            let all = read(fused_linear(
                x.clone(),
                Some(norm.clone()),
                matrix.clone(),
                After::Nothing,
            ));
            let gate_up = weight(&mut source, [9, 32, 96], kind);
            let down = weight(&mut source, [9, 96, 16], kind);
            let ids = (0..64 * 3).map(|i| (i * 5 % 9) as i64).collect();
            let (ids, weights) = (source.ints(ids, [64, 3]), source.floats([64, 3]));
            let shards = [(gate_up, down)];
            let mix = |rows: usize| {
                let (x, ids) = (x.clone().narrow(0, 0, rows), ids.clone().narrow(0, 0, rows));
                let weights = weights.clone().narrow(0, 0, rows);
                read(fused_experts(x, norm.clone(), ids, weights, &shards))
            };
            let mixed = mix(64);
            for rows in 1..=33 {
                let part = x.clone().narrow(0, 0, rows);
                let got = read(fused_linear(
                    part,
                    Some(norm.clone()),
                    matrix.clone(),
                    After::Nothing,
                ));
                assert_eq!(got, all[..got.len()], "{label}: {rows} rows, {kind:?}");
                if rows > 1 {
                    let got = mix(rows);
                    assert_eq!(got, mixed[..got.len()], "{label}: {rows} tokens, {kind:?}");
                }
            }
        }
    }
    finish(Op::Fused);
}
