//! Linear layers: f32 activations, weights in the hub's `[out, in]` layout as f32, f16 or codes, f32
//! sums.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use crate::weight::Weight;
use burn::backend::Dispatch;
use burn::tensor::Tensor;

/// `x · weightᵀ + bias`.
///
/// # Shapes
/// `x` `[.., in]` f32, `weight` `[out, in]` f32, f16 or codes, `bias` `[out]` → `[.., out]` f32.
///
/// # Panics
/// If `in` differs between `x` and `weight`.
///
/// Source: torch `nn.Linear`.
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: impl Into<Weight<2>>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let weight = weight.into();
    let [_, inner] = weight.dims();
    assert_eq!(
        x.dims()[D - 1],
        inner,
        "linear: input width and weight {:?}",
        weight.dims()
    );
    let routed = route(Op::Linear, &x.device());
    // The kernels for codes read x in fours.
    let codes = matches!(weight, Weight::Quantised(_));
    let fours = routed != Route::Wgsl || inner.is_multiple_of(4);
    if routed == Route::Twin || (codes && !fours) {
        return linear_reference(x, weight, bias);
    }
    let (x, bias) = (x.into_dispatch(), bias.map(Tensor::into_dispatch));
    Tensor::from_dispatch(match weight {
        Weight::Float(weight) => match bias {
            Some(bias) => Dispatch::linear_bias(x, weight.into_dispatch(), bias),
            None => Dispatch::linear(x, weight.into_dispatch()),
        },
        Weight::Quantised(q) => {
            let (codes, scales, format) = q.into_parts();
            let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
            match bias {
                Some(bias) => Dispatch::linear_codes_bias(x, codes, scales, bias, format),
                None => Dispatch::linear_codes(x, codes, scales, format),
            }
        }
    })
}

/// Definition of [`linear`] in tensor operations.
pub fn linear_reference<const D: usize>(
    x: Tensor<D>,
    weight: impl Into<Weight<2>>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let weight = weight.into();
    let mut dims = x.dims();
    let [out, inner] = weight.dims();
    let rows = dims.iter().product::<usize>() / inner;
    let y = x
        .reshape([rows, inner])
        .matmul(weight.dequantise().transpose());
    let y = match bias {
        Some(bias) => y + bias.unsqueeze::<2>(),
        None => y,
    };
    dims[D - 1] = out;
    y.reshape(dims)
}

pub(crate) mod cube {
    //! WGSL launches: row kernels for few rows, tiles for many; and plain kernels, of adapters and rows
    //! that have neither.
    use crate::invariance::{active, few_rows};
    use crate::launch::{
        empty, f32_rows, fold, lanes_of_eight, launch, on_cpu_adapter, vec_params, weight_rows,
        wgsl_type,
    };
    use crate::tile::{self, Form};
    use crate::words::{self, Words};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::tensor::CubeTensor;
    use glmv_quant::Format;

    /// Up to this many rows the kernels run that read a weight once for at most eight rows.
    const FEW_ROWS: usize = 64;

    pub(crate) fn linear_codes(
        x: CubeTensor,
        codes: CubeTensor,
        scales: CubeTensor,
        bias: Option<CubeTensor>,
        format: Format,
    ) -> CubeTensor {
        let x = f32_rows(x);
        let inner = x.shape()[x.shape().num_dims() - 1];
        words_of_any_rows(&x, &Words::codes(codes, scales, format, inner), bias)
    }

    /// By tiles where they pay, else by the row kernels.
    fn words_of_any_rows(x: &CubeTensor, w: &Words, bias: Option<CubeTensor>) -> CubeTensor {
        let rows = x.shape().num_elements() / w.inner;
        match Form::dense(x, w, rows) {
            Some(form) => tile::linear(x, w, bias, form),
            None => words::linear(x, w, bias),
        }
    }

    pub(crate) fn linear(x: CubeTensor, w: CubeTensor, bias: Option<CubeTensor>) -> CubeTensor {
        let (x, w) = (f32_rows(x), weight_rows(w));
        let [n, k] = w.shape().dims::<2>();
        let mut shape = x.shape();
        let last = shape.num_dims() - 1;
        shape[last] = n;
        let m = shape.num_elements() / n;
        if let Some(words) = Words::floats(&w)
            && (lanes_of_eight(&x) || Form::dense(&x, &words, m).is_some())
        {
            return words_of_any_rows(&x, &words, bias);
        }
        let out = empty(&x, shape, DType::F32);
        let (mut params, groups) = vec_params(k);
        params.push(("Weight", wgsl_type(w.dtype, k.is_multiple_of(4))));
        params.push(("HAS_BIAS", bias.is_some().to_string()));
        // The kernel binds a bias always; without one any buffer serves and is not read.
        let bias = bias.map_or_else(|| x.clone(), f32_rows);
        let info = [m as u32, n as u32, groups as u32];
        let buffers = [&x, &w, &bias, &out];
        if m <= few_rows(FEW_ROWS) {
            // More lanes along k coalesce a GPU's loads and fill it; on a CPU adapter they only cost.
            let lanes = if on_cpu_adapter(&x) { 8 } else { 32 };
            // One pipeline for every number of rows where they must not matter.
            let rows = match active() {
                true => 4,
                false => m.next_power_of_two().min(8),
            };
            params.extend([("M", format!("{rows}u")), ("LANES", format!("{lanes}u"))]);
            let grid = fold(m.div_ceil(rows) * n.div_ceil(4 * 64 / lanes));
            launch("linear_vec", params, grid, &buffers, &info);
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
    //! The CPU device: `glmv-cpu` at the processor's best vector level.
    use crate::flex::{Weights, f32_rows, floats, new_f32, weight_rows, word_rows, words_of};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use glmv_quant::Format;

    pub(crate) fn linear(x: FlexTensor, w: FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
        let w = weight_rows(w);
        let [n, k] = w.shape().dims::<2>();
        affine(x, &Weights::new(&w), bias, [n, k])
    }

    pub(crate) fn linear_codes(
        x: FlexTensor,
        codes: FlexTensor,
        scales: FlexTensor,
        bias: Option<FlexTensor>,
        format: Format,
    ) -> FlexTensor {
        let (codes, scales) = (word_rows(codes), word_rows(scales));
        let (n, inner) = (codes.shape()[0], x.shape()[x.shape().num_dims() - 1]);
        let w = Weights::codes(words_of(&codes), words_of(&scales), format, inner);
        affine(x, &w, bias, [n, inner])
    }

    fn affine(
        x: FlexTensor,
        w: &Weights<'_>,
        bias: Option<FlexTensor>,
        [n, k]: [usize; 2],
    ) -> FlexTensor {
        let (x, bias) = (f32_rows(x), bias.map(f32_rows));
        let mut shape = x.shape();
        let last = shape.num_dims() - 1;
        shape[last] = n;
        let m = shape.num_elements() / n;
        let mut out = vec![0f32; m * n];
        let bias = bias.as_ref().map(floats);
        if let Err(error) = glmv_cpu::linear(floats(&x), m, w.matrix([n, k]), bias, &mut out) {
            panic!("linear on the CPU: {error}");
        }
        new_f32(out, shape)
    }
}
