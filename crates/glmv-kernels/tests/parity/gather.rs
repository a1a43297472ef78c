//! Position-embedding adaption and the splice of visual features.

use crate::support::{Path, Source, View, check, finish, read, reject};
use burn::tensor::Tensor;
use glmv_kernels::{Op, pos_embed, pos_embed_reference, splice, splice_reference};

const TOLERANCE: f32 = 1e-5;
const TAPS: usize = 16;

fn adapt(source: &mut Source, path: Path, [n, d, rows]: [usize; 3]) -> Vec<Vec<f32>> {
    let (x, table) = (source.floats([n, d]), source.floats([rows, d]));
    let index = (0..n * TAPS).map(|i| (i * 31 % rows) as i64).collect();
    let (index, weight) = (source.ints(index, [n, TAPS]), source.floats([n, TAPS]));
    if path == Path::Routed {
        return vec![read(pos_embed(x, table, index, weight))];
    }
    // In parts: the twin gathers sixteen rows per patch.
    let parts = (0..n).step_by(1024).map(|start| {
        let len = 1024.min(n - start);
        pos_embed_reference(
            x.clone().narrow(0, start, len),
            table.clone(),
            index.clone().narrow(0, start, len),
            weight.clone().narrow(0, start, len),
        )
    });
    vec![read(Tensor::cat(parts.collect(), 0))]
}

#[test]
fn pos_embed_matches_its_twin() {
    for sizes in [
        [1, 1, 1],
        [1, 4, 7],
        [16, 64, 576],
        [37, 13, 49],
        [7, 1536, 25],
    ] {
        for view in View::ALL {
            check(
                Op::PosEmbed,
                &format!("{sizes:?}"),
                view,
                TOLERANCE,
                |s, p| adapt(s, p, sizes),
            );
        }
    }
    for input in 0..3 {
        reject(Op::PosEmbed, input, TOLERANCE, |s, p| {
            adapt(s, p, [5, 16, 9])
        });
    }
    finish(Op::PosEmbed);
}

#[test]
fn pos_embed_folds_long_grids() {
    let sizes = [4111, 1021, 3];
    check(Op::PosEmbed, "folded", View::Rows, TOLERANCE, |s, p| {
        adapt(s, p, sizes)
    });
    finish(Op::PosEmbed);
}

fn place(source: &mut Source, path: Path, [tokens, d, n]: [usize; 3]) -> Vec<Vec<f32>> {
    let (embeds, features) = (source.floats([tokens, d]), source.floats([n, d]));
    let from = |i: usize| if i % 3 == 1 { (i * 5 % n) as i64 } else { -1 };
    let from = source.ints((0..tokens).map(from).collect(), [tokens]);
    vec![read(match path {
        Path::Routed => splice(embeds, features, from),
        Path::Twin => splice_reference(embeds, features, from),
    })]
}

#[test]
fn splice_matches_its_twin() {
    for sizes in [
        [1, 1, 1],
        [2, 4, 1],
        [17, 13, 5],
        [64, 96, 21],
        [7, 2048, 3],
    ] {
        for view in View::ALL {
            // Copies: nothing may differ.
            check(Op::Splice, &format!("{sizes:?}"), view, 0.0, |s, p| {
                place(s, p, sizes)
            });
        }
    }
    for input in 0..2 {
        reject(Op::Splice, input, TOLERANCE, |s, p| place(s, p, [9, 16, 4]));
    }
    finish(Op::Splice);
}

#[test]
fn splice_of_nothing_and_of_everything() {
    for wanted in [-1i64, 0] {
        check(
            Op::Splice,
            &format!("all {wanted}"),
            View::Rows,
            0.0,
            |source, path| {
                let (embeds, features) = (source.floats([6, 8]), source.floats([1, 8]));
                let from = source.ints(vec![wanted; 6], [6]);
                vec![read(match path {
                    Path::Routed => splice(embeds, features, from),
                    Path::Twin => splice_reference(embeds, features, from),
                })]
            },
        );
    }
    finish(Op::Splice);
}

#[test]
fn splice_folds_long_grids() {
    check(Op::Splice, "folded", View::Rows, 0.0, |s, p| {
        place(s, p, [4111, 1021, 17])
    });
    finish(Op::Splice);
}
