//! Gradient of the router's weights for its logits, through the scores of the chosen experts; the
//! choice, the bias and the shared experts have none.

use crate::moe::RouterConfig;

pub(crate) mod cube {
    //! WGSL launch.
    use super::RouterConfig;
    use crate::launch::{bits, empty, f32_rows, fold, launch, wgsl_int};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

    pub(crate) fn moe_router(
        logits: CubeTensor,
        ids: CubeTensor,
        config: RouterConfig,
        grad: CubeTensor,
    ) -> CubeTensor {
        let (logits, ids, grad) = (f32_rows(logits), into_contiguous(ids), f32_rows(grad));
        let [tokens, experts] = logits.shape().dims::<2>();
        let out = empty(&logits, logits.shape(), DType::F32);
        let slots = config.top_k + config.shared;
        let sizes = [tokens, experts, config.top_k, slots].map(|v| v as u32);
        let last = [u32::from(config.normalise), bits(config.scale)];
        let info = [&sizes[..], &last].concat();
        let params = vec![("Int", wgsl_int(&ids))];
        let grid = fold((tokens * experts).div_ceil(64));
        let buffers = [&logits, &ids, &grad, &out];
        launch("moe_router_grad", params, grid, &buffers, &info);
        out
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device, parallel over tokens.
    use super::RouterConfig;
    use crate::flex::{f32_rows, floats, ints, new_f32};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    pub(crate) fn moe_router(
        logits: FlexTensor,
        ids: FlexTensor,
        config: RouterConfig,
        grad: FlexTensor,
    ) -> FlexTensor {
        let (logits, ids, grad) = (f32_rows(logits), ints(&ids), f32_rows(grad));
        let [_, experts] = logits.shape().dims::<2>();
        let slots = config.top_k + config.shared;
        let mut out = vec![0f32; logits.shape().num_elements()];
        let rows = floats(&logits).par_chunks(experts);
        let rows = rows.zip(ids.par_chunks(slots).zip(floats(&grad).par_chunks(slots)));
        out.par_chunks_mut(experts)
            .zip(rows)
            .for_each(|(out, (logits, (ids, grad)))| {
                token(out, logits, (&ids[..config.top_k], grad), config);
            });
        new_f32(out, logits.shape())
    }

    fn token(out: &mut [f32], logits: &[f32], (ids, grad): (&[i64], &[f32]), config: RouterConfig) {
        let chosen: Vec<usize> = ids.iter().map(|id| *id as usize).collect();
        let score = |e: usize| 1.0 / (1.0 + (-logits[e]).exp());
        let scores: Vec<f32> = chosen.iter().map(|e| score(*e)).collect();
        let sum: f32 = scores.iter().sum::<f32>() + 1e-20;
        let weighted: f32 = scores.iter().zip(grad).map(|(s, g)| s * g).sum();
        for ((e, s), g) in chosen.iter().zip(scores).zip(grad) {
            let ds = match config.normalise {
                true => (g - weighted / sum) / sum,
                false => *g,
            };
            out[*e] = ds * config.scale * s * (1.0 - s);
        }
    }
}
