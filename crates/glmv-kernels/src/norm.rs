//! RMSNorm and its two residual forms. Rows in, rows out; called by every block of the tower and
//! the decoder.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::Tensor;

/// Root-mean-square norm over the last axis: `y = x / sqrt(mean(x²) + eps) * weight`.
///
/// # Shapes
/// `x` `[.., d]`, `weight` `[d]` → `[.., d]`, f32.
///
/// Source: HF `Glm4vRMSNorm`.
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f32) -> Tensor<D> {
    if route(Op::RmsNorm, &x.device()) == Route::Twin {
        return rms_norm_reference(x, weight, eps);
    }
    Tensor::from_dispatch(Dispatch::rms_norm(
        x.into_dispatch(),
        weight.into_dispatch(),
        eps,
    ))
}

/// Definition of [`rms_norm`] in tensor operations.
pub fn rms_norm_reference<const D: usize>(x: Tensor<D>, weight: Tensor<1>, eps: f32) -> Tensor<D> {
    let mean = x.clone().powf_scalar(2.0).mean_dim(D - 1);
    let y = x / (mean + eps).sqrt();
    y * weight.unsqueeze::<D>()
}

/// Post-norm residual: `h + rms_norm(a)`.
///
/// # Shapes
/// `h`, `a` `[.., d]`, `weight` `[d]` → `[.., d]`.
///
/// Source: HF `Glm4vTextDecoderLayer` (`post_self_attn_layernorm`, `post_mlp_layernorm`).
pub fn rms_norm_add<const D: usize>(
    h: Tensor<D>,
    a: Tensor<D>,
    weight: Tensor<1>,
    eps: f32,
) -> Tensor<D> {
    if route(Op::RmsNorm, &h.device()) == Route::Twin {
        return rms_norm_add_reference(h, a, weight, eps);
    }
    Tensor::from_dispatch(Dispatch::rms_norm_add(
        h.into_dispatch(),
        a.into_dispatch(),
        weight.into_dispatch(),
        eps,
    ))
}

/// Definition of [`rms_norm_add`] in tensor operations.
pub fn rms_norm_add_reference<const D: usize>(
    h: Tensor<D>,
    a: Tensor<D>,
    weight: Tensor<1>,
    eps: f32,
) -> Tensor<D> {
    h + rms_norm_reference(a, weight, eps)
}

/// Pre-norm residual: `(h + a, rms_norm(h + a))`.
///
/// # Shapes
/// `h`, `a` `[.., d]`, `weight` `[d]` → two of `[.., d]`.
///
/// Source: HF `Glm4vMoeTextDecoderLayer`, `Glm4vVisionBlock`.
pub fn add_rms_norm<const D: usize>(
    h: Tensor<D>,
    a: Tensor<D>,
    weight: Tensor<1>,
    eps: f32,
) -> (Tensor<D>, Tensor<D>) {
    if route(Op::RmsNorm, &h.device()) == Route::Twin {
        return add_rms_norm_reference(h, a, weight, eps);
    }
    let (sum, normed) = Dispatch::add_rms_norm(
        h.into_dispatch(),
        a.into_dispatch(),
        weight.into_dispatch(),
        eps,
    );
    (Tensor::from_dispatch(sum), Tensor::from_dispatch(normed))
}

/// Definition of [`add_rms_norm`] in tensor operations.
pub fn add_rms_norm_reference<const D: usize>(
    h: Tensor<D>,
    a: Tensor<D>,
    weight: Tensor<1>,
    eps: f32,
) -> (Tensor<D>, Tensor<D>) {
    let sum = h + a;
    (sum.clone(), rms_norm_reference(sum, weight, eps))
}

pub(crate) mod cube {
    //! WGSL launches.
    use crate::launch::{bits, empty, f32_rows, fold, launch, vec_params};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::tensor::CubeTensor;

    /// Rows one workgroup of 64 normalises (8 lanes each).
    const ROWS_PER_GROUP: usize = 8;

    fn run(name: &str, inputs: &[&CubeTensor], outputs: &[&CubeTensor], eps: f32) {
        let d = inputs[inputs.len() - 1].shape()[0];
        let rows = inputs[0].shape().num_elements() / d;
        let (mut params, groups) = vec_params(d);
        if !d.is_multiple_of(4) {
            params.push(("Weight", "f32".to_string()));
        }
        let buffers: Vec<&CubeTensor> = inputs.iter().chain(outputs).copied().collect();
        let info = [rows as u32, groups as u32, d as u32, bits(eps)];
        launch(
            name,
            params,
            fold(rows.div_ceil(ROWS_PER_GROUP)),
            &buffers,
            &info,
        );
    }

