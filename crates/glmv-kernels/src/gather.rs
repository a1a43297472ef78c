//! Row gathers of the vision side: learned position embeddings resampled to an image's grid, and
//! visual features placed over their placeholder tokens.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

/// Taps of one bicubic sample: a 4 × 4 neighbourhood.
pub const TAPS: usize = 16;

/// Adds resampled position embeddings: `x + sum_j weight[j] * table[index[j]]`.
///
/// # Shapes
/// `x` `[n, d]`, `table` `[rows, d]`, `index` and `weight` `[n, 16]` → `[n, d]`.
///
/// Source: HF `Glm4vVisionEmbeddings.forward` (bicubic `grid_sample`, a = -0.75, border).
pub fn pos_embed(
    x: Tensor<2>,
    table: Tensor<2>,
    index: Tensor<2, Int>,
    weight: Tensor<2>,
) -> Tensor<2> {
    if route(Op::PosEmbed, &x.device()) == Route::Twin {
        return pos_embed_reference(x, table, index, weight);
    }
    Tensor::from_dispatch(Dispatch::pos_embed(
        x.into_dispatch(),
        table.into_dispatch(),
        index.into_dispatch(),
        weight.into_dispatch(),
    ))
}

/// Definition of [`pos_embed`] in tensor operations.
pub fn pos_embed_reference(
    x: Tensor<2>,
    table: Tensor<2>,
    index: Tensor<2, Int>,
    weight: Tensor<2>,
) -> Tensor<2> {
    let [n, d] = x.dims();
    let taps = table
        .select(0, index.reshape([n * TAPS]))
        .reshape([n, TAPS, d]);
    let sum = (taps * weight.reshape([n, TAPS, 1]))
        .sum_dim(1)
        .reshape([n, d]);
    x + sum
}

/// Replaces rows of `embeds` by visual features: row i becomes `features[source[i]]` where
/// `source[i] >= 0` and stays where it is -1.
///
/// # Shapes
/// `embeds` `[tokens, d]`, `features` `[n, d]`, `source` `[tokens]` with -1 or 0..n → `[tokens, d]`.
///
/// Source: HF `Glm4vModel.forward` (`masked_scatter` over the image tokens).
pub fn splice(embeds: Tensor<2>, features: Tensor<2>, source: Tensor<1, Int>) -> Tensor<2> {
    if route(Op::Splice, &embeds.device()) == Route::Twin {
        return splice_reference(embeds, features, source);
    }
    Tensor::from_dispatch(Dispatch::splice(
        embeds.into_dispatch(),
        features.into_dispatch(),
        source.into_dispatch(),
    ))
}

/// Definition of [`splice`] in tensor operations.
pub fn splice_reference(
    embeds: Tensor<2>,
    features: Tensor<2>,
    source: Tensor<1, Int>,
) -> Tensor<2> {
    let [tokens, d] = embeds.dims();
    let rows = features.select(0, source.clone().clamp_min(0));
    let keep = source
        .lower_elem(0)
        .reshape([tokens, 1])
        .expand([tokens, d]);
    rows.mask_where(keep, embeds)
}

pub(crate) mod cube {
    //! WGSL launches.
    use super::TAPS;
    use crate::launch::{empty, f32_rows, fold, launch, vec_params, wgsl_int};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

    pub(crate) fn pos_embed(
        x: CubeTensor,
        table: CubeTensor,
        index: CubeTensor,
        weight: CubeTensor,
    ) -> CubeTensor {
        let (x, table, weight) = (f32_rows(x), f32_rows(table), f32_rows(weight));
        let index = into_contiguous(index);
        let [n, d] = x.shape().dims::<2>();
        let out = empty(&x, x.shape(), DType::F32);
        let (mut params, groups) = vec_params(d);
        params.retain(|(name, _)| *name != "ONES");
        params.push(("Int", wgsl_int(&index)));
        let info = [
            n as u32,
            groups as u32,
            table.shape()[0] as u32,
            TAPS as u32,
        ];
        let buffers = [&x, &table, &index, &weight, &out];
        launch(
            "pos_embed",
            params,
            fold((n * groups).div_ceil(64)),
            &buffers,
            &info,
        );
        out
    }

    pub(crate) fn splice(
        embeds: CubeTensor,
        features: CubeTensor,
        source: CubeTensor,
    ) -> CubeTensor {
        let (embeds, features) = (f32_rows(embeds), f32_rows(features));
        let source = into_contiguous(source);
        let [tokens, d] = embeds.shape().dims::<2>();
        let out = empty(&embeds, embeds.shape(), DType::F32);
        let (mut params, groups) = vec_params(d);
        params.retain(|(name, _)| *name != "ONES");
        params.push(("Int", wgsl_int(&source)));
        let info = [tokens as u32, groups as u32, features.shape()[0] as u32];
        let buffers = [&embeds, &features, &source, &out];
        launch(
            "splice",
            params,
            fold((tokens * groups).div_ceil(64)),
            &buffers,
            &info,
        );
        out
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device.
    use super::TAPS;
    use crate::flex::{f32_rows, floats, ints, new_f32};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    pub(crate) fn pos_embed(
        x: FlexTensor,
        table: FlexTensor,
        index: FlexTensor,
        weight: FlexTensor,
    ) -> FlexTensor {
        let (x, table, weight) = (f32_rows(x), f32_rows(table), f32_rows(weight));
        let [_, d] = x.shape().dims::<2>();
        let (index, table) = (ints(&index), floats(&table));
        let mut out = floats(&x).to_vec();
        let taps = index.par_chunks(TAPS).zip(floats(&weight).par_chunks(TAPS));
        out.par_chunks_mut(d)
            .zip(taps)
            .for_each(|(out, (index, weight))| {
                let mut sum = vec![0f32; d];
                for (row, w) in index.iter().zip(weight) {
                    let row = &table[*row as usize * d..][..d];
                    for (s, t) in sum.iter_mut().zip(row) {
                        *s += w * t;
                    }
                }
                for (o, s) in out.iter_mut().zip(sum) {
                    *o += s;
                }
            });
        new_f32(out, x.shape())
    }

    pub(crate) fn splice(
        embeds: FlexTensor,
        features: FlexTensor,
        source: FlexTensor,
    ) -> FlexTensor {
        let (embeds, features) = (f32_rows(embeds), f32_rows(features));
        let [_, d] = embeds.shape().dims::<2>();
        let features = floats(&features);
        let mut out = floats(&embeds).to_vec();
        for (row, from) in out.chunks_mut(d).zip(ints(&source)) {
            if let Ok(from) = usize::try_from(from) {
                row.copy_from_slice(&features[from * d..][..d]);
            }
        }
        new_f32(out, embeds.shape())
    }
}
