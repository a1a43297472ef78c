//! Backward steps of the router and of expert dispatch.

use super::codes::{Codes, runs};
use super::{Differentiable, of_type, register, tracked};
use crate::moe::RouterConfig;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::Shape;

#[derive(Debug)]
pub(super) struct RouterBackward;

impl<B: Differentiable> Backward<B, 1> for RouterBackward {
    /// Logits, the choice, how it was made.
    type State = (FloatTensor<B>, IntTensor<B>, RouterConfig);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([parent], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (logits, ids, config) = ops.state;
        let value = B::moe_router_grad(logits, ids, config, grad);
        register::<B>(grads, parent, value);
    }
}

#[derive(Debug)]
pub(super) struct ExpertsBackward;

/// Parents are x, the router's weights, gate_up and down.
impl<B: Differentiable> Backward<B, 4> for ExpertsBackward {
    /// The parents, the ids, the first expert.
    type State = ([FloatTensor<B>; 4], IntTensor<B>, usize);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (parents, grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (tensors, ids, base) = ops.state;
        let dtypes = tensors.each_ref().map(TensorMetadata::dtype);
        let wants = parents.map(|parent| parent.is_some());
        let values = B::moe_experts_grad(tensors, ids, base, grad, wants);
        for ((parent, value), dtype) in parents.into_iter().zip(values).zip(dtypes) {
            if let Some(value) = value {
                register::<B>(grads, parent, of_type::<B>(value, dtype));
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct CodedExpertsBackward;

/// What dispatch to experts of codes keeps.
#[derive(Clone, Debug)]
pub(super) struct CodedExperts<B: Differentiable> {
    pub x: FloatTensor<B>,
    pub weights: FloatTensor<B>,
    pub ids: IntTensor<B>,
    pub gate_up: Codes<B>,
    pub down: Codes<B>,
    pub base: usize,
}

/// Parents are x and the router's weights; codes are frozen.
impl<B: Differentiable> Backward<B, 2> for CodedExpertsBackward {
    type State = CodedExperts<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (parents, grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let s = ops.state;
        let (hidden, width) = (s.gate_up.inner, s.down.inner);
        let wants = [parents[0].is_some(), parents[1].is_some(), false, false];
        let mut sums = [None, None];
        for run in runs(s.down.rows() / hidden, 3 * hidden * width) {
            let wide = |codes: &Codes<B>, rows: usize| {
                let values = codes.wide(run.start * rows..run.end * rows);
                B::float_reshape(values, Shape::new([run.len(), rows, codes.inner]))
            };
            let (gate_up, down) = (wide(&s.gate_up, 2 * width), wide(&s.down, hidden));
            let tensors = [s.x.clone(), s.weights.clone(), gate_up, down];
            let base = s.base + run.start;
            let [dx, dw, ..] =
                B::moe_experts_grad(tensors, s.ids.clone(), base, grad.clone(), wants);
            for (sum, part) in sums.iter_mut().zip([dx, dw]) {
                *sum = match (sum.take(), part) {
                    (Some(a), Some(b)) => Some(B::float_add(a, b)),
                    (a, b) => a.or(b),
                };
            }
        }
        for (parent, sum) in parents.into_iter().zip(sums) {
            if let Some(value) = sum {
                register::<B>(grads, parent, value);
            }
        }
    }
}
