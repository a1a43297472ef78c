//! Backward passes. RoPE, linear layers and expert dispatch have theirs; the other ops are differentiated through
//! their twins, and `route` never sends a tracked tensor here for them.

use crate::backend::{ExpertGrads, KernelOps};
use crate::moe::RouterConfig;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};
use glmv_quant::Format;

#[derive(Debug)]
struct RopeBackward;

impl<B: KernelOps> Backward<B, 1> for RopeBackward {
    type State = (FloatTensor<B>, IntTensor<B>, IntTensor<B>, bool, bool);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [parent] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (table, pos, axis, interleaved, inverse) = ops.state;
        if let Some(node) = parent {
            // A rotation is orthogonal: its transpose rotates by the opposite angle.
            let dx = B::rope(grad, table, pos, axis, interleaved, !inverse);
            grads.register::<B>(node.id, dx);
        }
    }
}

#[derive(Debug)]
struct LinearBackward;

/// Parents are x, the weight and, if there is one, the bias.
impl<B: KernelOps, const N: usize> Backward<B, N> for LinearBackward {
    /// x, the weight and the type of the bias.
    type State = (FloatTensor<B>, FloatTensor<B>, DType);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, weight, bias) = ops.state;
        let n = weight.shape()[0];
        for (i, parent) in ops.parents.into_iter().enumerate() {
            let Some(node) = parent else { continue };
            let (value, dtype) = match i {
                0 => {
                    let dx = B::linear_grad_input(grad.clone(), weight.clone());
                    (dx, x.dtype())
                }
                1 => (
                    B::linear_grad_weight(grad.clone(), x.clone()),
                    weight.dtype(),
                ),
                _ => {
                    let rows = grad.shape().num_elements() / n;
                    let rows = B::float_reshape(grad.clone(), Shape::new([rows, n]));
                    let sums = B::float_sum_dim(rows, 0);
                    (B::float_reshape(sums, Shape::new([n])), bias)
                }
            };
            grads.register::<B>(node.id, of_type::<B>(value, dtype));
        }
    }
}

/// A gradient has its tensor's type, so that it adds to others of that tensor.
fn of_type<B: KernelOps>(value: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    match value.dtype() == dtype {
        true => value,
        false => B::float_cast(value, dtype.into()),
    }
}

#[derive(Debug)]
struct ExpertsBackward;

impl<B: KernelOps> Backward<B, 4> for ExpertsBackward {
    type State = (
        FloatTensor<B>,
        IntTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        FloatTensor<B>,
        usize,
    );

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (x, ids, weights, gate_up, down, base) = ops.state;
        let dtypes = [&x, &weights, &gate_up, &down].map(TensorMetadata::dtype);
        let (dx, dw, dgu, dd) = B::moe_experts_backward(x, ids, weights, gate_up, down, base, grad);
        let values = [dx, dw, dgu, dd].into_iter().zip(dtypes);
        for (parent, (value, dtype)) in ops.parents.into_iter().zip(values) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, of_type::<B>(value, dtype));
            }
        }
    }
}

/// An op without a hand-written backward reached autodiff: a routing bug, since `route` sends it
/// to its twin there.
fn no_backward(op: &str) -> ! {
    panic!("{op} has no hand-written backward: call its twin on an autodiff device")
}

impl<B: KernelOps, C: CheckpointStrategy> KernelOps for Autodiff<B, C> {
    fn rope(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
        interleaved: bool,
        inverse: bool,
    ) -> FloatTensor<Self> {
        let table = table.into_primitive();
        match RopeBackward
            .prepare::<C>([x.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let state = (
                    table.clone(),
                    pos.clone(),
                    axis.clone(),
                    interleaved,
                    inverse,
                );
                let out = B::rope(x.into_primitive(), table, pos, axis, interleaved, inverse);
                prep.finish(state, out)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::rope(
                x.into_primitive(),
                table,
                pos,
                axis,
                interleaved,
                inverse,
            )),
        }
    }

    fn moe_experts(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        base: usize,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weights.node(), gate_up.node(), down.node()];
        let (x, weights) = (x.into_primitive(), weights.into_primitive());
        let (gate_up, down) = (gate_up.into_primitive(), down.into_primitive());
        match ExpertsBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let state = (
                    x.clone(),
                    ids.clone(),
                    weights.clone(),
                    gate_up.clone(),
                    down.clone(),
                    base,
                );
                prep.finish(state, B::moe_experts(x, ids, weights, gate_up, down, base))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::moe_experts(x, ids, weights, gate_up, down, base))
            }
        }
    }

    fn rms_norm(_: FloatTensor<Self>, _: FloatTensor<Self>, _: f32) -> FloatTensor<Self> {
        no_backward("rms_norm")
    }
    fn rms_norm_add(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
    ) -> FloatTensor<Self> {
        no_backward("rms_norm_add")
    }
    fn add_rms_norm(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        no_backward("add_rms_norm")
    }
    fn swiglu(_: FloatTensor<Self>) -> FloatTensor<Self> {
        no_backward("swiglu")
    }
    fn silu_mul(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        no_backward("silu_mul")
    }
    fn pos_embed(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        no_backward("pos_embed")
    }
    fn splice(_: FloatTensor<Self>, _: FloatTensor<Self>, _: IntTensor<Self>) -> FloatTensor<Self> {
        no_backward("splice")
    }
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        match LinearBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let state = (x.clone(), weight.clone(), DType::F32);
                prep.finish(state, <B as KernelOps>::linear(x, weight))
            }
            OpsKind::UnTracked(prep) => prep.finish(<B as KernelOps>::linear(x, weight)),
        }
    }
    fn linear_bias(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        match LinearBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let state = (x.clone(), weight.clone(), bias.dtype());
                prep.finish(state, B::linear_bias(x, weight, bias))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::linear_bias(x, weight, bias)),
        }
    }
    fn linear_grad_input(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        no_backward("linear_grad_input")
    }
    fn linear_grad_weight(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        no_backward("linear_grad_weight")
    }
    fn linear_codes(
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: IntTensor<Self>,
        _: Format,
    ) -> FloatTensor<Self> {
        no_backward("linear")
    }
    fn linear_codes_bias(
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: IntTensor<Self>,
        _: FloatTensor<Self>,
        _: Format,
    ) -> FloatTensor<Self> {
        no_backward("linear")
    }
    fn moe_experts_codes(
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: IntTensor<Self>,
        _: IntTensor<Self>,
        _: IntTensor<Self>,
        _: [Format; 2],
        _: usize,
    ) -> FloatTensor<Self> {
        no_backward("moe_experts over codes")
    }
    fn embed(_: FloatTensor<Self>, _: IntTensor<Self>, _: usize) -> FloatTensor<Self> {
        no_backward("embed")
    }
    fn embed_codes(
        _: IntTensor<Self>,
        _: IntTensor<Self>,
        _: IntTensor<Self>,
        _: (Format, usize),
        _: usize,
    ) -> FloatTensor<Self> {
        no_backward("embed")
    }
    fn attention(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: f32,
    ) -> FloatTensor<Self> {
        no_backward("attention")
    }
    fn moe_router(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: RouterConfig,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        no_backward("moe_router")
    }
    fn moe_experts_backward(
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: usize,
        _: FloatTensor<Self>,
    ) -> ExpertGrads<Self> {
        no_backward("moe_experts_backward")
    }
    fn rope_angles(
        _: FloatTensor<Self>,
        _: IntTensor<Self>,
        _: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        no_backward("rope_angles")
    }
}
