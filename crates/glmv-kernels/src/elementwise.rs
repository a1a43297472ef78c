//! SwiGLU in its two layouts: one fused `[.., 2n]` tensor, or separate gate and up tensors.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::{Tensor, activation, s};

/// `silu(gate) * up` where the last axis holds gate first, then up.
///
/// # Shapes
/// `gate_up` `[.., 2n]` → `[.., n]`, f32.
///
/// # Panics
/// If the last axis is odd.
///
/// Source: HF `Glm4vTextMLP.forward`.
pub fn swiglu<const D: usize>(gate_up: Tensor<D>) -> Tensor<D> {
    let width = gate_up.dims()[D - 1];
    assert!(
        width.is_multiple_of(2),
        "gate and up need an even width, got {width}"
    );
    if route(Op::SwiGlu, &gate_up.device()) == Route::Twin {
        return swiglu_reference(gate_up);
    }
    Tensor::from_dispatch(Dispatch::swiglu(gate_up.into_dispatch()))
}

/// Definition of [`swiglu`] in tensor operations.
pub fn swiglu_reference<const D: usize>(gate_up: Tensor<D>) -> Tensor<D> {
    let dims = gate_up.dims();
    let width = dims[D - 1];
    let rows = dims.iter().product::<usize>() / width;
    let n = width / 2;
    let flat = gate_up.reshape([rows, width]);
    let gate = flat.clone().slice(s![.., 0..n]);
    let up = flat.slice(s![.., n..width]);
    let mut out = dims;
    out[D - 1] = n;
    silu_mul_reference(gate, up).reshape(out)
}

/// `silu(gate) * up`, element by element.
///
/// # Shapes
/// `gate`, `up` of one shape → the same shape, f32.
///
/// Source: HF `Glm4vMoeTextMLP.forward`, `Glm4VisionMlp.forward`.
pub fn silu_mul<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    assert_eq!(gate.dims(), up.dims(), "gate and up differ in shape");
    if route(Op::SwiGlu, &gate.device()) == Route::Twin {
        return silu_mul_reference(gate, up);
    }
    Tensor::from_dispatch(Dispatch::silu_mul(gate.into_dispatch(), up.into_dispatch()))
}

/// Definition of [`silu_mul`] in tensor operations.
pub fn silu_mul_reference<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    activation::silu(gate) * up
}

pub(crate) mod cube {
    //! WGSL launches.
    use crate::launch::{empty, f32_rows, fold, launch, vec_params};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::tensor::CubeTensor;

    /// Outputs of one workgroup: 64 invocations of four.
    const PER_GROUP: usize = 256;

    pub(crate) fn swiglu(gate_up: CubeTensor) -> CubeTensor {
        let gate_up = f32_rows(gate_up);
        let mut shape = gate_up.shape();
        let last = shape.num_dims() - 1;
        let n = shape[last] / 2;
        shape[last] = n;
        let rows = shape.num_elements() / n;
        let out = empty(&gate_up, shape, DType::F32);
        let (mut params, groups) = vec_params(n);
        params.retain(|(name, _)| *name != "ONES");
        let total = rows * groups;
        let info = [rows as u32, groups as u32];
        launch(
            "swiglu",
            params,
            fold(total.div_ceil(PER_GROUP)),
            &[&gate_up, &out],
            &info,
        );
        out
    }

    pub(crate) fn silu_mul(gate: CubeTensor, up: CubeTensor) -> CubeTensor {
        let (gate, up) = (f32_rows(gate), f32_rows(up));
        let out = empty(&gate, gate.shape(), DType::F32);
        let (mut params, total) = vec_params(gate.shape().num_elements());
        params.retain(|(name, _)| *name != "ONES");
        let info = [total as u32];
        launch(
            "silu_mul",
            params,
            fold(total.div_ceil(PER_GROUP)),
            &[&gate, &up, &out],
            &info,
        );
        out
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device.
    use crate::flex::{f32_rows, floats, new_f32};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    /// `x * sigmoid(x)`.
    pub(crate) fn silu(x: f32) -> f32 {
        x / (1.0 + (-x).exp())
    }

    pub(crate) fn swiglu(gate_up: FlexTensor) -> FlexTensor {
        let gate_up = f32_rows(gate_up);
        let mut shape = gate_up.shape();
        let last = shape.num_dims() - 1;
        let n = shape[last] / 2;
        shape[last] = n;
        let mut out = vec![0f32; shape.num_elements()];
        out.par_chunks_mut(n)
            .zip(floats(&gate_up).par_chunks(2 * n))
            .for_each(|(out, row)| {
                let (gate, up) = row.split_at(n);
                for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
                    *o = silu(*g) * u;
                }
            });
        new_f32(out, shape)
    }

    pub(crate) fn silu_mul(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        let (gate, up) = (f32_rows(gate), f32_rows(up));
        let out = floats(&gate)
            .par_iter()
            .zip(floats(&up))
            .map(|(g, u)| silu(*g) * u)
            .collect();
        new_f32(out, gate.shape())
    }
}
