//! Gradients against finite differences.

use crate::support::{Source, View, devices, read};
use burn::tensor::Tensor;

/// Step of the differences: their error falls with its square, the rounding of the values grows.
const STEP: f32 = 1.0 / 64.0;

/// Slopes of a sum of the outputs, weighted by numbers, along directions of +-1: from the gradients
/// and from differences of the values. Each must agree within 1 %, and the gradient's slope 10 % off
/// must not.
///
/// # Panics
/// If they differ, or if the 10 % pass.
pub fn slopes<const N: usize>(lens: [usize; N], op: impl Fn([Tensor<1>; N]) -> Tensor<1>) {
    for (label, device) in devices() {
        let device = device.autodiff();
        let mut source = Source::new(&device, View::Rows);
        let inputs = lens.map(|len| source.floats([len]));
        let sum = |inputs: [Tensor<1>; N]| {
            let y = op(inputs);
            let factors = Source::new(&device, View::Window).floats(y.dims());
            (y * factors).sum()
        };
        let tracked = inputs.clone().map(Tensor::require_grad);
        let grads = sum(tracked.clone()).backward();
        let mut rejected = 0;
        for _ in 0..4 {
            let ways = lens.map(|len| source.floats([len]).sign());
            let moved = |step: f32| {
                let mut ways = ways.clone().into_iter();
                let values = inputs.clone().map(|t| match ways.next() {
                    Some(way) => t + way * step,
                    None => t,
                });
                f64::from(read(sum(values))[0])
            };
            let numeric = (moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP);
            let along = tracked.iter().zip(&ways).map(|(t, way)| {
                let grad = t.grad(&grads).expect("reached");
                let way = way.clone().inner();
                f64::from(read((grad * way).sum())[0])
            });
            let slope: f64 = along.sum();
            let near = |slope: f64| (slope - numeric).abs() <= 0.01 * numeric.abs().max(1.0);
            assert!(near(slope), "{label}: slope {slope}, differences {numeric}");
            rejected += usize::from(!near(slope * 1.1));
        }
        assert!(rejected > 0, "{label}: slopes 10 % off were accepted");
    }
}
