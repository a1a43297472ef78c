//! The ops themselves under autodiff: the kernel of the backend below, and a step for its gradient.

#![allow(
    clippy::too_many_arguments,
    reason = "the trait's methods take one primitive per buffer"
)]

use super::codes::Codes;
use super::dense::{
    AttentionBackward, CodedLinearBackward, LinearBackward, LinearState, NormAddBackward,
    NormBackward, RopeBackward, SiluMulBackward, SwigluBackward,
};
use super::experts::{CodedExperts, CodedExpertsBackward, ExpertsBackward, RouterBackward};
use super::head::{HeadBackward, HeadState};
use super::rows::{EmbedBackward, PosEmbedBackward, SpliceBackward};
use super::{Differentiable, record};
use crate::backend::KernelOps;
use crate::logprobs::{Form, Head};
use crate::moe::RouterConfig;
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{AutodiffBackend, TensorMetadata};
use burn::tensor::DType;
use glmv_quant::Format;

/// What a linear layer keeps for the gradients that are wanted.
fn linear_state<B: Differentiable, C: CheckpointStrategy>(
    x: &FloatTensor<Autodiff<B, C>>,
    weight: &FloatTensor<Autodiff<B, C>>,
    bias: DType,
) -> LinearState<B> {
    LinearState {
        x: weight.is_tracked().then(|| x.primitive().clone()),
        weight: x.is_tracked().then(|| weight.primitive().clone()),
        outputs: weight.shape()[0],
        dtypes: [x.dtype(), weight.dtype(), bias],
    }
}

