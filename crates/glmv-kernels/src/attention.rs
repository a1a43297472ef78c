//! Softmax attention in which every query attends to one contiguous range of keys. Segments of
//! the vision tower, causal prefill with left padding and decoding against a cache are ranges.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor, activation, s};

#[path = "attention_backward.rs"]
pub(crate) mod backward;
#[path = "attention_cube.rs"]
pub(crate) mod cube;
#[path = "attention_native.rs"]
pub(crate) mod native;

/// Widest head of the kernels; wider ones take the twin.
pub(crate) const MAX_HEAD_DIM: usize = 256;

/// Grouped-query attention: query row (b, i) attends to keys `range[b, i, 0]..range[b, i, 1]`.
/// Query head h reads key/value head `h / (heads / kv_heads)`. An empty range gives zeros.
///
/// # Shapes
/// `q` `[batch, queries, heads, head_dim]` f32, `k` and `v` `[batch, keys, kv_heads, head_dim]` f32
/// or f16 (keys may exceed every range: a cache's capacity), `range` `[batch * queries, 2]`
/// → `[batch, queries, heads, head_dim]` f32.
///
/// # Panics
/// If heads is no multiple of kv_heads, or shapes disagree.
///
/// Source: HF `eager_attention_forward` with the masks of `Glm4vTextModel` and
/// `Glm4vVisionAttention`.
pub fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    range: Tensor<2, Int>,
    scale: f32,
) -> Tensor<4> {
    let ([batch, queries, heads, head_dim], [kb, _, kv_heads, kd]) = (q.dims(), k.dims());
    assert!(
        kb == batch && kd == head_dim,
        "attention: q {:?} and k {:?}",
        q.dims(),
        k.dims()
    );
    assert_eq!(k.dims(), v.dims(), "attention: k and v differ in shape");
    assert!(
        heads.is_multiple_of(kv_heads),
        "{heads} query heads over {kv_heads} key heads"
    );
    assert_eq!(
        range.dims(),
        [batch * queries, 2],
        "attention: one range per query"
    );
    if route(Op::Attention, &q.device()) == Route::Twin || head_dim > MAX_HEAD_DIM {
        return attention_reference(q, k, v, range, scale);
    }
    Tensor::from_dispatch(Dispatch::attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        range.into_dispatch(),
        scale,
    ))
}

/// Definition of [`attention`] in tensor operations; materialises all scores.
pub fn attention_reference(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    range: Tensor<2, Int>,
    scale: f32,
) -> Tensor<4> {
    let [batch, queries, heads, head_dim] = q.dims();
    let [_, keys, kv_heads, _] = k.dims();
    let group = heads / kv_heads;
    // [batch, heads, keys, head_dim], every key head repeated for its query heads.
    let expand = |t: Tensor<4>| {
        let t = if t.dtype() == DType::F32 {
            t
        } else {
            t.cast(DType::F32)
        };
        t.swap_dims(1, 2)
            .reshape([batch, kv_heads, 1, keys * head_dim])
            .expand([batch, kv_heads, group, keys * head_dim])
            .reshape([batch, heads, keys, head_dim])
    };
    let (k, v) = (expand(k), expand(v));
    let index = Tensor::<1, Int>::arange(0..keys as i64, &q.device()).reshape([1, keys]);
    let bound = |i: usize| {
        let column = range.clone().slice(s![.., i..i + 1]);
        column.expand([batch * queries, keys])
    };
    let index = index.expand([batch * queries, keys]);
    let outside = index
        .clone()
        .lower(bound(0))
        .bool_or(index.greater_equal(bound(1)));
    let mask = outside
        .reshape([batch, 1, queries, keys])
        .expand([batch, heads, queries, keys]);
    let scores = q
        .swap_dims(1, 2)
        .matmul(k.swap_dims(2, 3))
        .mul_scalar(scale);
    let weights = activation::softmax(scores.mask_fill(mask.clone(), -3.0e38), 3);
    // A row without keys would be uniform after softmax: mask again, so that it is zero.
    weights.mask_fill(mask, 0.0).matmul(v).swap_dims(1, 2)
}
