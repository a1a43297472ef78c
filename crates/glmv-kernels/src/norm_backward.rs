//! Gradients of RMSNorm: `dx = r g - r³ mean(x g) x` with `r = 1 / sqrt(mean(x²) + eps)` and
//! `g = grad * weight`, and `dweight = sum over rows of grad * x * r`.

pub(crate) mod cube {
    //! WGSL launches.
    use crate::launch::{bits, empty, f32_rows, fold, launch, vec_params};
    use burn::backend::TensorMetadata;
    use burn::backend::ops::FloatTensorOps;
    use burn::tensor::{DType, Shape};
    use burn_cubecl::{CubeBackend, tensor::CubeTensor};

    /// Rows that one lane adds for the gradient of the weight.
    const ROWS_OF_A_PART: usize = 64;

    pub(crate) fn rms_norm(
        x: CubeTensor,
        weight: CubeTensor,
        grad: CubeTensor,
        eps: f32,
        wants_weight: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        let (x, weight, grad) = (f32_rows(x), f32_rows(weight), f32_rows(grad));
        let d = weight.shape()[0];
        let rows = x.shape().num_elements() / d;
        let (params, groups) = vec_params(d);
        let dx = empty(&x, x.shape(), DType::F32);
        let scales = empty(&x, [rows], DType::F32);
        let info = [rows as u32, groups as u32, d as u32, bits(eps)];
        let buffers = [&x, &weight, &grad, &dx, &scales];
        launch(
            "rms_norm_grad",
            params.clone(),
            fold(rows.div_ceil(8)),
            &buffers,
            &info,
        );
        let dweight = wants_weight.then(|| {
            let parts = rows.div_ceil(ROWS_OF_A_PART);
            let sums = empty(&x, [parts, d], DType::F32);
            let params = params.into_iter().filter(|(name, _)| *name != "ONES");
            let info = [rows, groups, ROWS_OF_A_PART].map(|v| v as u32);
            let grid = fold((parts * groups).div_ceil(64));
            let buffers = [&x, &grad, &scales, &sums];
            launch(
                "rms_norm_grad_weight",
                params.collect(),
                grid,
                &buffers,
                &info,
            );
            let sum = match parts {
                1 => sums,
                _ => CubeBackend::float_sum_dim(sums, 0),
            };
            CubeBackend::float_reshape(sum, Shape::new([d]))
        });
        (dx, dweight)
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device, parallel over rows.
    use crate::flex::{dot, f32_rows, floats, new_f32};
    use burn::backend::TensorMetadata;
    use burn::tensor::Shape;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    /// Rows whose weight gradients are added by one thread: sums do not depend on their number.
    const ROWS_OF_A_PART: usize = 64;

    pub(crate) fn rms_norm(
        x: FlexTensor,
        weight: FlexTensor,
        grad: FlexTensor,
        eps: f32,
        wants_weight: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let (x, weight, grad) = (f32_rows(x), f32_rows(weight), f32_rows(grad));
        let w = floats(&weight);
        let d = w.len();
        let mut dx = vec![0f32; x.shape().num_elements()];
        let part = ROWS_OF_A_PART * d;
        let rows = floats(&x).par_chunks(part);
        let rows = rows.zip(floats(&grad).par_chunks(part));
        let sums: Vec<Vec<f32>> = dx
            .par_chunks_mut(part)
            .zip(rows)
            .map(|(dx, (x, grad))| {
                let mut sums = vec![0f32; if wants_weight { d } else { 0 }];
                let rows = x.chunks(d).zip(grad.chunks(d));
                for (dx, (x, grad)) in dx.chunks_mut(d).zip(rows) {
                    let scale = row(dx, [x, grad, w], eps);
                    for ((sum, x), g) in sums.iter_mut().zip(x).zip(grad) {
                        *sum += g * x * scale;
                    }
                }
                sums
            })
            .collect();
        let dweight = wants_weight.then(|| {
            let mut total = vec![0f32; d];
            for sums in sums {
                total.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
            }
            new_f32(total, Shape::new([d]))
        });
        (new_f32(dx, x.shape()), dweight)
    }

    /// The gradient of one row; returns what the row was scaled by.
    fn row(dx: &mut [f32], [x, grad, w]: [&[f32]; 3], eps: f32) -> f32 {
        for ((d, g), w) in dx.iter_mut().zip(grad).zip(w) {
            *d = g * w;
        }
        let len = x.len() as f32;
        let scale = 1.0 / (dot(x, x) / len + eps).sqrt();
        let back = scale * scale * scale * dot(x, dx) / len;
        for (d, x) in dx.iter_mut().zip(x) {
            *d = *d * scale - x * back;
        }
        scale
    }
}
