//! RMSNorm and SwiGLU: row-wise ops.

use crate::support::{Path, Source, View, check, finish, read, reject};
use glmv_kernels::Op;
use glmv_kernels::*;

const TOLERANCE: f32 = 1e-5;
const EPS: f32 = 1e-5;

fn norms(source: &mut Source, path: Path, rows: usize, d: usize) -> Vec<Vec<f32>> {
    let (h, a) = (source.floats([rows, d]), source.floats([rows, d]));
    let w = source.floats([d]) + 1.5;
    let (y, post, (sum, pre)) = match path {
        Path::Routed => (
            rms_norm(a.clone(), w.clone(), EPS),
            rms_norm_add(h.clone(), a.clone(), w.clone(), EPS),
            add_rms_norm(h, a, w, EPS),
        ),
        Path::Twin => (
            rms_norm_reference(a.clone(), w.clone(), EPS),
            rms_norm_add_reference(h.clone(), a.clone(), w.clone(), EPS),
            add_rms_norm_reference(h, a, w, EPS),
        ),
    };
    [y, post, sum, pre].map(read).to_vec()
}

#[test]
fn rms_norm_matches_its_twin() {
    for (rows, d) in [
        (1, 64),
        (1, 1),
        (7, 13),
        (9, 4),
        (31, 97),
        (8, 1536),
        (3, 4099),
    ] {
        for view in View::ALL {
            check(
                Op::RmsNorm,
                &format!("{rows}x{d}"),
                view,
                TOLERANCE,
                |s, p| norms(s, p, rows, d),
            );
        }
    }
    reject(Op::RmsNorm, 2, TOLERANCE, |s, p| norms(s, p, 5, 64));
    reject(Op::RmsNorm, 0, TOLERANCE, |s, p| norms(s, p, 5, 64));
    finish(Op::RmsNorm);
}

#[test]
fn rms_norm_keeps_leading_axes_and_f16_weights() {
    check(
        Op::RmsNorm,
        "2x3x5x16 f16",
        View::Rows,
        TOLERANCE,
        |source, path| {
            let x = source.floats([2, 3, 5, 16]);
            let w = (source.floats([16]) + 1.5).cast(burn::tensor::DType::F16);
            vec![read(match path {
                Path::Routed => rms_norm(x, w, EPS),
                Path::Twin => rms_norm_reference(x, w.cast(burn::tensor::DType::F32), EPS),
            })]
        },
    );
    finish(Op::RmsNorm);
}

#[test]
fn rms_norm_folds_long_grids() {
    let rows = 8 * 65_535 + 11;
    check(Op::RmsNorm, "folded", View::Rows, TOLERANCE, |s, p| {
        norms(s, p, rows, 4)
    });
    finish(Op::RmsNorm);
}

fn glu(source: &mut Source, path: Path, rows: usize, n: usize) -> Vec<Vec<f32>> {
    // Beyond +-80, where exp alone would overflow.
    let fused = source.floats([rows, 2 * n]) * 100.0;
    let (gate, up) = (source.floats([rows, n]) * 10.0, source.floats([rows, n]));
    match path {
        Path::Routed => vec![read(swiglu(fused)), read(silu_mul(gate, up))],
        Path::Twin => vec![
            read(swiglu_reference(fused)),
            read(silu_mul_reference(gate, up)),
        ],
    }
}

#[test]
fn swiglu_matches_its_twin() {
    for (rows, n) in [(1, 1), (1, 4), (5, 7), (13, 64), (3, 1021), (257, 12)] {
        for view in View::ALL {
            check(
                Op::SwiGlu,
                &format!("{rows}x{n}"),
                view,
                TOLERANCE,
                |s, p| glu(s, p, rows, n),
            );
        }
    }
    reject(Op::SwiGlu, 0, TOLERANCE, |s, p| glu(s, p, 5, 8));
    reject(Op::SwiGlu, 2, TOLERANCE, |s, p| glu(s, p, 5, 8));
    finish(Op::SwiGlu);
}

#[test]
fn silu_mul_folds_long_grids() {
    let n = 256 * 65_535 + 257; // odd: one number per invocation
    check(
        Op::SwiGlu,
        "folded",
        View::Rows,
        TOLERANCE,
        |source, path| {
            let (gate, up) = (source.floats([n]), source.floats([n]));
            vec![read(match path {
                Path::Routed => silu_mul(gate, up),
                Path::Twin => silu_mul_reference(gate, up),
            })]
        },
    );
    finish(Op::SwiGlu);
}
