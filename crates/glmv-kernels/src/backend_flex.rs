//! The backend extension on the CPU device: native Rust.

#![allow(
    clippy::too_many_arguments,
    reason = "the trait's methods take one primitive per buffer"
)]

use crate::backend::KernelOps;
use crate::logprobs::{self, Codes, Form, Head};
use crate::{attention, elementwise, embed, gather, linear, moe, norm, rope};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, TensorMetadata};
use glmv_quant::Format;

impl KernelOps for Flex {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        norm::native::rms_norm(x, weight, eps)
    }
    fn rms_norm_add(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        norm::native::rms_norm_add(h, a, weight, eps)
    }
    fn add_rms_norm(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        norm::native::add_rms_norm(h, a, weight, eps)
    }
    fn swiglu(gate_up: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::native::swiglu(gate_up)
    }
    fn silu_mul(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        elementwise::native::silu_mul(gate, up)
    }
    fn rope(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
        interleaved: bool,
        inverse: bool,
    ) -> FloatTensor<Self> {
        rope::native::rope(x, table, pos, axis, interleaved, inverse)
    }
    fn pos_embed(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        index: IntTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        gather::native::pos_embed(x, table, index, weight)
    }
    fn splice(
        embeds: FloatTensor<Self>,
        features: FloatTensor<Self>,
        source: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        gather::native::splice(embeds, features, source)
    }
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::native::linear(x, weight, None)
    }
    fn linear_bias(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::native::linear(x, weight, Some(bias))
    }
    fn linear_codes(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        format: Format,
    ) -> FloatTensor<Self> {
        linear::native::linear_codes(x, codes, scales, None, format)
    }
    fn linear_codes_bias(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        bias: FloatTensor<Self>,
        format: Format,
    ) -> FloatTensor<Self> {
        linear::native::linear_codes(x, codes, scales, Some(bias), format)
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
        moe::native::moe_experts_codes(
            x,
            ids,
            weights,
            [gate_up, gate_up_scales, down, down_scales],
            formats,
            base,
        )
    }
    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>, base: usize) -> FloatTensor<Self> {
        embed::native::embed(table, ids, base)
    }
    fn embed_codes(
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        ids: IntTensor<Self>,
        shape: (Format, usize),
        base: usize,
    ) -> FloatTensor<Self> {
        embed::native::embed_codes(codes, scales, ids, shape, base)
    }
    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        range: IntTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        attention::native::attention(q, k, v, range, scale)
    }
    fn moe_router(
        logits: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        config: moe::RouterConfig,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        moe::native::moe_router(logits, bias, config)
    }
    fn moe_experts(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        base: usize,
    ) -> FloatTensor<Self> {
        moe::native::moe_experts(x, ids, weights, gate_up, down, base)
    }
    fn rope_angles(
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        rope::native::angles(table, pos, axis)
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
