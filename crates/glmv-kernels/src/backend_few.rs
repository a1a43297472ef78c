//! The backend extension of the fused decoding kernels, which only wgpu has: `fused` sends every
//! other device the ops one by one.

#![allow(
    clippy::too_many_arguments,
    reason = "one primitive per buffer; an expectation does not survive the macro"
)]

use crate::fused::{self, LinearForm, QkvForm};
use burn::backend::Backend;
use burn::backend::backend_extension;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn_cubecl::CubeBackend;
use glmv_quant::Format;

/// Queries, keys and values.
pub(crate) type Qkv<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>);

/// Launches of the `few_*` kernels; shapes stand at the public functions of `fused.rs`. `_codes`
/// take the weights as codes and scales.
#[backend_extension(Cube)]
pub(crate) trait FewOps: Backend {
    fn few_linear(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        form: LinearForm,
    ) -> FloatTensor<Self>;
    fn few_linear_codes(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        extra: FloatTensor<Self>,
        format: Format,
        form: LinearForm,
    ) -> FloatTensor<Self>;
    fn few_qkv(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        angles: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        slots: IntTensor<Self>,
        form: QkvForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    fn few_qkv_codes(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        bias: FloatTensor<Self>,
        angles: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        slots: IntTensor<Self>,
        format: Format,
        form: QkvForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
    fn few_experts(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        scalars: (f32, usize),
    ) -> FloatTensor<Self>;
    fn few_experts_codes(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: IntTensor<Self>,
        gate_up_scales: IntTensor<Self>,
        down: IntTensor<Self>,
        down_scales: IntTensor<Self>,
        residual: FloatTensor<Self>,
        formats: (Format, usize, Format, usize),
        scalars: (f32, usize),
    ) -> FloatTensor<Self>;
}

impl FewOps for CubeBackend {
    fn few_linear(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        form: LinearForm,
    ) -> FloatTensor<Self> {
        fused::cube::linear(x, gamma, fused::cube::floats(weight), extra, form)
    }
    fn few_linear_codes(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        extra: FloatTensor<Self>,
        format: Format,
        form: LinearForm,
    ) -> FloatTensor<Self> {
        let weight = fused::cube::codes_for(&x, codes, scales, format);
        fused::cube::linear(x, gamma, weight, extra, form)
    }
    fn few_qkv(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        angles: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        slots: IntTensor<Self>,
        form: QkvForm,
    ) -> Qkv<Self> {
        let weight = fused::cube::floats(weight);
        fused::cube::qkv(x, gamma, weight, bias, angles, (keys, values, slots), form)
    }
    fn few_qkv_codes(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        bias: FloatTensor<Self>,
        angles: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        slots: IntTensor<Self>,
        format: Format,
        form: QkvForm,
    ) -> Qkv<Self> {
        let weight = fused::cube::codes_for(&x, codes, scales, format);
        fused::cube::qkv(x, gamma, weight, bias, angles, (keys, values, slots), form)
    }
    fn few_experts(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        scalars: (f32, usize),
    ) -> FloatTensor<Self> {
        let stacks = (fused::cube::floats(gate_up), fused::cube::floats(down));
        fused::cube::experts(x, gamma, (ids, weights), stacks, residual, scalars)
    }
    fn few_experts_codes(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: IntTensor<Self>,
        gate_up_scales: IntTensor<Self>,
        down: IntTensor<Self>,
        down_scales: IntTensor<Self>,
        residual: FloatTensor<Self>,
        (gate_up_format, hidden, down_format, width): (Format, usize, Format, usize),
        scalars: (f32, usize),
    ) -> FloatTensor<Self> {
        let stacks = (
            crate::words::Words::codes(gate_up, gate_up_scales, gate_up_format, hidden),
            crate::words::Words::codes(down, down_scales, down_format, width),
        );
        fused::cube::experts(x, gamma, (ids, weights), stacks, residual, scalars)
    }
}
