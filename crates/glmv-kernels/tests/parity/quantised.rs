//! Weights of 8-bit and 4-bit codes: the kernels against the twins on the dequantised weights, the
//! twins' dequantisation against glmv-quant, and rows that must not depend on their neighbours.

use crate::moe::{Case, Choice, SMALL};
use crate::support::{Path, Source, View, check, devices, finish, read, reject};
use burn::tensor::{Int, Tensor};
use glmv_kernels::*;
use glmv_quant::Format;

/// Sums of up to 1056 products; relative to the largest of 1, their root mean square and the value.
const TOLERANCE: f32 = 2e-5;

fn product(
    source: &mut Source,
    path: Path,
    [m, n, k]: [usize; 3],
    format: Format,
) -> Vec<Vec<f32>> {
    let x = source.floats([1, m, k]);
    let w = source.codes([n, k], format);
    let b = source.floats([n]);
    let run = |bias: Option<Tensor<1>>| match path {
        Path::Routed => read(linear(x.clone(), w.clone(), bias)),
        Path::Twin => read(linear_reference(x.clone(), w.dequantise(), bias)),
    };
    vec![run(None), run(Some(b))]
}

#[test]
fn the_twin_dequantises_as_the_format_says() {
    for (label, device) in devices() {
        for format in Format::ALL {
            for (rows, inner) in [(1, 1), (3, 31), (5, 32), (2, 65), (7, 100)] {
                let mut source = Source::new(&device, View::Rows);
                // Magnitudes over the whole range of the scales, zeros among them.
                let values: Vec<f32> = (0..rows * inner)
                    .map(|i| ((i * 37 % 101) as f32 - 50.0) * (10f32).powi((i / 32 % 9) as i32 - 5))
                    .collect();
                let packed = glmv_quant::quantise(format, &values, rows, inner).unwrap();
                let want = packed.view().dequantise();
                let dims = [rows, inner];
                let q = Quantised::from_words(packed.into_words(), dims, format, &device);
                assert_eq!(read(q.dequantise()), want, "{label} {format} {dims:?}");
                assert_ne!(read(source.codes(dims, format).dequantise()), want);
                // One row, of the words and of the values.
                let row = read(q.narrow(rows - 1, rows).dequantise());
                assert_eq!(row, want[(rows - 1) * inner..], "{label}");
            }
        }
    }
}

#[test]
fn linear_matches_its_twin() {
    let sizes = [
        [1, 1, 4],
        [1, 33, 32],
        [2, 31, 36],
        [3, 64, 100],
        [4, 5, 64],
        [5, 7, 68],
        [8, 513, 20],
        [9, 130, 96],
        [17, 67, 200],
        [64, 129, 128],
        [130, 257, 1056],
        // No multiple of four: native on Flex, the twin on wgpu.
        [3, 9, 13],
        [20, 9, 33],
    ];
    for size in sizes {
        for format in Format::ALL {
            let views = if size[0] < 9 {
                &View::ALL[..]
            } else {
                &[View::Rows]
            };
            for view in views {
                let name = format!("{size:?}, {format}");
                check(Op::Linear, &name, *view, TOLERANCE, |s, p| {
                    product(s, p, size, format)
                });
            }
        }
    }
    for format in Format::ALL {
        for (input, size) in [(0, [3, 8, 32]), (1, [3, 8, 32]), (2, [70, 8, 32])] {
            reject(Op::Linear, input, TOLERANCE, |s, p| {
                product(s, p, size, format)
            });
        }
    }
    finish(Op::Linear);
}

#[test]
fn linear_folds_long_grids() {
    for size in [[1, 8 * 65_535 + 33, 4], [8 * 65_535 + 65, 1, 4]] {
        check(
            Op::Linear,
            &format!("{size:?}"),
            View::Rows,
            TOLERANCE,
            |s, p| product(s, p, size, Format::Q4),
        );
    }
    finish(Op::Linear);
}

/// Runs on every device, with a GPU's shapes too where that differs.
fn everywhere(run: impl Fn(&mut Source, &str)) {
    for (label, device) in devices() {
        run(&mut Source::new(&device, View::Rows), label);
        if label == "wgpu" {
            on_gpu_tiling(|| run(&mut Source::new(&device, View::Rows), "wgpu, GPU tiles"));
        }
    }
}

