//! What the backward passes of `autodiff` need from a backend: gradients in WGSL on wgpu and in native
//! Rust on the CPU device. Never dispatched by itself, so plain traits do.

#![allow(
    clippy::too_many_arguments,
    reason = "one primitive per buffer, as in the forward trait"
)]

use crate::moe::RouterConfig;
use crate::scores::Piece;
use crate::{
    attention, elementwise_backward, linear_backward, moe, moe_cube, norm_backward,
    router_backward, scatter, scores,
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Flex};
use burn_cubecl::CubeBackend;

/// Gradients of the forward ops, each in f32 and in the shape of what it belongs to. The last float
/// argument is always the gradient of the op's output.
pub(crate) trait GradOps: Backend {
    fn linear_grad_input(grad: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    fn linear_grad_weight(grad: FloatTensor<Self>, x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// For x and, where wanted, the weight.
    fn rms_norm_grad(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f32,
        wants_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);
    fn swiglu_grad(gate_up: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
    /// For gate and up.
    fn silu_mul_grad(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];
    /// For q, k and v; `out` is the op's result.
    fn attention_grad(
        qkv: [FloatTensor<Self>; 3],
        range: IntTensor<Self>,
        scale: f32,
        out: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
    /// For the logits; `ids` is the choice.
    fn moe_router_grad(
        logits: FloatTensor<Self>,
        ids: IntTensor<Self>,
        config: RouterConfig,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// Row r of the result is the sum of `factors[i] * grad[i / spread]` over the i with
    /// `ids[i] - base == r`, in the order of i; `[rows, d]`.
    fn scatter_rows(
        grad: FloatTensor<Self>,
        ids: IntTensor<Self>,
        factors: Option<FloatTensor<Self>>,
        spread: usize,
        base: usize,
        rows: usize,
    ) -> FloatTensor<Self>;
    /// For x, weights, gate_up and down, where wanted.
    fn moe_experts_grad(
        tensors: [FloatTensor<Self>; 4],
        ids: IntTensor<Self>,
        base: usize,
        grad: FloatTensor<Self>,
        wants: [bool; 4],
    ) -> [Option<FloatTensor<Self>>; 4];
    /// Adds a piece of the scores to `state` `[rows, 3]`, new for the first piece; see `scores`.
    fn score_fold(
        scores: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        targets: IntTensor<Self>,
        state: Option<FloatTensor<Self>>,
        piece: Piece,
    ) -> FloatTensor<Self>;
    /// The gradient of a piece of the scores from that of the state.
    fn score_grad(
        scores: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        targets: IntTensor<Self>,
        state: FloatTensor<Self>,
        piece: Piece,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The methods of a backend, from the half of each op's file that is its own.
macro_rules! grad_ops {
    ($backend:ty, $half:ident, $experts:path) => {
        impl GradOps for $backend {
            fn linear_grad_input(
                grad: FloatTensor<Self>,
                weight: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                linear_backward::$half::grad_input(grad, weight)
            }
            fn linear_grad_weight(
                grad: FloatTensor<Self>,
                x: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                linear_backward::$half::grad_weight(grad, x)
            }
            fn rms_norm_grad(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                grad: FloatTensor<Self>,
                eps: f32,
                wants_weight: bool,
            ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
                norm_backward::$half::rms_norm(x, weight, grad, eps, wants_weight)
            }
            fn swiglu_grad(
                gate_up: FloatTensor<Self>,
                grad: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                elementwise_backward::$half::swiglu(gate_up, grad)
            }
            fn silu_mul_grad(
                gate: FloatTensor<Self>,
                up: FloatTensor<Self>,
                grad: FloatTensor<Self>,
            ) -> [FloatTensor<Self>; 2] {
                elementwise_backward::$half::silu_mul(gate, up, grad)
            }
            fn attention_grad(
                qkv: [FloatTensor<Self>; 3],
                range: IntTensor<Self>,
                scale: f32,
                out: FloatTensor<Self>,
                grad: FloatTensor<Self>,
            ) -> [FloatTensor<Self>; 3] {
                attention::backward::$half::attention(qkv, range, scale, out, grad)
            }
            fn moe_router_grad(
                logits: FloatTensor<Self>,
                ids: IntTensor<Self>,
                config: RouterConfig,
                grad: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                router_backward::$half::moe_router(logits, ids, config, grad)
            }
            fn scatter_rows(
                grad: FloatTensor<Self>,
                ids: IntTensor<Self>,
                factors: Option<FloatTensor<Self>>,
                spread: usize,
                base: usize,
                rows: usize,
            ) -> FloatTensor<Self> {
                scatter::$half::rows(grad, ids, factors, spread, [base, rows])
            }
            fn moe_experts_grad(
                tensors: [FloatTensor<Self>; 4],
                ids: IntTensor<Self>,
                base: usize,
                grad: FloatTensor<Self>,
                wants: [bool; 4],
            ) -> [Option<FloatTensor<Self>>; 4] {
                $experts(tensors, ids, base, grad, wants)
            }
            fn score_fold(
                scores: FloatTensor<Self>,
                mask: FloatTensor<Self>,
                targets: IntTensor<Self>,
                state: Option<FloatTensor<Self>>,
                piece: Piece,
            ) -> FloatTensor<Self> {
                scores::$half::fold(scores, mask, targets, state, piece)
            }
            fn score_grad(
                scores: FloatTensor<Self>,
                mask: FloatTensor<Self>,
                targets: IntTensor<Self>,
                state: FloatTensor<Self>,
                piece: Piece,
                grad: FloatTensor<Self>,
            ) -> FloatTensor<Self> {
                scores::$half::grad(scores, mask, targets, state, piece, grad)
            }
        }
    };
}

grad_ops!(CubeBackend, cube, moe_cube::moe_experts_grad);
grad_ops!(Flex, native, moe::native::moe_experts_grad);
