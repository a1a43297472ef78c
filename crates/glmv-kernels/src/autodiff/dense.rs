//! Backward steps of rotary embeddings, linear layers, norms, gated activations and attention.

use super::{Differentiable, of_type, register, tracked};
use crate::autodiff::codes::{Codes, grad_input};
use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};

#[derive(Debug)]
pub(super) struct RopeBackward;

impl<B: Differentiable> Backward<B, 1> for RopeBackward {
    /// Table, positions, axes, interleaved, inverse.
    type State = (FloatTensor<B>, IntTensor<B>, IntTensor<B>, bool, bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([parent], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (table, pos, axis, interleaved, inverse) = ops.state;
        // A rotation is orthogonal: its transpose rotates by the opposite angle.
        let dx = B::rope(grad, table, pos, axis, interleaved, !inverse);
        register::<B>(grads, parent, dx);
    }
}

#[derive(Debug)]
pub(super) struct LinearBackward;

/// What a linear layer keeps.
#[derive(Clone, Debug)]
pub(super) struct LinearState<B: Differentiable> {
    /// If the weight is tracked.
    pub x: Option<FloatTensor<B>>,
    /// If x is tracked.
    pub weight: Option<FloatTensor<B>>,
    pub outputs: usize,
    /// Of x, weight and bias.
    pub dtypes: [DType; 3],
}

/// Parents are x, the weight and, if there is one, the bias.
impl<B: Differentiable, const N: usize> Backward<B, N> for LinearBackward {
    type State = LinearState<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (parents, grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let [dx, dweight, dbias] = ops.state.dtypes;
        if let (Some(id), Some(weight)) = (parents[0], ops.state.weight) {
            let value = B::linear_grad_input(grad.clone(), weight);
            grads.register::<B>(id, of_type::<B>(value, dx));
        }
        if let (Some(id), Some(x)) = (parents[1], ops.state.x) {
            let value = B::linear_grad_weight(grad.clone(), x);
            grads.register::<B>(id, of_type::<B>(value, dweight));
        }
        if let Some(Some(id)) = parents.get(2) {
            let value = bias_grad::<B>(grad, ops.state.outputs);
            grads.register::<B>(*id, of_type::<B>(value, dbias));
        }
    }
}

/// Sum over the rows: `[.., n]` → `[n]`.
fn bias_grad<B: Differentiable>(grad: FloatTensor<B>, n: usize) -> FloatTensor<B> {
    let rows = grad.shape().num_elements() / n;
    let rows = B::float_reshape(grad, Shape::new([rows, n]));
    B::float_reshape(B::float_sum_dim(rows, 0), Shape::new([n]))
}

#[derive(Debug)]
pub(super) struct CodedLinearBackward;

/// Parents are x and, if there is one, the bias; codes are frozen.
impl<B: Differentiable, const N: usize> Backward<B, N> for CodedLinearBackward {
    type State = (Codes<B>, DType);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (parents, grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (codes, bias) = ops.state;
        let outputs = codes.rows();
        if let Some(id) = parents[0] {
            grads.register::<B>(id, grad_input(&codes, grad.clone()));
        }
        if let Some(Some(id)) = parents.get(1) {
            let value = bias_grad::<B>(grad, outputs);
            grads.register::<B>(*id, of_type::<B>(value, bias));
        }
    }
}

#[derive(Debug)]
pub(super) struct NormBackward;

/// Parents are x and the weight.
impl<B: Differentiable> Backward<B, 2> for NormBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([dx, dw], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (x, weight, eps) = ops.state;
        norm_grads::<B>(grads, [dx, dw], x, weight, eps, grad);
    }
}

#[derive(Debug)]
pub(super) struct NormAddBackward;

/// Parents are the residual, what is normed, and the weight.
impl<B: Differentiable> Backward<B, 3> for NormAddBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([dh, da, dw], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (a, weight, eps) = ops.state;
        register::<B>(grads, dh, grad.clone());
        norm_grads::<B>(grads, [da, dw], a, weight, eps, grad);
    }
}

fn norm_grads<B: Differentiable>(
    grads: &mut Gradients,
    [dx, dw]: [Option<burn::backend::autodiff::NodeId>; 2],
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    eps: f32,
    grad: FloatTensor<B>,
) {
    if dx.is_none() && dw.is_none() {
        return;
    }
    let dtype = weight.dtype();
    let (value, dweight) = B::rms_norm_grad(x, weight, grad, eps, dw.is_some());
    register::<B>(grads, dx, value);
    if let Some(value) = dweight {
        register::<B>(grads, dw, of_type::<B>(value, dtype));
    }
}

#[derive(Debug)]
pub(super) struct SwigluBackward;

impl<B: Differentiable> Backward<B, 1> for SwigluBackward {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([parent], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        register::<B>(grads, parent, B::swiglu_grad(ops.state, grad));
    }
}

#[derive(Debug)]
pub(super) struct SiluMulBackward;

/// Parents are gate and up.
impl<B: Differentiable> Backward<B, 2> for SiluMulBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([gate, up], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let [dgate, dup] = B::silu_mul_grad(ops.state.0, ops.state.1, grad);
        register::<B>(grads, gate, dgate);
        register::<B>(grads, up, dup);
    }
}

#[derive(Debug)]
pub(super) struct AttentionBackward;

/// Parents are q, k and v.
impl<B: Differentiable> Backward<B, 3> for AttentionBackward {
    /// q, k and v; ranges; scale; the result.
    type State = ([FloatTensor<B>; 3], IntTensor<B>, f32, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (parents, grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (qkv, range, scale, out) = ops.state;
        let dtypes = qkv.each_ref().map(TensorMetadata::dtype);
        let values = B::attention_grad(qkv, range, scale, out, grad);
        for ((parent, value), dtype) in parents.into_iter().zip(values).zip(dtypes) {
            register::<B>(grads, parent, of_type::<B>(value, dtype));
        }
    }
}
