//! Backward passes. RoPE and expert dispatch have theirs; the other ops are differentiated through
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
                // A gradient has its tensor's type, so that it adds to others of that tensor.
                let value = if value.dtype() == dtype {
                    value
                } else {
                    B::float_cast(value, dtype.into())
                };
                grads.register::<B>(node.id, value);
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
    fn linear(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        no_backward("linear")
    }
    fn linear_bias(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        no_backward("linear")
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
