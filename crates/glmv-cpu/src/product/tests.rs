//! The product at the levels that this machine has but would not choose.

use super::*;
use crate::simd::lower;
use glmv_quant::quantise;
use half::f16;

fn values(seed: usize, count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| (((i * 31 + seed * 17) % 257) as f32 - 128.0) / 97.0)
        .collect()
}

/// The whole product in the thread of the caller.
fn whole(x: &[f32], rows: usize, w: Matrix<'_>) -> Vec<f32> {
    let k = w.cols();
    let packed = Rows::pack(rows, k, Order::of(&w), |i| &x[i * k..][..k]);
    let mut out = vec![f32::NAN; rows * w.rows()];
    let part = Part {
        groups: 0..packed.group_count(),
        outputs: 0..w.rows(),
        layout: Layout::Rows {
            stride: w.rows(),
            at: 0,
        },
    };
    product(&packed, &w, part, &mut out);
    out
}

/// Largest difference from the f64 product over the largest value.
fn error(out: &[f32], x: &[f32], w: &[f32], [n, k]: [usize; 2]) -> f64 {
    let (mut worst, mut size) = (0.0f64, 0.0f64);
    for (i, out) in out.iter().enumerate() {
        let terms = x[i / n * k..][..k].iter().zip(&w[i % n * k..][..k]);
        let sum: f64 = terms.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
        let difference = (f64::from(*out) - sum).abs();
        worst = if difference <= worst {
            worst
        } else {
            difference
        };
        size = size.max(sum.abs());
    }
    worst / size
}

#[test]
fn lower_levels_are_right_and_batch_invariant() {
    lower::each(|level| {
        for [m, n, k] in [
            [1, 7, 33],
            [2, 6, 64],
            [5, 13, 100],
            [9, 3, 300],
            [3, 8, 4500],
        ] {
            let (x, w) = (values(1, m * k), values(2, n * k));
            let half: Vec<f16> = w.iter().map(|v| f16::from_f32(*v)).collect();
            let widened: Vec<f32> = half.iter().map(|v| v.to_f32()).collect();
            let packed = glmv_quant::Format::ALL
                .map(|format| quantise(format, &w, n, k).expect("finite weights"));
            let dequantised = packed.each_ref().map(|packed| packed.view().dequantise());
            let cases = [
                (Matrix::f32(&w, [n, k]).expect("its shape"), &w),
                (Matrix::f16(&half, [n, k]).expect("its shape"), &widened),
                (Matrix::packed(packed[0].view()), &dequantised[0]),
                (Matrix::packed(packed[1].view()), &dequantised[1]),
            ];
            for (case, (matrix, w)) in cases.into_iter().enumerate() {
                let out = whole(&x, m, matrix);
                let error = error(&out, &x, w, [n, k]);
                assert!(
                    error < 2e-6,
                    "{level:?}, type {case}, [{m}, {n}, {k}]: {error:e}"
                );
                for (i, row) in x.chunks_exact(k).enumerate() {
                    let alone = whole(row, 1, matrix);
                    assert_eq!(alone, &out[i * n..][..n], "{level:?}, type {case}, row {i}");
                }
            }
        }
    });
}
