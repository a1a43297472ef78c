//! Gradients of SwiGLU: with `z = sigmoid(gate)`, `dgate = grad * up * z * (1 + gate * (1 - z))` and
//! `dup = grad * gate * z`.

pub(crate) mod cube {
    //! WGSL launches.
    use crate::launch::{Params, empty, f32_rows, fold, launch, vec_params};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::tensor::CubeTensor;

    fn params(len: usize) -> (Params, usize) {
        let (mut params, groups) = vec_params(len);
        params.retain(|(name, _)| *name != "ONES");
        (params, groups)
    }

    pub(crate) fn swiglu(gate_up: CubeTensor, grad: CubeTensor) -> CubeTensor {
        let (gate_up, grad) = (f32_rows(gate_up), f32_rows(grad));
        let shape = grad.shape();
        let n = shape[shape.num_dims() - 1];
        let rows = shape.num_elements() / n;
        let out = empty(&gate_up, gate_up.shape(), DType::F32);
        let (params, groups) = params(n);
        let info = [rows as u32, groups as u32];
        let grid = fold((rows * groups).div_ceil(64));
        launch("swiglu_grad", params, grid, &[&gate_up, &grad, &out], &info);
        out
    }

    pub(crate) fn silu_mul(gate: CubeTensor, up: CubeTensor, grad: CubeTensor) -> [CubeTensor; 2] {
        let (gate, up, grad) = (f32_rows(gate), f32_rows(up), f32_rows(grad));
        let (params, groups) = params(gate.shape().num_elements());
        let new = || empty(&gate, gate.shape(), DType::F32);
        let (dgate, dup) = (new(), new());
        let buffers = [&gate, &up, &grad, &dgate, &dup];
        let grid = fold(groups.div_ceil(64));
        launch("silu_mul_grad", params, grid, &buffers, &[groups as u32]);
        [dgate, dup]
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device.
    use crate::flex::{f32_rows, floats, new_f32};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    /// Values that one thread takes at a time.
    const RUN: usize = 4096;

    /// Gradients of one gate and one up.
    fn pair(gate: f32, up: f32, grad: f32) -> (f32, f32) {
        let z = 1.0 / (1.0 + (-gate).exp());
        (grad * up * z * (1.0 + gate * (1.0 - z)), grad * gate * z)
    }

    pub(crate) fn swiglu(gate_up: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let (gate_up, grad) = (f32_rows(gate_up), f32_rows(grad));
        let shape = grad.shape();
        let n = shape[shape.num_dims() - 1];
        let mut out = vec![0f32; 2 * shape.num_elements()];
        let rows = floats(&gate_up).par_chunks(2 * n);
        let rows = rows.zip(floats(&grad).par_chunks(n));
        out.par_chunks_mut(2 * n)
            .zip(rows)
            .for_each(|(out, (row, grad))| {
                let ((gate, up), (dgate, dup)) = (row.split_at(n), out.split_at_mut(n));
                for i in 0..n {
                    (dgate[i], dup[i]) = pair(gate[i], up[i], grad[i]);
                }
            });
        new_f32(out, gate_up.shape())
    }

    pub(crate) fn silu_mul(gate: FlexTensor, up: FlexTensor, grad: FlexTensor) -> [FlexTensor; 2] {
        let (gate, up, grad) = (f32_rows(gate), f32_rows(up), f32_rows(grad));
        let len = gate.shape().num_elements();
        let (mut dgate, mut dup) = (vec![0f32; len], vec![0f32; len]);
        let inputs = floats(&gate).par_chunks(RUN);
        let inputs = inputs.zip(floats(&up).par_chunks(RUN));
        let inputs = inputs.zip(floats(&grad).par_chunks(RUN));
        dgate
            .par_chunks_mut(RUN)
            .zip(dup.par_chunks_mut(RUN))
            .zip(inputs)
            .for_each(|((dgate, dup), ((gate, up), grad))| {
                for i in 0..gate.len() {
                    (dgate[i], dup[i]) = pair(gate[i], up[i], grad[i]);
                }
            });
        [new_f32(dgate, gate.shape()), new_f32(dup, gate.shape())]
    }
}
