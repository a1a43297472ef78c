//! Products per expert under autodiff: the kernels of the backend below, and the way back to the rows
//! and to a float stack. Codes are frozen.

use super::codes::{Codes, runs};
use super::{Differentiable, of_type, record, tracked};
use crate::backend_expert::{ExpertGrads, ExpertOps};
use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, Shape};
use glmv_quant::Format;

/// A backend with both halves.
trait Experts: Differentiable + ExpertOps + ExpertGrads {}
impl<B: Differentiable + ExpertOps + ExpertGrads> Experts for B {}

/// Sums what the slots of each of `rows` rows got: `[slots, k]` → `[rows, k]`.
fn of_rows<B: Differentiable>(slots: FloatTensor<B>, rows: usize) -> FloatTensor<B> {
    let shape = slots.shape();
    let (count, k) = (shape[0], shape[1]);
    if rows == count || rows == 0 {
        return slots;
    }
    let groups = B::float_reshape(slots, Shape::new([rows, count / rows, k]));
    B::float_reshape(B::float_sum_dim(groups, 1), Shape::new([rows, k]))
}

#[derive(Debug)]
struct FloatsBackward;

/// What a product with a float stack keeps.
#[derive(Clone, Debug)]
struct Floats<B: Differentiable> {
    /// If the weight is tracked.
    x: Option<FloatTensor<B>>,
    /// If x is tracked.
    weight: Option<FloatTensor<B>>,
    ids: IntTensor<B>,
    base: usize,
    /// Rows of x, experts.
    sizes: [usize; 2],
    /// Of x and the weight.
    dtypes: [DType; 2],
}

/// Parents are x and the weight.
impl<B: Experts> Backward<B, 2> for FloatsBackward {
    type State = Floats<B>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (parents, grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let s = ops.state;
        let ([rows, experts], base) = (s.sizes, s.base);
        if let (Some(id), Some(weight)) = (parents[0], s.weight) {
            let dx = B::expert_linear_grad_input(grad.clone(), s.ids.clone(), weight, base);
            grads.register::<B>(id, of_type::<B>(of_rows::<B>(dx, rows), s.dtypes[0]));
        }
        if let (Some(id), Some(x)) = (parents[1], s.x) {
            let dw = B::expert_linear_grad_weight(grad, s.ids, x, base, experts);
            grads.register::<B>(id, of_type::<B>(dw, s.dtypes[1]));
        }
    }
}

#[derive(Debug)]
struct CodesBackward;

/// The only parent is x.
impl<B: Experts> Backward<B, 1> for CodesBackward {
    /// The stack as one matrix, the ids, the first expert, rows of x, outputs of an expert.
    type State = (Codes<B>, IntTensor<B>, usize, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([parent], grad) = (tracked(&ops), grads.consume::<B>(&ops.node));
        let (codes, ids, base, [rows, out]) = ops.state;
        let Some(id) = parent else { return };
        let parts = runs(codes.rows() / out, out * codes.inner).map(|run| {
            let wide = codes.wide(run.start * out..run.end * out);
            let wide = B::float_reshape(wide, Shape::new([run.len(), out, codes.inner]));
            B::expert_linear_grad_input(grad.clone(), ids.clone(), wide, base + run.start)
        });
        if let Some(dx) = parts.reduce(B::float_add) {
            grads.register::<B>(id, of_rows::<B>(dx, rows));
        }
    }
}

impl<B: Experts, C: CheckpointStrategy> ExpertOps for Autodiff<B, C> {
    fn expert_linear(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weight: FloatTensor<Self>,
        base: usize,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let state = Floats {
            x: weight.is_tracked().then(|| x.primitive().clone()),
            weight: x.is_tracked().then(|| weight.primitive().clone()),
            ids: ids.clone(),
            base,
            sizes: [x.shape()[0], weight.shape()[0]],
            dtypes: [x.dtype(), weight.dtype()],
        };
        let out = B::expert_linear(x.into_primitive(), ids, weight.into_primitive(), base);
        record::<B, C, _, 2>(FloatsBackward, nodes, state, out)
    }

    fn expert_linear_codes(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        format: Format,
        base: usize,
    ) -> FloatTensor<Self> {
        let (nodes, x) = ([x.node()], x.into_primitive());
        let (rows, inner, out) = (x.shape()[0], x.shape()[1], codes.shape()[1]);
        let stack = Codes::flat(codes.clone(), scales.clone(), format, inner);
        let state = (stack, ids.clone(), base, [rows, out]);
        let y = B::expert_linear_codes(x, ids, codes, scales, format, base);
        record::<B, C, _, 1>(CodesBackward, nodes, state, y)
    }
}
