//! The optimiser's step against its twin.

use super::{Inputs, Outcome, difference, worst};
use crate::{AdamWStep, CodedMeans, adamw, adamw_coded, adamw_coded_reference, adamw_reference};
use burn::tensor::Tensor;

pub(super) fn steps(inputs: &Inputs) -> Outcome {
    let step = AdamWStep {
        clip: 0.5,
        beta1: 0.9,
        beta2: 0.95,
        eps: 1e-8,
        rate: 0.01,
        root: 1.5,
        keep: 0.99,
    };
    worst([1, 63, 4099].map(|n| {
        let row = || -> Tensor<1> { inputs.floats([n]) };
        let (value, grad, mean) = (row(), row(), row());
        let square = row().abs() + 0.01;
        let means = || [mean.clone(), square.clone()];
        let (a, [b, c]) = adamw(value.clone(), grad.clone(), means(), step);
        let (x, [y, z]) = adamw_reference(value, grad, means(), step);
        let float = worst([(a, x), (b, y), (c, z)].map(|(got, want)| difference(got, want)));
        worst([float, coded(inputs, n, step)])
    }))
}

/// A step with means of 8 bits, from means of the twin.
fn coded(inputs: &Inputs, n: usize, step: AdamWStep) -> Outcome {
    let (value, grad): (Tensor<1>, Tensor<1>) = (inputs.floats([n]), inputs.floats([n]));
    let none = CodedMeans::zeros(n, &inputs.device);
    let (value, means) = adamw_coded_reference(value, grad.clone(), none, step, 0);
    let (a, b) = adamw_coded(value.clone(), grad.clone(), means.clone(), step, 1);
    let (x, y) = adamw_coded_reference(value, grad, means, step, 1);
    let scales = [b, y].map(|means| means.scales().clone());
    let [b, y] = scales;
    worst([difference(a, x), difference(b, y)])
}
