//! Softmax attention in which every query attends to one contiguous range of keys. Segments of
//! the vision tower, causal prefill with left padding and decoding against a cache are ranges.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor, activation, s};

#[path = "attention_native.rs"]
pub(crate) mod native;

/// Widest head of the kernels; wider ones take the twin.
const MAX_HEAD_DIM: usize = 256;

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

pub(crate) mod cube {
    //! WGSL launches of one flash-attention kernel whose tile follows the number of rows; the keys
    //! of few rows are split over workgroups on a GPU and merged.
    use crate::launch::{
        RowTile, bits, empty, f32_rows, fold, launch, on_cpu_adapter, on_octets, weight_rows,
        wgsl_int, wgsl_type,
    };
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

    /// Keys one workgroup walks at least before splitting more is worth a merge.
    const KEYS_PER_SPLIT: usize = 128;
    const MAX_SPLITS: usize = 16;

    /// Lanes over rows: 8 for many rows, else the fewest that cover them (4 rows per lane).
    fn row_lanes(rows: usize) -> usize {
        [1, 2, 4]
            .into_iter()
            .find(|lanes| 4 * lanes >= rows)
            .unwrap_or(8)
    }

    /// `attention_sub.wgsl`: head_dim is divisible by four.
    fn by_subgroups(
        q: &CubeTensor,
        k: &CubeTensor,
        v: &CubeTensor,
        range: &CubeTensor,
        scale: f32,
    ) -> CubeTensor {
        let [batch, queries, heads, head_dim] = q.shape().dims::<4>();
        let [_, keys, kv_heads, _] = k.shape().dims::<4>();
        let (dh, width) = (head_dim / 4, head_dim.div_ceil(32));
        let rows = queries * (heads / kv_heads);
        // A row's sums take `width` vectors of registers: wider heads leave room for fewer rows.
        let most = if width <= 3 {
            32
        } else if width == 4 {
            16
        } else {
            8
        };
        let tile = RowTile::of(rows, most);
        let mut params = vec![
            ("KvElem", wgsl_type(k.dtype, true)),
            ("Int", wgsl_int(range)),
            ("DH", format!("{dh}u")),
            ("WIDTH", format!("{width}u")),
        ];
        params.extend(tile.params());
        let info = [batch, queries, heads, kv_heads, dh, keys].map(|v| v as u32);
        let info = [&info[..], &[bits(scale)]].concat();
        let out = empty(q, q.shape(), DType::F32);
        let grid = fold(batch * kv_heads * rows.div_ceil(tile.rows()));
        launch(
            "attention_sub",
            params,
            grid,
            &[q, k, v, range, &out],
            &info,
        );
        out
    }

    pub(crate) fn attention(
        q: CubeTensor,
        k: CubeTensor,
        v: CubeTensor,
        range: CubeTensor,
        scale: f32,
    ) -> CubeTensor {
        let (q, k, v) = (f32_rows(q), weight_rows(k), weight_rows(v));
        let range = into_contiguous(range);
        let [batch, queries, heads, head_dim] = q.shape().dims::<4>();
        let [_, keys, kv_heads, _] = k.shape().dims::<4>();
        let fours = head_dim.is_multiple_of(4);
        let dh = if fours { head_dim / 4 } else { head_dim };
        let rows = queries * (heads / kv_heads);
        if on_octets(&q) && fours {
            return by_subgroups(&q, &k, &v, &range, scale);
        }
        let lanes = row_lanes(rows);
        let splits = match on_cpu_adapter(&q) || rows > 32 {
            true => 1,
            false => (keys / KEYS_PER_SPLIT).clamp(1, MAX_SPLITS),
        };
        let mut params = vec![
            ("KvElem", wgsl_type(k.dtype, fours)),
            ("Int", wgsl_int(&range)),
            ("DH", format!("{dh}u")),
            ("ROW_LANES", format!("{lanes}u")),
            ("SPLITS", format!("{splits}u")),
        ];
        if !fours {
            params.push(("Vec", "f32".to_string()));
            params.push(("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)".to_string()));
        }
        let info = [batch, queries, heads, kv_heads, dh, keys].map(|v| v as u32);
        let info = [&info[..], &[bits(scale)]].concat();
        let grid = fold(batch * kv_heads * rows.div_ceil(4 * lanes) * splits);
        let out = empty(&q, q.shape(), DType::F32);
        if splits == 1 {
            launch(
                "attention",
                params,
                grid,
                &[&q, &k, &v, &range, &out],
                &info,
            );
            return out;
        }
        let width = if fours { 4 } else { 1 };
        let total = batch * queries * heads;
        let parts = empty(&q, [splits, total, (dh + 1) * width], DType::F32);
        launch(
            "attention",
            params,
            grid,
            &[&q, &k, &v, &range, &parts],
            &info,
        );
        let mut params = vec![];
        if !fours {
            params.push(("Vec", "f32".to_string()));
        }
        let info = [total, dh, splits].map(|v| v as u32);
        let grid = fold((total * dh).div_ceil(64));
        launch("attention_merge", params, grid, &[&parts, &out], &info);
        out
    }
}
