//! The products of the backward pass.

use crate::{all_within, difference, reference, stored, values, with_threads};
use glmv_cpu::{Error, input_grad, weight_grad};

const SHAPES: [[usize; 3]; 8] = [
    [1, 1, 1],
    [2, 3, 95],
    [5, 33, 96],
    [7, 64, 97],
    [40, 17, 200],
    [130, 70, 129],
    [3, 500, 40],
    [513, 9, 301],
];

#[test]
fn input_gradients() {
    for [rows, outputs, inputs] in SHAPES {
        let (dy, w) = (values(1, rows * outputs), values(2, outputs * inputs));
        for (name, owner, dequantised) in stored(&w, [outputs, inputs]) {
            let mut dx = vec![f32::NAN; rows * inputs];
            input_grad(&dy, rows, owner.matrix([outputs, inputs]), &mut dx).unwrap();
            let expected = reference(&dy, &dequantised, [rows, inputs, outputs], [inputs, 1]);
            all_within(&dx, &expected)
                .unwrap_or_else(|e| panic!("{name} [{rows}, {outputs}, {inputs}]: {e}"));
        }
    }
}

#[test]
fn weight_gradients() {
    for [rows, outputs, inputs] in SHAPES {
        let (dy, x) = (values(3, rows * outputs), values(4, rows * inputs));
        let turned: Vec<f32> = (0..outputs * rows)
            .map(|i| dy[i % rows * outputs + i / rows])
            .collect();
        let expected = reference(&turned, &x, [outputs, inputs, rows], [inputs, 1]);
        let mut dw = vec![f32::NAN; outputs * inputs];
        weight_grad(&dy, &x, [rows, outputs, inputs], &mut dw).unwrap();
        all_within(&dw, &expected).unwrap_or_else(|e| panic!("[{rows}, {outputs}, {inputs}]: {e}"));
        let again = with_threads(3, || {
            let mut dw = vec![f32::NAN; outputs * inputs];
            weight_grad(&dy, &x, [rows, outputs, inputs], &mut dw).unwrap();
            dw
        });
        assert_eq!(difference(&dw, &again), None, "threads");
    }
}

#[test]
fn no_rows_give_no_gradient() {
    let w = values(1, 12);
    for (_, owner, _) in stored(&w, [3, 4]) {
        input_grad(&[], 0, owner.matrix([3, 4]), &mut []).unwrap();
    }
    let mut dw = vec![f32::NAN; 12];
    weight_grad(&[], &[], [0, 3, 4], &mut dw).unwrap();
    assert_eq!(dw, [0.0; 12], "a sum over no rows");
    for (_, owner, _) in stored(&[], [0, 4]) {
        let mut dx = vec![f32::NAN; 8];
        input_grad(&[], 2, owner.matrix([0, 4]), &mut dx).unwrap();
        assert_eq!(dx, [0.0; 8], "a sum over no outputs");
    }
}

#[test]
fn wrong_lengths_are_errors() {
    let (dy, w) = (values(1, 6), values(2, 12));
    let owner = &stored(&w, [3, 4])[0].1;
    let bad = [
        input_grad(&dy[1..], 2, owner.matrix([3, 4]), &mut [0.0; 8]),
        input_grad(&dy, 2, owner.matrix([3, 4]), &mut [0.0; 7]),
        weight_grad(&dy, &w, [2, 3, 4], &mut [0.0; 12]),
        weight_grad(&dy, &w[..8], [2, 3, 4], &mut [0.0; 11]),
        weight_grad(&dy[..5], &w[..8], [2, 3, 4], &mut [0.0; 12]),
    ];
    for result in bad {
        assert!(matches!(result, Err(Error::Length { .. })), "{result:?}");
    }
}
