//! Linear layers: both kernels, every tile shape, f32 and f16 weights, with and without bias.

use crate::support::{Path, Source, View, check, finish, read, reject};
use glmv_kernels::{Op, linear, linear_reference};

const TOLERANCE: f32 = 2e-5;

/// One product; `x` keeps a leading axis.
pub fn product(
    source: &mut Source,
    path: Path,
    [m, n, k]: [usize; 3],
    half: bool,
) -> Vec<Vec<f32>> {
    let (x, w, b) = (
        source.floats([1, m, k]),
        source.weights([n, k], half),
        source.floats([n]),
    );
    let plain = match path {
        Path::Routed => linear(x.clone(), w.clone(), None),
        Path::Twin => linear_reference(x.clone(), w.clone(), None),
    };
    let biased = match path {
        Path::Routed => linear(x, w, Some(b)),
        Path::Twin => linear_reference(x, w, Some(b)),
    };
    vec![read(plain), read(biased)]
}

#[test]
fn linear_matches_its_twin() {
    let sizes = [
        [1, 1, 1],
        [1, 33, 64],
        [2, 31, 13],
        [3, 64, 100],
        [4, 5, 1],
        [5, 7, 9],
        [8, 513, 20],
        [9, 130, 36],
        [17, 67, 31],
        [33, 129, 128],
        [67, 65, 44],
        [130, 257, 17],
    ];
    for size in sizes {
        for half in [false, true] {
            for view in View::ALL {
                let name = format!("{size:?}, f16 {half}");
                check(Op::Linear, &name, view, TOLERANCE, |s, p| {
                    product(s, p, size, half)
                });
            }
        }
    }
    for (input, size) in [
        (0, [3, 8, 16]),
        (1, [3, 8, 16]),
        (2, [3, 8, 16]),
        (1, [40, 8, 16]),
    ] {
        reject(Op::Linear, input, TOLERANCE, |s, p| {
            product(s, p, size, false)
        });
    }
    finish(Op::Linear);
}

#[test]
fn linear_of_a_models_size() {
    for (size, half) in [([1, 4096, 2048], false), ([48, 1536, 2048], true)] {
        // Sums of 2048 products of numbers up to 1.
        check(
            Op::Linear,
            &format!("{size:?}"),
            View::Rows,
            1e-4,
            |s, p| product(s, p, size, half),
        );
    }
    finish(Op::Linear);
}

#[test]
fn linear_folds_long_grids() {
    for size in [[1, 32 * 65_535 + 33, 4], [64 * 65_535 + 65, 1, 4]] {
        check(
            Op::Linear,
            &format!("{size:?}"),
            View::Rows,
            TOLERANCE,
            |s, p| product(s, p, size, false),
        );
    }
    finish(Op::Linear);
}