    pub(crate) fn rms_norm(x: CubeTensor, w: CubeTensor, eps: f32) -> CubeTensor {
        let (x, w) = (f32_rows(x), f32_rows(w));
        let out = empty(&x, x.shape(), DType::F32);
        run("rms_norm", &[&x, &w], &[&out], eps);
        out
    }

    pub(crate) fn rms_norm_add(
        h: CubeTensor,
        a: CubeTensor,
        w: CubeTensor,
        eps: f32,
    ) -> CubeTensor {
        let (h, a, w) = (f32_rows(h), f32_rows(a), f32_rows(w));
        let out = empty(&h, h.shape(), DType::F32);
        run("rms_norm_add", &[&h, &a, &w], &[&out], eps);
        out
    }

    pub(crate) fn add_rms_norm(
        h: CubeTensor,
        a: CubeTensor,
        w: CubeTensor,
        eps: f32,
    ) -> (CubeTensor, CubeTensor) {
        let (h, a, w) = (f32_rows(h), f32_rows(a), f32_rows(w));
        let sum = empty(&h, h.shape(), DType::F32);
        let out = empty(&h, h.shape(), DType::F32);
        run("add_rms_norm", &[&h, &a, &w], &[&sum, &out], eps);
        (sum, out)
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device, parallel over rows.
    use crate::flex::{f32_rows, floats, new_f32};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    fn inverse_rms(row: &[f32], eps: f32) -> f32 {
        // Eight running sums so that the loop vectorises.
        let mut acc = [0f32; 8];
        let chunks = row.chunks_exact(8);
        let tail: f32 = chunks.remainder().iter().map(|v| v * v).sum();
        for chunk in chunks {
            for (a, v) in acc.iter_mut().zip(chunk) {
                *a += v * v;
            }
        }
        let mean = (acc.iter().sum::<f32>() + tail) / row.len() as f32;
        1.0 / (mean + eps).sqrt()
    }

    pub(crate) fn rms_norm(x: FlexTensor, w: FlexTensor, eps: f32) -> FlexTensor {
        let (x, w) = (f32_rows(x), f32_rows(w));
        let (shape, w) = (x.shape(), floats(&w));
        let mut out = vec![0f32; shape.num_elements()];
        out.par_chunks_mut(w.len())
            .zip(floats(&x).par_chunks(w.len()))
            .for_each(|(out, row)| {
                let scale = inverse_rms(row, eps);
                for ((o, v), w) in out.iter_mut().zip(row).zip(w) {
                    *o = v * scale * w;
                }
            });
        new_f32(out, shape)
    }

    pub(crate) fn rms_norm_add(
        h: FlexTensor,
        a: FlexTensor,
        w: FlexTensor,
        eps: f32,
    ) -> FlexTensor {
        let (h, a, w) = (f32_rows(h), f32_rows(a), f32_rows(w));
        let w = floats(&w);
        let mut out = vec![0f32; h.shape().num_elements()];
        let rows = floats(&h).par_chunks(w.len());
        let rows = rows.zip(floats(&a).par_chunks(w.len()));
        out.par_chunks_mut(w.len())
            .zip(rows)
            .for_each(|(out, (h, a))| {
                let scale = inverse_rms(a, eps);
                for (((o, h), a), w) in out.iter_mut().zip(h).zip(a).zip(w) {
                    *o = h + a * scale * w;
                }
            });
        new_f32(out, h.shape())
    }

    pub(crate) fn add_rms_norm(
        h: FlexTensor,
        a: FlexTensor,
        w: FlexTensor,
        eps: f32,
    ) -> (FlexTensor, FlexTensor) {
        let (h, a, w) = (f32_rows(h), f32_rows(a), f32_rows(w));
        let w = floats(&w);
        let len = h.shape().num_elements();
        let (mut sum, mut normed) = (vec![0f32; len], vec![0f32; len]);
        let rows = floats(&h).par_chunks(w.len());
        let rows = rows.zip(floats(&a).par_chunks(w.len()));
        sum.par_chunks_mut(w.len())
            .zip(normed.par_chunks_mut(w.len()))
            .zip(rows)
            .for_each(|((sum, normed), (h, a))| {
                for ((s, h), a) in sum.iter_mut().zip(h).zip(a) {
                    *s = h + a;
                }
                let scale = inverse_rms(sum, eps);
                for ((o, s), w) in normed.iter_mut().zip(&*sum).zip(w) {
                    *o = s * scale * w;
                }
            });
        (new_f32(sum, h.shape()), new_f32(normed, h.shape()))
    }
}
