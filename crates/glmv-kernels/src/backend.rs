//! The backend extension: one method per op, implemented for wgpu (WGSL), Flex (native Rust) and
//! autodiff (hand-written backward). Primitives in, primitives out; the public functions of the op
//! files are the only callers.

#![allow(
    clippy::too_many_arguments,
    reason = "one primitive per buffer; an expectation does not survive the macro"
)]

use crate::logprobs::{self, Codes, Form, Head};
use crate::{attention, elementwise, embed, gather, linear, moe, moe_cube, norm, rope};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, backend_extension};
use burn_cubecl::CubeBackend;
use glmv_quant::Format;

/// Fused operations; shapes and sources stand at the public function of the same name.
#[backend_extension(Cube, Flex, Autodiff)]
pub(crate) trait KernelOps: Backend {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;
    fn rms_norm_add(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self>;
    fn add_rms_norm(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    fn swiglu(gate_up: FloatTensor<Self>) -> FloatTensor<Self>;
    fn silu_mul(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;
    fn rope(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
        interleaved: bool,
        inverse: bool,
    ) -> FloatTensor<Self>;
    fn pos_embed(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        index: IntTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn splice(
        embeds: FloatTensor<Self>,
        features: FloatTensor<Self>,
        source: IntTensor<Self>,
    ) -> FloatTensor<Self>;
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;
    fn linear_bias(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn linear_codes(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        format: Format,
    ) -> FloatTensor<Self>;
    fn linear_codes_bias(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        bias: FloatTensor<Self>,
        format: Format,
    ) -> FloatTensor<Self>;
    fn moe_experts_codes(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: IntTensor<Self>,
        gate_up_scales: IntTensor<Self>,
        down: IntTensor<Self>,
        down_scales: IntTensor<Self>,
        formats: [Format; 2],
        base: usize,
    ) -> FloatTensor<Self>;
    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>, base: usize) -> FloatTensor<Self>;
    fn embed_codes(
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        ids: IntTensor<Self>,
        shape: (Format, usize),
        base: usize,
    ) -> FloatTensor<Self>;
    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        range: IntTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self>;
    fn moe_router(
        logits: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        config: moe::RouterConfig,
    ) -> (IntTensor<Self>, FloatTensor<Self>);
    fn moe_experts(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        base: usize,
    ) -> FloatTensor<Self>;
    fn rope_angles(
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
    ) -> FloatTensor<Self>;
    fn head_scores(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        mask: FloatTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self>;
    fn head_scores_codes(
        hidden: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        targets: IntTensor<Self>,
        mask: FloatTensor<Self>,
        form: (Format, Form),
    ) -> FloatTensor<Self>;
}

impl KernelOps for CubeBackend {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        norm::cube::rms_norm(x, weight, eps)
    }
    fn rms_norm_add(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::cube::rms_norm_add(h, a, weight, eps)
    }
    fn add_rms_norm(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        norm::cube::add_rms_norm(h, a, weight, eps)
    }
    fn swiglu(gate_up: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::cube::swiglu(gate_up)
    }
    fn silu_mul(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::cube::silu_mul(gate, up)
    }
    fn rope(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
        interleaved: bool,
        inverse: bool,
    ) -> FloatTensor<Self> {
        rope::cube::rope(x, table, pos, axis, interleaved, inverse)
    }
    fn pos_embed(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        index: IntTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        gather::cube::pos_embed(x, table, index, weight)
    }
    fn splice(
        embeds: FloatTensor<Self>,
        features: FloatTensor<Self>,
        source: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        gather::cube::splice(embeds, features, source)
    }
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::cube::linear(x, weight, None)
    }
    fn linear_bias(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::cube::linear(x, weight, Some(bias))
    }
    fn linear_codes(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        format: Format,
    ) -> FloatTensor<Self> {
        linear::cube::linear_codes(x, codes, scales, None, format)
    }
    fn linear_codes_bias(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        bias: FloatTensor<Self>,
        format: Format,
    ) -> FloatTensor<Self> {
        linear::cube::linear_codes(x, codes, scales, Some(bias), format)
    }
    fn moe_experts_codes(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: IntTensor<Self>,
        gate_up_scales: IntTensor<Self>,
        down: IntTensor<Self>,
        down_scales: IntTensor<Self>,
        formats: [Format; 2],
        base: usize,
    ) -> FloatTensor<Self> {
        moe_cube::moe_experts_codes(
            x,
            ids,
            weights,
            [gate_up, gate_up_scales, down, down_scales],
            formats,
            base,
        )
    }
    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>, base: usize) -> FloatTensor<Self> {
        embed::cube::embed(table, ids, base)
    }
    fn embed_codes(
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        ids: IntTensor<Self>,
        shape: (Format, usize),
        base: usize,
    ) -> FloatTensor<Self> {
        embed::cube::embed_codes(codes, scales, ids, shape, base)
    }
    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        range: IntTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        attention::cube::attention(q, k, v, range, scale)
    }
    fn moe_router(
        logits: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        config: moe::RouterConfig,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        moe_cube::moe_router(logits, bias, config)
    }
    fn moe_experts(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        base: usize,
    ) -> FloatTensor<Self> {
        moe_cube::moe_experts(x, ids, weights, gate_up, down, base)
    }
    fn rope_angles(
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        rope::cube::angles(table, pos, axis)
    }
    fn head_scores(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        mask: FloatTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        logprobs::forward::<Self>(hidden, &Head::Float(weight), targets, mask, form)
    }
    fn head_scores_codes(
        hidden: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        targets: IntTensor<Self>,
        mask: FloatTensor<Self>,
        (format, form): (Format, Form),
    ) -> FloatTensor<Self> {
        let inner = hidden.shape()[1];
        let head = Head::Codes(Codes::flat(codes, scales, format, inner));
        logprobs::forward::<Self>(hidden, &head, targets, mask, form)
    }
}
