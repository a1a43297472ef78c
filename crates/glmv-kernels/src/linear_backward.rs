//! Gradients of a linear layer's input and weight: WGSL tiles where the adapter has subgroups of eight
//! lanes, else Burn's own products. Called by the backward pass in `autodiff.rs`.

use crate::launch::{empty, f32_rows, fold, lanes_of_eight, launch, weight_rows, wgsl_type};
use crate::tile::RowTile;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{DType, FloatDType, Shape};
use burn_cubecl::{CubeBackend, tensor::CubeTensor};

/// Rows and last axis of a tensor.
fn sides<T: TensorMetadata>(t: &T) -> [usize; 2] {
    let shape = t.shape();
    let last = shape[shape.num_dims() - 1];
    [shape.num_elements() / last.max(1), last]
}

fn as_rows<B: Backend + FloatTensorOps<B>>(t: FloatTensor<B>) -> FloatTensor<B> {
    let dims = sides(&t);
    let t = if t.dtype() == DType::F32 {
        t
    } else {
        B::float_cast(t, FloatDType::F32)
    };
    B::float_reshape(t, Shape::new(dims))
}

fn input_shape(grad: Shape, k: usize) -> Shape {
    let mut shape = grad;
    let last = shape.num_dims() - 1;
    shape[last] = k;
    shape
}

/// `grad · weight`, in f32: grad `[.., n]`, weight `[n, k]` → `[.., k]`.
pub(crate) fn grad_input<B: Backend + FloatTensorOps<B>>(
    grad: FloatTensor<B>,
    weight: FloatTensor<B>,
) -> FloatTensor<B> {
    let shape = input_shape(grad.shape(), weight.shape()[1]);
    let out = B::float_matmul(as_rows::<B>(grad), as_rows::<B>(weight));
    B::float_reshape(out, shape)
}

/// `gradᵀ · x`, in f32: grad `[.., n]`, x `[.., k]` → `[n, k]`.
pub(crate) fn grad_weight<B: Backend + FloatTensorOps<B>>(
    grad: FloatTensor<B>,
    x: FloatTensor<B>,
) -> FloatTensor<B> {
    let grad = B::float_transpose(as_rows::<B>(grad));
    B::float_matmul(grad, as_rows::<B>(x))
}

pub(crate) mod cube {
    use super::*;

    /// See [`super::grad_input`].
    pub(crate) fn grad_input(grad: CubeTensor, weight: CubeTensor) -> CubeTensor {
        let [n, k] = weight.shape().dims::<2>();
        let fours = n.is_multiple_of(4) && k.is_multiple_of(4);
        if !fours || !lanes_of_eight(&grad) {
            return super::grad_input::<CubeBackend>(grad, weight);
        }
        let (grad, weight) = (f32_rows(grad), weight_rows(weight));
        let [rows, _] = sides(&grad);
        let out = empty(&grad, input_shape(grad.shape(), k), DType::F32);
        let tile = RowTile::of(rows, 32);
        let mut params = vec![("Weight", wgsl_type(weight.dtype, true))];
        params.extend(tile.params());
        let info = [rows, n / 4, k / 4].map(|v| v as u32);
        let grid = fold(rows.div_ceil(tile.rows()) * k.div_ceil(64));
        launch(
            "matmul_nn_sub",
            params,
            grid,
            &[&grad, &weight, &out],
            &info,
        );
        out
    }

    /// See [`super::grad_weight`].
    pub(crate) fn grad_weight(grad: CubeTensor, x: CubeTensor) -> CubeTensor {
        let ([rows, n], [_, k]) = (sides(&grad), sides(&x));
        let fours = n.is_multiple_of(4) && k.is_multiple_of(4);
        if !fours || !lanes_of_eight(&grad) {
            return super::grad_weight::<CubeBackend>(grad, x);
        }
        let (grad, x) = (f32_rows(grad), f32_rows(x));
        let out = empty(&grad, [n, k], DType::F32);
        let info = [rows, n / 4, k / 4].map(|v| v as u32);
        let grid = fold(n.div_ceil(32) * k.div_ceil(64));
        let params = vec![("WG", "8u".to_string())];
        launch("matmul_tn_sub", params, grid, &[&grad, &x, &out], &info);
        out
    }
}

pub(crate) mod native {
    use burn::backend::Flex;
    use burn_flex::FlexTensor;

    /// See [`super::grad_input`].
    pub(crate) fn grad_input(grad: FlexTensor, weight: FlexTensor) -> FlexTensor {
        super::grad_input::<Flex>(grad, weight)
    }

    /// See [`super::grad_weight`].
    pub(crate) fn grad_weight(grad: FlexTensor, x: FlexTensor) -> FlexTensor {
        super::grad_weight::<Flex>(grad, x)
    }
}
