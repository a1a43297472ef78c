//! One step of the AdamW optimiser over flat tensors, in place where nobody else holds them.

use crate::adamw_coded;
use crate::route::{Op, Route, route};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{DType, Tensor};
use burn_cubecl::CubeBackend;

/// The numbers of one step, corrections of the bias included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Factor on the gradient, for clipping.
    pub clip: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// Learning rate over `1 - beta1^t`.
    pub rate: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    pub root: f32,
    /// `1 - learning rate * decay`.
    pub keep: f32,
}

impl AdamWStep {
    /// All of them, in the order of the shaders' info.
    pub(crate) fn list(self) -> [f32; 7] {
        let AdamWStep {
            clip,
            beta1,
            beta2,
            eps,
            rate,
            root,
            keep,
        } = self;
        [clip, beta1, beta2, eps, rate, root, keep]
    }
}

/// `g = clip·grad`, `mean = β₁·mean + (1-β₁)·g`, `square = β₂·square + (1-β₂)·g²`,
/// `value = keep·value - rate·mean / (√square·root + ε)`; returns value, mean, square.
///
/// # Shapes
/// All `[n]`, f32, outside of any graph.
///
/// # Panics
/// If the lengths differ.
///
/// Source: Loshchilov and Hutter, "Decoupled weight decay regularization"; `torch.optim.AdamW`.
pub fn adamw(
    value: Tensor<1>,
    grad: Tensor<1>,
    [mean, square]: [Tensor<1>; 2],
    step: AdamWStep,
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let lengths = [&value, &grad, &mean, &square].map(|t| t.dims()[0]);
    assert!(
        lengths.iter().all(|n| *n == lengths[0]),
        "{lengths:?} values"
    );
    let device = value.device();
    let all_f32 = [&value, &grad, &mean, &square]
        .iter()
        .all(|t| t.dtype() == DType::F32);
    if route(Op::AdamW, &device) == Route::Twin || !all_f32 || lengths[0] == 0 {
        return adamw_reference(value, grad, [mean, square], step);
    }
    let (value, mean, square) = <Dispatch as OptimOps>::adamw(
        value.into_dispatch(),
        grad.into_dispatch(),
        mean.into_dispatch(),
        square.into_dispatch(),
        step,
    );
    let out = |t| Tensor::from_dispatch(t);
    (out(value), [out(mean), out(square)])
}

/// Definition of [`adamw`] in tensor operations.
pub fn adamw_reference(
    value: Tensor<1>,
    grad: Tensor<1>,
    [mean, square]: [Tensor<1>; 2],
    step: AdamWStep,
) -> (Tensor<1>, [Tensor<1>; 2]) {
    let grad = grad.mul_scalar(step.clip);
    let mean = mean.mul_scalar(step.beta1) + grad.clone().mul_scalar(1.0 - step.beta1);
    let squares = grad.clone() * grad;
    let square = square.mul_scalar(step.beta2) + squares.mul_scalar(1.0 - step.beta2);
    let scale = square
        .clone()
        .sqrt()
        .mul_scalar(step.root)
        .add_scalar(step.eps);
    let update = mean.clone().mul_scalar(step.rate) / scale;
    (value.mul_scalar(step.keep) - update, [mean, square])
}

/// The optimiser's operations; nothing here has a gradient.
#[backend_extension(Cube, Flex)]
pub(crate) trait OptimOps: Backend {
    fn adamw(
        value: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        square: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    /// Value, codes and scales after a step of the given number.
    fn adamw_coded(
        value: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        step: (AdamWStep, u32),
    ) -> (FloatTensor<Self>, IntTensor<Self>, FloatTensor<Self>);
}

impl OptimOps for CubeBackend {
    fn adamw(
        value: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        square: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        use crate::kv::cube::writable;
        use crate::launch::{f32_rows, fold, launch};
        use burn::backend::TensorMetadata;
        let (value, mean, square) = (writable(value), writable(mean), writable(square));
        let grad = f32_rows(grad);
        let n = value.shape().num_elements();
        let mut info = vec![n as u32];
        info.extend(step.list().map(f32::to_bits));
        let buffers = [&value, &grad, &mean, &square];
        launch("adamw", vec![], fold(n.div_ceil(64 * 8)), &buffers, &info);
        (value, mean, square)
    }
    fn adamw_coded(
        value: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        step: (AdamWStep, u32),
    ) -> (FloatTensor<Self>, IntTensor<Self>, FloatTensor<Self>) {
        adamw_coded::cube::step([value, grad, scales], codes, step)
    }
}

impl OptimOps for Flex {
    fn adamw(
        value: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        square: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        use rayon::prelude::*;
        const RUN: usize = 1 << 14;
        let grad = crate::flex::f32_rows(grad);
        use crate::flex::writable;
        let (mut value, mut mean, mut square) = (writable(value), writable(mean), writable(square));
        let AdamWStep {
            clip,
            beta1,
            beta2,
            eps,
            rate,
            root,
            keep,
        } = step;
        let runs = value.storage_mut::<f32>().par_chunks_mut(RUN);
        let means = mean.storage_mut::<f32>().par_chunks_mut(RUN);
        let squares = square.storage_mut::<f32>().par_chunks_mut(RUN);
        let grads = crate::flex::floats(&grad).par_chunks(RUN);
        runs.zip(means)
            .zip(squares.zip(grads))
            .for_each(|((v, m), (s, g))| {
                for ((v, m), (s, g)) in v.iter_mut().zip(m).zip(s.iter_mut().zip(g)) {
                    let g = clip * g;
                    *m = beta1 * *m + (1.0 - beta1) * g;
                    *s = beta2 * *s + (1.0 - beta2) * g * g;
                    *v = keep * *v - rate * *m / (s.sqrt() * root + eps);
                }
            });
        (value, mean, square)
    }
    fn adamw_coded(
        value: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        step: (AdamWStep, u32),
    ) -> (FloatTensor<Self>, IntTensor<Self>, FloatTensor<Self>) {
        adamw_coded::native::step([value, grad, scales], codes, step)
    }
}
