//! Attention's input for few tokens: norm, projections, rotation and cache write.

use super::{Norm, is_fused};
use crate::backend_few::FewOps;
use crate::rope::{Pairing, RopeTable, rope_reference};
use crate::weight::Weight;
use crate::{linear_reference, rms_norm_reference};
use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor, s};

/// Heads of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    pub queries: usize,
    pub keys: usize,
    pub dim: usize,
}

impl Heads {
    /// Rows of the joined projection.
    pub fn rows(&self) -> usize {
        (self.queries + 2 * self.keys) * self.dim
    }
}

/// One layer's cache and where the tokens of a call go.
#[derive(Clone, Debug)]
pub struct CacheRows {
    /// `[rows, kv_heads, dim]`, f32 or f16.
    pub keys: Tensor<3>,
    /// As `keys`.
    pub values: Tensor<3>,
    /// `[tokens]`: row of each token, distinct.
    pub slots: Tensor<1, Int>,
}

/// Scalars of a launch of `few_qkv`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct QkvForm {
    pub eps: f32,
    pub heads: Heads,
    pub interleaved: bool,
    pub bias: bool,
}

/// True where [`fused_qkv`] runs: wgpu, few tokens, heads of whole pairs of pairs.
pub fn qkv_is_fused(x: &Tensor<2>, weight: &Weight<2>, heads: Heads, table: &RopeTable) -> bool {
    let even = heads.dim.is_multiple_of(4) && table.axis.dims()[0].is_multiple_of(2);
    even && is_fused(x, std::iter::once(weight))
}

/// Queries of the tokens, rotated; their keys, rotated, and values are written into the cache, in
/// the buffers given: no other handle of them may expect the old rows.
///
/// # Shapes
/// `x` `[tokens, hidden]`, `weight` `[heads.rows(), hidden]` (q, k, v rows), `bias`
/// `[heads.rows()]`, `angles` `[tokens, r]` from [`RopeTable::angles`] → `[tokens, queries, dim]`,
/// keys, values.
///
/// # Panics
/// If [`qkv_is_fused`] is false or shapes disagree.
///
/// Source: HF `Glm4vTextAttention.forward`.
pub fn fused_qkv(
    x: Tensor<2>,
    norm: Norm,
    (weight, bias): (Weight<2>, Option<Tensor<1>>),
    heads: Heads,
    (angles, pairing): (Tensor<2>, Pairing),
    cache: CacheRows,
) -> (Tensor<3>, Tensor<3>, Tensor<3>) {
    let [tokens, hidden] = x.dims();
    assert!(
        is_fused(&x, std::iter::once(&weight)),
        "fused_qkv: {tokens} tokens of {hidden}"
    );
    assert_eq!(weight.dims(), [heads.rows(), hidden], "fused_qkv: weight");
    assert!(
        cache.keys.dims() == cache.values.dims()
            && cache.keys.dims()[1..] == [heads.keys, heads.dim],
        "fused_qkv: cache {:?} for {heads:?}",
        cache.keys.dims()
    );
    assert_eq!(
        cache.slots.dims(),
        [tokens],
        "fused_qkv: one row of the cache per token"
    );
    let form = QkvForm {
        eps: norm.eps,
        heads,
        interleaved: pairing == Pairing::Interleaved,
        bias: bias.is_some(),
    };
    let bias = bias.unwrap_or_else(|| norm.weight.clone());
    let (x, gamma) = (x.into_dispatch(), norm.weight.into_dispatch());
    let (bias, angles) = (bias.into_dispatch(), angles.into_dispatch());
    let (keys, values) = (cache.keys.into_dispatch(), cache.values.into_dispatch());
    let slots = cache.slots.into_dispatch();
    let (q, keys, values) = match weight {
        Weight::Float(w) => {
            let w = w.into_dispatch();
            Dispatch::few_qkv(x, gamma, w, bias, angles, keys, values, slots, form)
        }
        Weight::Quantised(w) => {
            let (codes, scales, format) = w.into_parts();
            let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
            Dispatch::few_qkv_codes(
                x, gamma, codes, scales, bias, angles, keys, values, slots, format, form,
            )
        }
    };
    (
        Tensor::from_dispatch(q),
        Tensor::from_dispatch(keys),
        Tensor::from_dispatch(values),
    )
}

/// Definition of [`fused_qkv`]: the queries, and the rows that it writes.
///
/// # Shapes
/// `positions` `[axes, tokens]`; → `[tokens, queries, dim]` and two of `[tokens, keys, dim]`.
pub fn fused_qkv_reference(
    x: Tensor<2>,
    norm: Norm,
    (weight, bias): (Weight<2>, Option<Tensor<1>>),
    heads: Heads,
    (table, positions, pairing): (&RopeTable, Tensor<2, Int>, Pairing),
) -> (Tensor<3>, Tensor<3>, Tensor<3>) {
    let tokens = x.dims()[0];
    let y = linear_reference(rms_norm_reference(x, norm.weight, norm.eps), weight, bias);
    let part = |first: usize, count: usize| {
        let columns = s![.., first * heads.dim..(first + count) * heads.dim];
        y.clone().slice(columns).reshape([tokens, count, heads.dim])
    };
    let turn = |t: Tensor<3>| rope_reference(t, table, positions.clone(), pairing);
    let (q, k) = (heads.queries, heads.keys);
    (turn(part(0, q)), turn(part(q, k)), part(q + k, k))
}