/// Every storage of a matrix `dims`.
fn storages<const D: usize>(source: &mut Source, dims: [usize; D]) -> Vec<(String, Weight<D>)> {
    let mut all: Vec<(String, Weight<D>)> = Vec::new();
    for half in [false, true] {
        let name = if half { "f16" } else { "f32" };
        all.push((name.to_string(), source.weights(dims, half).into()));
    }
    for format in Format::ALL {
        all.push((format.to_string(), source.codes(dims, format).into()));
    }
    all
}

#[test]
fn a_row_of_a_linear_layer_does_not_depend_on_the_others() {
    everywhere(|source, label| {
        let (n, k) = (70, 416);
        // A decoding batch on any adapter, and every height of the tiles for subgroups of eight.
        let most = if label == "wgpu" { 150 } else { 64 };
        let x = source.floats([most, k]);
        for (name, w) in storages(source, [n, k]) {
            if label != "wgpu" && name.starts_with('f') {
                continue; // the float kernels of a GPU for few rows do not promise it
            }
            let all = read(linear(x.clone(), w.clone(), None));
            for rows in [1, 2, 3, 5, 8, 9, 20, 33, 63] {
                let some = read(linear(
                    x.clone().narrow(0, most - rows, rows),
                    w.clone(),
                    None,
                ));
                assert_eq!(some, all[(most - rows) * n..], "{label} {name} {rows} rows");
            }
            let other = read(linear(x.clone() * 1.001, w.clone(), None));
            assert_ne!(other, all, "{label} {name}");
        }
    });
}

#[test]
fn a_row_of_many_does_not_depend_on_the_others() {
    everywhere(|source, label| {
        let (n, k, most) = (70, 416, 200);
        let x = source.floats([most, k]);
        for (name, w) in storages(source, [n, k]) {
            let all = read(linear(x.clone(), w.clone(), None));
            for rows in [65, 97, 128] {
                let some = read(linear(
                    x.clone().narrow(0, most - rows, rows),
                    w.clone(),
                    None,
                ));
                assert_eq!(some, all[(most - rows) * n..], "{label} {name} {rows} rows");
            }
        }
    });
}

fn experts(case: &Case, source: &mut Source, path: Path, format: Format) -> Vec<Vec<f32>> {
    let [base, shard] = case.shard;
    let x = source.floats([case.tokens, case.hidden]);
    let weights = source.floats([case.tokens, case.top_k]);
    let gate_up = source.codes([shard, 2 * case.width, case.hidden], format);
    let down = source.codes([shard, case.hidden, case.width], format);
    let ids = case.ids(source);
    vec![read(match path {
        Path::Routed => moe_experts(x, ids, weights, gate_up, down, base),
        Path::Twin => moe_experts_reference(
            x,
            ids,
            weights,
            gate_up.dequantise(),
            down.dequantise(),
            base,
        ),
    })]
}

fn check_experts(case: &Case, view: View) {
    for format in Format::ALL {
        let name = format!("{case:?}, {format}");
        check(Op::MoeExperts, &name, view, TOLERANCE, |s, p| {
            experts(case, s, p, format)
        });
    }
}

#[test]
fn experts_match_their_twin() {
    for view in View::ALL {
        check_experts(&SMALL, view);
    }
    // Few slots, a few rows per expert, many; widths whose last block is short.
    for (tokens, num_experts, top_k) in
        [(1, 8, 2), (3, 16, 4), (9, 128, 8), (40, 8, 2), (131, 8, 3)]
    {
        for (hidden, width) in [(16, 12), (36, 132), (100, 68), (13, 7)] {
            let case = Case {
                tokens,
                hidden,
                width,
                experts: num_experts,
                top_k,
                shard: [0, num_experts],
                ..SMALL
            };
            check_experts(&case, View::Rows);
        }
    }
    for format in Format::ALL {
        for (tokens, input) in [(5, 0), (5, 1), (5, 2), (5, 3), (67, 0), (67, 2)] {
            let case = Case { tokens, ..SMALL };
            reject(Op::MoeExperts, input, TOLERANCE, |s, p| {
                experts(&case, s, p, format)
            });
        }
    }
    finish(Op::MoeExperts);
}

