//! Linear layers.

use crate::{all_within, difference, reference, stored, values, with_threads};
use glmv_cpu::{Error, Matrix, linear};
use proptest::prelude::*;

fn product(x: &[f32], m: usize, w: Matrix<'_>, bias: Option<&[f32]>) -> Vec<f32> {
    let mut out = vec![f32::NAN; m * w.rows()];
    linear(x, m, w, bias, &mut out).unwrap();
    out
}

fn check([m, n, k]: [usize; 3]) {
    let (x, w, bias) = (values(1, m * k), values(2, n * k), values(3, n));
    for (name, owner, dequantised) in stored(&w, [n, k]) {
        let out = product(&x, m, owner.matrix([n, k]), None);
        let expected = reference(&x, &dequantised, [m, n, k], [1, k]);
        all_within(&out, &expected).unwrap_or_else(|e| panic!("{name} [{m}, {n}, {k}]: {e}"));
        // The same bits as the f32 product with the dequantised weights; q4 sums in another order.
        let plain = product(&x, m, Matrix::f32(&dequantised, [n, k]).unwrap(), None);
        if name != "q4" {
            assert_eq!(difference(&out, &plain), None, "{name} [{m}, {n}, {k}]");
        }
        let with_bias = product(&x, m, owner.matrix([n, k]), Some(&bias));
        for (i, (a, b)) in with_bias.iter().zip(&out).enumerate() {
            assert_eq!(*a, b + bias[i % n], "{name} bias");
        }
    }
}

#[test]
fn awkward_shapes() {
    for shape in [
        [1, 1, 1],
        [1, 7, 31],
        [2, 5, 33],
        [3, 1, 32],
        [4, 6, 64],
        [5, 13, 65],
        [9, 31, 100],
        [17, 48, 127],
        [65, 97, 161],
        [130, 50, 600],
        [7, 20, 2100],
        [33, 11, 4133],
    ] {
        check(shape);
    }
}

#[test]
fn rows_that_need_several_passes() {
    // 4200 rows of 128 are more than two megabytes.
    check([4200, 13, 128]);
}

#[test]
fn nothing_in_nothing_out() {
    let w = values(1, 5 * 33);
    for (name, owner, _) in stored(&w, [5, 33]) {
        assert!(
            product(&[], 0, owner.matrix([5, 33]), None).is_empty(),
            "{name}"
        );
    }
    for (_, owner, _) in stored(&[], [0, 33]) {
        assert!(product(&values(1, 66), 2, owner.matrix([0, 33]), None).is_empty());
    }
    // No inputs: every sum is empty.
    for (_, owner, _) in stored(&[], [3, 0]) {
        assert_eq!(product(&[], 2, owner.matrix([3, 0]), None), [0.0; 6]);
        assert_eq!(
            product(&[], 1, owner.matrix([3, 0]), Some(&[1.0, 2.0, 3.0])),
            [1.0, 2.0, 3.0]
        );
    }
}

#[test]
fn a_row_has_the_same_bits_with_any_other_rows() {
    let (n, k, most) = (50, 333, 300);
    let (x, w) = (values(4, most * k), values(5, n * k));
    for (name, owner, _) in stored(&w, [n, k]) {
        let w = owner.matrix([n, k]);
        let all = product(&x, most, w, None);
        for m in (1..=40).chain([64, 129]) {
            let some = product(&x[..m * k], m, w, None);
            assert_eq!(
                difference(&some, &all[..m * n]),
                None,
                "{name} with {m} rows"
            );
        }
        for i in [1, 39, 299] {
            let one = product(&x[i * k..][..k], 1, w, None);
            assert_eq!(
                difference(&one, &all[i * n..][..n]),
                None,
                "{name} row {i} alone"
            );
        }
    }
}

#[test]
fn outputs_have_the_same_bits_in_any_slice_and_with_any_threads() {
    let (m, n, k) = (3, 700, 257);
    let (x, w) = (values(6, m * k), values(7, n * k));
    for (name, owner, _) in stored(&w, [n, k]) {
        let w = owner.matrix([n, k]);
        let all = with_threads(1, || product(&x, m, w, None));
        for threads in [2, 3, 7] {
            let other = with_threads(threads, || product(&x, m, w, None));
            assert_eq!(
                difference(&all, &other),
                None,
                "{name} with {threads} threads"
            );
        }
        for range in [0..1, 5..9, 699..700, 3..3] {
            let part = product(&x, m, w.slice(range.clone()).unwrap(), None);
            for i in 0..m {
                let expected = &all[i * n..][range.clone()];
                let part = &part[i * range.len()..][..range.len()];
                assert_eq!(difference(part, expected), None, "{name} {range:?}");
            }
        }
    }
}

#[test]
fn a_changed_weight_changes_the_result() {
    let (n, k) = (9, 70);
    let (x, w) = (values(8, k), values(9, n * k));
    let expected = reference(&x, &w, [1, n, k], [1, k]);
    for changed in [0, 35, 69, 8 * k + 69] {
        let mut w = w.clone();
        w[changed] += 0.01;
        let out = product(&x, 1, Matrix::f32(&w, [n, k]).unwrap(), None);
        assert!(
            all_within(&out, &expected).is_err(),
            "weight {changed} is not used"
        );
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let (x, w) = (values(1, 64), values(2, 96));
    let m = Matrix::f32(&w, [3, 32]).unwrap();
    let mut out = [0.0; 6];
    assert!(matches!(
        Matrix::f32(&w, [3, 31]),
        Err(Error::Length { .. })
    ));
    assert!(matches!(
        Matrix::f32(&w, [usize::MAX, 2]),
        Err(Error::Length { .. })
    ));
    assert!(matches!(m.slice(2..4), Err(Error::Rows { end: 4, .. })));
    let bad = [
        linear(&x[1..], 2, m, None, &mut out),
        linear(&x, 3, m, None, &mut out),
        linear(&x, 2, m, None, &mut [0.0; 5]),
        linear(&x, 2, m, Some(&[0.0; 2]), &mut out),
    ];
    for result in bad {
        assert!(matches!(result, Err(Error::Length { .. })), "{result:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_shape(m in 0usize..20, n in 1usize..40, k in 0usize..200) {
        check([m, n, k]);
    }
}