impl<B: Differentiable, C: CheckpointStrategy> KernelOps for Autodiff<B, C> {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let out = B::rms_norm(x.clone(), weight.clone(), eps);
        record::<B, C, _, 2>(NormBackward, nodes, (x, weight, eps), out)
    }
    fn rms_norm_add(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        let nodes = [h.node(), a.node(), weight.node()];
        let (a, weight) = (a.into_primitive(), weight.into_primitive());
        let out = B::rms_norm_add(h.into_primitive(), a.clone(), weight.clone(), eps);
        record::<B, C, _, 3>(NormAddBackward, nodes, (a, weight, eps), out)
    }
    fn add_rms_norm(
        h: FloatTensor<Self>,
        a: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        // A step has one output: the sum is one, its norm another.
        let sum = <Self as FloatTensorOps<Self>>::float_add(h, a);
        let normed = <Self as KernelOps>::rms_norm(sum.clone(), weight, eps);
        (sum, normed)
    }
    fn swiglu(gate_up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gate_up.node()];
        let gate_up = gate_up.into_primitive();
        let out = B::swiglu(gate_up.clone());
        record::<B, C, _, 1>(SwigluBackward, nodes, gate_up, out)
    }
    fn silu_mul(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gate.node(), up.node()];
        let (gate, up) = (gate.into_primitive(), up.into_primitive());
        let out = B::silu_mul(gate.clone(), up.clone());
        record::<B, C, _, 2>(SiluMulBackward, nodes, (gate, up), out)
    }
    fn rope(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
        interleaved: bool,
        inverse: bool,
    ) -> FloatTensor<Self> {
        let (nodes, table) = ([x.node()], table.into_primitive());
        let state = (
            table.clone(),
            pos.clone(),
            axis.clone(),
            interleaved,
            inverse,
        );
        let out = B::rope(x.into_primitive(), table, pos, axis, interleaved, inverse);
        record::<B, C, _, 1>(RopeBackward, nodes, state, out)
    }
    fn pos_embed(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        index: IntTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), table.node()];
        let (table, weight) = (table.into_primitive(), weight.into_primitive());
        let (rows, dtype) = (table.shape()[0], table.dtype());
        let state = (index.clone(), weight.clone(), rows, dtype);
        let out = B::pos_embed(x.into_primitive(), table, index, weight);
        record::<B, C, _, 2>(PosEmbedBackward, nodes, state, out)
    }
    fn splice(
        embeds: FloatTensor<Self>,
        features: FloatTensor<Self>,
        source: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [embeds.node(), features.node()];
        let (embeds, features) = (embeds.into_primitive(), features.into_primitive());
        let state = (source.clone(), features.shape()[0]);
        let out = B::splice(embeds, features, source);
        record::<B, C, _, 2>(SpliceBackward, nodes, state, out)
    }
    fn linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        let state = linear_state::<B, C>(&x, &weight, DType::F32);
        let out = <B as KernelOps>::linear(x.into_primitive(), weight.into_primitive());
        record::<B, C, _, 2>(LinearBackward, nodes, state, out)
    }
    fn linear_bias(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let state = linear_state::<B, C>(&x, &weight, bias.dtype());
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let out = B::linear_bias(x, weight, bias.into_primitive());
        record::<B, C, _, 3>(LinearBackward, nodes, state, out)
    }
    fn linear_codes(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        format: Format,
    ) -> FloatTensor<Self> {
        let (nodes, x) = ([x.node()], x.into_primitive());
        let inner = x.shape()[x.shape().num_dims() - 1];
        let weight = Codes::flat(codes.clone(), scales.clone(), format, inner);
        let out = B::linear_codes(x, codes, scales, format);
        record::<B, C, _, 1>(CodedLinearBackward, nodes, (weight, DType::F32), out)
    }
    fn linear_codes_bias(
        x: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        bias: FloatTensor<Self>,
        format: Format,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), bias.node()];
        let (x, bias) = (x.into_primitive(), bias.into_primitive());
        let inner = x.shape()[x.shape().num_dims() - 1];
        let weight = Codes::flat(codes.clone(), scales.clone(), format, inner);
        let state = (weight, bias.dtype());
        let out = B::linear_codes_bias(x, codes, scales, bias, format);
        record::<B, C, _, 2>(CodedLinearBackward, nodes, state, out)
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
        let nodes = [x.node(), weights.node()];
        let (x, weights) = (x.into_primitive(), weights.into_primitive());
        let (hidden, width) = (x.shape()[1], gate_up.shape()[1] / 2);
        let (g, s) = (gate_up.clone(), gate_up_scales.clone());
        let (d, t) = (down.clone(), down_scales.clone());
        let state = CodedExperts {
            x: x.clone(),
            weights: weights.clone(),
            ids: ids.clone(),
            gate_up: Codes::flat(g, s, formats[0], hidden),
            down: Codes::flat(d, t, formats[1], width),
            base,
        };
        let out = B::moe_experts_codes(
            x,
            ids,
            weights,
            gate_up,
            gate_up_scales,
            down,
            down_scales,
            formats,
            base,
        );
        record::<B, C, _, 2>(CodedExpertsBackward, nodes, state, out)
    }
    fn embed(table: FloatTensor<Self>, ids: IntTensor<Self>, base: usize) -> FloatTensor<Self> {
        let (nodes, table) = ([table.node()], table.into_primitive());
        let state = (ids.clone(), base, table.shape()[0], table.dtype());
        record::<B, C, _, 1>(EmbedBackward, nodes, state, B::embed(table, ids, base))
    }
    fn embed_codes(
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        ids: IntTensor<Self>,
        shape: (Format, usize),
        base: usize,
    ) -> FloatTensor<Self> {
        // Codes are frozen: nothing to track.
        Self::from_inner(B::embed_codes(codes, scales, ids, shape, base))
    }
    fn attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        range: IntTensor<Self>,
        scale: f32,
    ) -> FloatTensor<Self> {
        let nodes = [q.node(), k.node(), v.node()];
        let [q, k, v] = [q, k, v].map(|t| t.into_primitive());
        let qkv = [q.clone(), k.clone(), v.clone()];
        let out = <B as KernelOps>::attention(q, k, v, range.clone(), scale);
        let state = (qkv, range, scale, out.clone());
        record::<B, C, _, 3>(AttentionBackward, nodes, state, out)
    }
    fn moe_router(
        logits: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        config: RouterConfig,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        let (nodes, logits) = ([logits.node()], logits.into_primitive());
        let (ids, weights) = B::moe_router(logits.clone(), bias.into_primitive(), config);
        let state = (logits, ids.clone(), config);
        let weights = record::<B, C, _, 1>(RouterBackward, nodes, state, weights);
        (ids, weights)
    }
    fn moe_experts(
        x: FloatTensor<Self>,
        ids: IntTensor<Self>,
        weights: FloatTensor<Self>,
        gate_up: FloatTensor<Self>,
        down: FloatTensor<Self>,
        base: usize,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weights.node(), gate_up.node(), down.node()];
        let tensors = [x, weights, gate_up, down].map(|t| t.into_primitive());
        let state = (tensors.clone(), ids.clone(), base);
        let [x, weights, gate_up, down] = tensors;
        let out = B::moe_experts(x, ids, weights, gate_up, down, base);
        record::<B, C, _, 4>(ExpertsBackward, nodes, state, out)
    }
    fn rope_angles(
        table: FloatTensor<Self>,
        pos: IntTensor<Self>,
        axis: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        // Of a table that is no parameter.
        Self::from_inner(B::rope_angles(table.into_primitive(), pos, axis))
    }
    fn head_scores(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        mask: FloatTensor<Self>,
        form: Form,
    ) -> FloatTensor<Self> {
        let nodes = [hidden.node(), weight.node()];
        let (hidden, weight) = (hidden.into_primitive(), weight.into_primitive());
        let mask = mask.into_primitive();
        let (h, w, t, m) = (
            hidden.clone(),
            weight.clone(),
            targets.clone(),
            mask.clone(),
        );
        let out = B::head_scores(h, w, t, m, form);
        let state = HeadState {
            hidden,
            dtype: weight.dtype(),
            head: Head::Float(weight),
            targets,
            mask,
            form,
            state: out.clone(),
        };
        record::<B, C, _, 2>(HeadBackward, nodes, state, out)
    }
    fn head_scores_codes(
        hidden: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: IntTensor<Self>,
        targets: IntTensor<Self>,
        mask: FloatTensor<Self>,
        (format, form): (Format, Form),
    ) -> FloatTensor<Self> {
        let (nodes, hidden) = ([hidden.node()], hidden.into_primitive());
        let mask = mask.into_primitive();
        let (h, c, s) = (hidden.clone(), codes.clone(), scales.clone());
        let (t, m) = (targets.clone(), mask.clone());
        let out = B::head_scores_codes(h, c, s, t, m, (format, form));
        let inner = hidden.shape()[1];
        let state = HeadState {
            hidden,
            dtype: DType::F32,
            head: Head::Codes(Codes::flat(codes, scales, format, inner)),
            targets,
            mask,
            form,
            state: out.clone(),
        };
        record::<B, C, _, 1>(HeadBackward, nodes, state, out)
    }
}
