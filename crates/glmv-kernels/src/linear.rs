//! Linear layers: f32 activations, f32 or f16 weights in the hub's `[out, in]` layout, f32 sums.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::{DType, Tensor};

/// `x · weightᵀ + bias`.
///
/// # Shapes
/// `x` `[.., in]` f32, `weight` `[out, in]` f32 or f16, `bias` `[out]` → `[.., out]` f32.
///
/// # Panics
/// If `in` differs between `x` and `weight`.
///
/// Source: torch `nn.Linear`.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let [_, inner] = weight.dims();
    assert_eq!(
        x.dims()[D - 1],
        inner,
        "linear: input width and weight {:?}",
        weight.dims()
    );
    if route(Op::Linear, &x.device()) == Route::Twin {
        return linear_reference(x, weight, bias);
    }
    let (x, weight) = (x.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(match bias {
        Some(bias) => Dispatch::linear_bias(x, weight, bias.into_dispatch()),
        None => Dispatch::linear(x, weight),
    })
}

/// Definition of [`linear`] in tensor operations.
pub fn linear_reference<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let mut dims = x.dims();
    let [out, inner] = weight.dims();
    let rows = dims.iter().product::<usize>() / inner;
    let weight = if weight.dtype() == DType::F32 {
        weight
    } else {
        weight.cast(DType::F32)
    };
    let y = x.reshape([rows, inner]).matmul(weight.transpose());
    let y = match bias {
        Some(bias) => y + bias.unsqueeze::<2>(),
        None => y,
    };
    dims[D - 1] = out;
    y.reshape(dims)
}

pub(crate) mod cube {
    //! WGSL launches: one register-tiled product for any number of rows on adapters with subgroups
    //! of eight; elsewhere a mat-vec kernel for few rows and a tiled product for many.
    use crate::launch::{
        RowTile, empty, f32_rows, fold, launch, on_octets, vec_params, weight_rows, wgsl_type,
    };
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::tensor::CubeTensor;

    /// Columns of out per subgroup of `linear_sub.wgsl`.
    const SUB_COLUMNS: usize = 64;

    /// Up to this many rows the mat-vec kernel runs (its `M` parameter is 1, 2 or 4).
    const FEW_ROWS: usize = 4;

    pub(crate) fn linear(x: CubeTensor, w: CubeTensor, bias: Option<CubeTensor>) -> CubeTensor {
        let (x, w) = (f32_rows(x), weight_rows(w));
        let [n, k] = w.shape().dims::<2>();
        let mut shape = x.shape();
        let last = shape.num_dims() - 1;
        shape[last] = n;
        let m = shape.num_elements() / n;
        let out = empty(&x, shape, DType::F32);
        let (mut params, groups) = vec_params(k);
        params.push(("Weight", wgsl_type(w.dtype, k.is_multiple_of(4))));
        params.push(("HAS_BIAS", bias.is_some().to_string()));
        // The kernel binds a bias always; without one any buffer serves and is not read.
        let bias = bias.map_or_else(|| x.clone(), f32_rows);
        let info = [m as u32, n as u32, groups as u32];
        let buffers = [&x, &w, &bias, &out];
        if on_octets(&x) {
            let tile = RowTile::of(m, 32);
            params.extend(tile.params());
            let grid = fold(m.div_ceil(tile.rows()) * n.div_ceil(SUB_COLUMNS));
            launch("linear_sub", params, grid, &buffers, &info);
        } else if m <= FEW_ROWS {
            params.push(("M", format!("{}u", m.next_power_of_two())));
            launch("linear_vec", params, fold(n.div_ceil(32)), &buffers, &info);
        } else {
            let lanes = row_lanes(m);
            params.push(("ROW_LANES", format!("{lanes}u")));
            let grid = fold(m.div_ceil(8 * lanes) * n.div_ceil(512 / lanes));
            launch("linear", params, grid, &buffers, &info);
        }
        out
    }

    /// Lanes over rows of `linear.wgsl`: 8 for many rows, else the fewest that cover them (8 rows
    /// per lane).
    fn row_lanes(rows: usize) -> usize {
        [1, 2, 4]
            .into_iter()
            .find(|lanes| 8 * lanes >= rows)
            .unwrap_or(8)
    }
}

pub(crate) mod native {
    //! Native products for the CPU device: dot products for few rows, blocked GEMM for many.
    use crate::flex::{Mat, Weights, dot, f32_rows, floats, matmul, new_f32, weight_rows};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    /// Up to this many rows each weight row is read once and used for all of them.
    const FEW_ROWS: usize = 16;
    /// Weight rows converted or multiplied at a time.
    const BLOCK: usize = 64;

    pub(crate) fn linear(x: FlexTensor, w: FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
        let (x, w, bias) = (f32_rows(x), weight_rows(w), bias.map(f32_rows));
        let [n, k] = w.shape().dims::<2>();
        let mut shape = x.shape();
        let last = shape.num_dims() - 1;
        shape[last] = n;
        let m = shape.num_elements() / n;
        let mut out = vec![0f32; m * n];
        product(floats(&x), &Weights::new(&w), &mut out, [m, n, k]);
        if let Some(bias) = &bias {
            for row in out.chunks_mut(n) {
                for (o, b) in row.iter_mut().zip(floats(bias)) {
                    *o += b;
                }
            }
        }
        new_f32(out, shape)
    }

    /// `out[m, n] = x[m, k] · w[n, k]ᵀ`.
    fn product(x: &[f32], w: &Weights<'_>, out: &mut [f32], [m, n, k]: [usize; 3]) {
        if m > FEW_ROWS
            && let Weights::F32(w) = w
        {
            matmul(
                out,
                Mat::rows(x, k),
                Mat::rows(w, k).t(),
                [m, n, k],
                false,
                true,
            );
            return;
        }
        // Columns of the output in blocks: each task converts its weight rows once.
        let blocks: Vec<(usize, Vec<f32>)> = (0..n.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                let start = block * BLOCK;
                let cols = BLOCK.min(n - start);
                let rows = w.block(start * k, cols * k);
                let mut y = vec![0f32; m * cols];
                if m <= FEW_ROWS {
                    for (j, row) in rows.chunks_exact(k).enumerate() {
                        for i in 0..m {
                            y[i * cols + j] = dot(&x[i * k..][..k], row);
                        }
                    }
                } else {
                    matmul(
                        &mut y,
                        Mat::rows(x, k),
                        Mat::rows(&rows, k).t(),
                        [m, cols, k],
                        false,
                        false,
                    );
                }
                (start, y)
            })
            .collect();
        for (start, y) in blocks {
            let cols = y.len() / m;
            for i in 0..m {
                out[i * n + start..][..cols].copy_from_slice(&y[i * cols..][..cols]);
            }
        }
    }
}
