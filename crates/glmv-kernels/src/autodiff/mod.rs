//! The backend extension under autodiff: every op runs the same kernel as without, and records a
//! backward pass of its own. Steps keep what their gradients need and no more: a layer whose weight is
//! frozen does not hold its input.

use crate::backend::KernelOps;
use crate::backend_grad::GradOps;
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::strategy::CheckpointStrategy,
    grads::Gradients,
    ops::{Backward, NodeGuard, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::DType;

pub(crate) mod codes;
mod dense;
mod expert_linear;
mod experts;
mod forward;
mod head;
mod rows;

/// A backend whose ops can be differentiated here.
pub(crate) trait Differentiable: KernelOps + GradOps {}
impl<B: KernelOps + GradOps> Differentiable for B {}

/// The output with its backward step, if any parent is tracked.
fn record<B, C, P, const N: usize>(
    step: P,
    nodes: [NodeGuard; N],
    state: P::State,
    out: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>>
where
    B: Backend,
    C: CheckpointStrategy,
    P: Backward<B, N>,
{
    match step.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(state, out),
        OpsKind::UnTracked(prep) => prep.finish(out),
    }
}

/// The tracked parents.
fn tracked<S, const N: usize>(ops: &Ops<S, N>) -> [Option<NodeId>; N] {
    let parents = ops.parents.each_ref();
    parents.map(|parent| parent.as_ref().map(|node| node.id))
}

/// Registers a gradient with a parent.
fn register<B: Backend>(grads: &mut Gradients, parent: Option<NodeId>, value: FloatTensor<B>) {
    if let Some(id) = parent {
        grads.register::<B>(id, value);
    }
}

/// A gradient has its tensor's type, so that it adds to others of that tensor.
fn of_type<B: Backend>(value: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    match value.dtype() == dtype {
        true => value,
        false => B::float_cast(value, dtype.into()),
    }
}