#[test]
fn idle_experts_and_shards() {
    for tokens in [3, 9, 131] {
        for choice in [Choice::All(0), Choice::All(7), Choice::Every(4)] {
            let case = Case {
                tokens,
                top_k: 1,
                choice,
                ..SMALL
            };
            check_experts(&case, View::Rows);
        }
        for shard in [[0, 3], [3, 2], [7, 1]] {
            let case = Case {
                tokens,
                top_k: 3,
                shard,
                ..SMALL
            };
            check_experts(&case, View::Rows);
        }
    }
    finish(Op::MoeExperts);
}

#[test]
fn a_token_of_the_experts_does_not_depend_on_the_others() {
    everywhere(|source, label| {
        let (tokens, hidden, width, count) = (60, 96, 72, 8);
        let (x, weights) = (source.floats([tokens, hidden]), source.floats([tokens, 3]));
        let gate_ups = storages(source, [count, 2 * width, hidden]);
        let downs = storages(source, [count, hidden, width]);
        for ((name, gate_up), (_, down)) in gate_ups.into_iter().zip(downs) {
            if label != "wgpu" && name.starts_with('f') {
                continue; // the float kernels of a GPU for few slots do not promise it
            }
            let ids = |s: &Source, from: usize| -> Tensor<2, Int> {
                let ids = (from * 3..tokens * 3).map(|i| (i / 3 * 5 + i % 3 * 2) as i64 % 8);
                s.ints(ids.collect(), [tokens - from, 3])
            };
            let run = |from: usize| {
                let rows = |t: &Tensor<2>| t.clone().narrow(0, from, tokens - from);
                read(moe_experts(
                    rows(&x),
                    ids(source, from),
                    rows(&weights),
                    gate_up.clone(),
                    down.clone(),
                    0,
                ))
            };
            let all = run(0);
            // Slot by slot, sorted, and in tiles of 8 and 16 slots.
            for from in [tokens - 1, tokens - 2, tokens - 5, 35, 20] {
                assert_eq!(
                    run(from),
                    all[from * hidden..],
                    "{label} {name} from {from}"
                );
            }
        }
    });
}

#[test]
fn embeddings_match_their_twin() {
    let case = |s: &mut Source, p: Path, dims: [usize; 2], store: usize, base: usize| {
        let table: Weight<2> = match store {
            0 | 1 => s.weights(dims, store == 1).into(),
            _ => s.codes(dims, Format::ALL[store - 2]).into(),
        };
        // In order, repeated, and of other shards on both sides.
        let ids = s.ints((0..23).map(|i| i * 7 % 19).collect(), [23]);
        vec![read(match p {
            Path::Routed => embed(table, ids, base),
            Path::Twin => embed_reference(table.dequantise(), ids, base),
        })]
    };
    for store in 0..4 {
        for (dims, base) in [([19, 64], 0), ([9, 40], 5), ([3, 13], 16), ([11, 4], 2)] {
            let name = format!("{dims:?} storage {store}");
            check(Op::Embed, &name, View::Rows, 0.0, |s, p| {
                case(s, p, dims, store, base)
            });
        }
    }
    reject(Op::Embed, 0, 0.0, |s, p| case(s, p, [19, 64], 0, 0));
    finish(Op::Embed);
}

#[test]
fn a_tracked_input_goes_through_the_twin() {
    let device = burn::tensor::Device::flex().autodiff();
    let mut source = Source::new(&device, View::Rows);
    let x = source.floats([3, 32]).require_grad();
    let w = source.codes([5, 32], Format::Q8);
    let grads = linear(x.clone(), w.clone(), None).sum().backward();
    let dx = read(x.grad(&grads).expect("x is tracked"));
    // The gradient of a sum is the sum of the weight's rows.
    let want = read(w.dequantise().sum_dim(0).inner());
    for (i, g) in dx.iter().enumerate() {
        assert!((g - want[i % 32]).abs() < 1e-5, "{i}: {g}");
    }
    let ids = source.ints(vec![0, 1, 1, 0, 1, 0], [3, 2]);
    let weights = source.floats([3, 2]);
    let gate_up = source.codes([2, 8, 32], Format::Q4);
    let down = source.codes([2, 32, 4], Format::Q4);
    let y = moe_experts(x.clone(), ids, weights, gate_up, down, 0);
    assert!(x.grad(&y.sum().backward()).is_some());
}
