//! The backend extension of the products per expert: WGSL, native Rust, and autodiff with its own
//! backward.

use crate::expert_linear::native;
use crate::moe_cube::linear as cube;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Flex, backend_extension};
use burn_cubecl::CubeBackend;
use glmv_quant::Format;

/// Shapes stand at [`crate::expert_linear`]; `_codes` takes the weight as codes and scales.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait ExpertOps: Backend {
    fn expert_linear(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weight: FloatTensor<Self>,
        base: usize,
    ) -> FloatTensor<Self>;
    fn expert_linear_codes(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        format: Format,
        base: usize,
    ) -> FloatTensor<Self>;
}

/// Gradients of `expert_linear`, in f32.
pub(crate) trait ExpertGrads: Backend {
    /// `grad[s] · weight[ids[s] - base]`: grad `[slots, out]` → `[slots, in]`, zeros for ids outside.
    fn expert_linear_grad_input(
        grad: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weight: FloatTensor<Self>,
        base: usize,
    ) -> FloatTensor<Self>;
    /// The sum of `grad[s]ᵀ · x[s / spread]` over the slots of each expert, in slot order:
    /// `[experts, out, in]`.
    fn expert_linear_grad_weight(
        grad: FloatTensor<Self>,
        ids: IntTensor<Self>,
        x: FloatTensor<Self>,
        base: usize,
        experts: usize,
    ) -> FloatTensor<Self>;
}

macro_rules! expert_ops {
    ($backend:ty, $half:ident) => {
        impl ExpertOps for $backend {
            fn expert_linear(
                x: FloatTensor<Self>,
                ids: IntTensor<Self>,
                weight: FloatTensor<Self>,
                base: usize,
            ) -> FloatTensor<Self> {
                $half::forward(x, ids, weight, base)
            }
            fn expert_linear_codes(
                x: FloatTensor<Self>,
                ids: IntTensor<Self>,
                codes: IntTensor<Self>,
                scales: IntTensor<Self>,
                format: Format,
                base: usize,
            ) -> FloatTensor<Self> {
                $half::forward_codes(x, ids, [codes, scales], format, base)
            }
        }

        impl ExpertGrads for $backend {
            fn expert_linear_grad_input(
                grad: FloatTensor<Self>,
                ids: IntTensor<Self>,
                weight: FloatTensor<Self>,
                base: usize,
            ) -> FloatTensor<Self> {
                $half::grad_input(grad, ids, weight, base)
            }
            fn expert_linear_grad_weight(
                grad: FloatTensor<Self>,
                ids: IntTensor<Self>,
                x: FloatTensor<Self>,
                base: usize,
                experts: usize,
            ) -> FloatTensor<Self> {
                $half::grad_weight(grad, ids, x, base, experts)
            }
        }
    };
}

expert_ops!(CubeBackend, cube);
expert_ops!(Flex, native);
