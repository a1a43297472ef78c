//! Blocked attention for the CPU device: per key head and block of queries two small products
//! around a softmax; scores of one block only are alive. Keys lie in one piece, or in the blocks of
//! a paged cache, from where the head's rows are gathered first.
use crate::flex::{Mat, Weights, f32_rows, floats, ints, matmul, new_f32, weight_rows};
use burn::backend::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;
use std::borrow::Cow;

/// Queries per block.
const BLOCK: usize = 32;

struct Dims {
    queries: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    keys: usize,
    scale: f32,
}

/// Keys or values of all sequences.
enum Rows<'a> {
    /// `[batch, keys, kv_heads, head_dim]`.
    Whole(Weights<'a>),
    /// Rows of a paged store, f32 or f16, and the block tables.
    Paged(Weights<'a>, &'a Table),
    /// Codes of a paged store, its scales, which of the two scales, and the block tables.
    Codes(&'a [u32], &'a [f32], usize, &'a Table),
}

/// Block tables: `blocks` `[batch, max_blocks]` of `size` rows each, in a store of `rows`.
struct Table {
    blocks: Vec<i64>,
    max_blocks: usize,
    size: usize,
    rows: usize,
}

impl Table {
    /// Store row of key `key` of sequence `b`; inside of the store for any table.
    fn row(&self, b: usize, key: usize) -> usize {
        let block = self.blocks[b * self.max_blocks + key / self.size];
        let row = usize::try_from(block).unwrap_or(0) * self.size + key % self.size;
        row.min(self.rows - 1)
    }
}

impl Rows<'_> {
    /// Keys `lo..hi` of one head: the data, where its first element lies and how far rows are apart.
    fn head(&self, dims: &Dims, [b, kv, lo, hi]: [usize; 4]) -> (Cow<'_, [f32]>, usize, usize) {
        let (dh, stride) = (dims.head_dim, dims.kv_heads * dims.head_dim);
        let mut rows = Vec::new();
        match self {
            Rows::Whole(data) => {
                let start = (b * dims.keys + lo) * stride;
                return (data.block(start, (hi - lo) * stride), kv * dh, stride);
            }
            Rows::Paged(data, table) => {
                rows.reserve((hi - lo) * dh);
                for key in lo..hi {
                    let at = table.row(b, key) * stride + kv * dh;
                    rows.extend_from_slice(&data.block(at, dh));
                }
            }
            Rows::Codes(codes, scales, part, table) => {
                rows.reserve((hi - lo) * dh);
                for key in lo..hi {
                    let head = table.row(b, key) * dims.kv_heads + kv;
                    let scale = scales[head * 2 + part];
                    for word in &codes[head * dh / 4..(head + 1) * dh / 4] {
                        let values = word.to_le_bytes().map(|c| (f32::from(c) - 128.0) * scale);
                        rows.extend_from_slice(&values);
                    }
                }
            }
        }
        (Cow::Owned(rows), 0, dh)
    }
}

pub(crate) fn attention(
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    range: FlexTensor,
    scale: f32,
) -> FlexTensor {
    let (k, v) = (weight_rows(k), weight_rows(v));
    let [_, keys, kv_heads, _] = k.shape().dims::<4>();
    let source = (Rows::Whole(Weights::new(&k)), Rows::Whole(Weights::new(&v)));
    run(q, &source, &range, [kv_heads, keys], scale)
}

/// [`attention`] through block tables; with `scales` the keys and values are codes.
pub(crate) fn paged(
    q: FlexTensor,
    (k, v, scales): (FlexTensor, FlexTensor, Option<FlexTensor>),
    table: FlexTensor,
    range: FlexTensor,
    scale: f32,
    block: usize,
) -> FlexTensor {
    let [rows, kv_heads, _] = k.shape().dims::<3>();
    let table = Table {
        max_blocks: table.shape()[1],
        blocks: ints(&table),
        size: block,
        rows,
    };
    let heads = [kv_heads, table.max_blocks * block];
    match scales {
        None => {
            let (k, v) = (weight_rows(k), weight_rows(v));
            let rows = |t| Rows::Paged(Weights::new(t), &table);
            run(q, &(rows(&k), rows(&v)), &range, heads, scale)
        }
        Some(scales) => {
            let (k, v, scales) = (k.to_contiguous(), v.to_contiguous(), f32_rows(scales));
            let rows = |t, part| Rows::Codes(codes(t), floats(&scales), part, &table);
            run(q, &(rows(&k, 0), rows(&v, 1)), &range, heads, scale)
        }
    }
}

/// Elements of a contiguous tensor of codes.
fn codes(t: &FlexTensor) -> &[u32] {
    match t.as_slice::<u32>() {
        Some(codes) => codes,
        None => unreachable!("codes are contiguous u32, found {:?}", t.dtype()),
    }
}

fn run(
    q: FlexTensor,
    source: &(Rows<'_>, Rows<'_>),
    range: &FlexTensor,
    [kv_heads, keys]: [usize; 2],
    scale: f32,
) -> FlexTensor {
    let (q, range) = (f32_rows(q), ints(range));
    let [batch, queries, heads, head_dim] = q.shape().dims::<4>();
    let dims = Dims {
        queries,
        heads,
        kv_heads,
        head_dim,
        keys,
        scale,
    };
    let blocks = queries.div_ceil(BLOCK);
    let tasks: Vec<(usize, usize, usize, Vec<f32>)> = (0..batch * kv_heads * blocks)
        .into_par_iter()
        .map(|task| {
            let (b, rest) = (task / (kv_heads * blocks), task % (kv_heads * blocks));
            let (kv, first) = (rest / blocks, rest % blocks * BLOCK);
            let rows = block(&dims, floats(&q), source, &range, [b, kv, first]);
            (b, kv, first, rows)
        })
        .collect();
    let group = heads / kv_heads;
    let mut out = vec![0f32; batch * queries * heads * head_dim];
    for (b, kv, first, rows) in tasks {
        for (i, row) in rows.chunks(group * head_dim).enumerate() {
            let at = ((b * queries + first + i) * heads + kv * group) * head_dim;
            out[at..at + row.len()].copy_from_slice(row);
        }
    }
    new_f32(out, q.shape())
}

/// Attention of up to [`BLOCK`] queries of one key head: `[queries, group, head_dim]`.
fn block(
    dims: &Dims,
    q: &[f32],
    (k, v): &(Rows<'_>, Rows<'_>),
    range: &[i64],
    [b, kv, first]: [usize; 3],
) -> Vec<f32> {
    let group = dims.heads / dims.kv_heads;
    let count = BLOCK.min(dims.queries - first);
    let (dh, rows) = (dims.head_dim, count * group);
    let bounds: Vec<(usize, usize)> = (0..count)
        .map(|i| {
            let at = (b * dims.queries + first + i) * 2;
            let clamp = |x: i64| usize::try_from(x).unwrap_or(0).min(dims.keys);
            (clamp(range[at]), clamp(range[at + 1]))
        })
        .collect();
    let used = bounds.iter().filter(|(lo, hi)| lo < hi);
    let (lo, hi) = used.fold((dims.keys, 0), |(l, h), (lo, hi)| (l.min(*lo), h.max(*hi)));
    let mut out = vec![0f32; rows * dh];
    if lo >= hi {
        return out;
    }
    let span = hi - lo;
    let mut scratch = Vec::with_capacity(rows * dh);
    for i in 0..count {
        let at = ((b * dims.queries + first + i) * dims.heads + kv * group) * dh;
        scratch.extend_from_slice(&q[at..at + group * dh]);
    }
    let at = [b, kv, lo, hi];
    let (keys, key_offset, key_stride) = k.head(dims, at);
    let (values, value_offset, value_stride) = v.head(dims, at);
    let mat = |data, offset, row| Mat {
        data,
        offset,
        row,
        col: 1,
    };
    let mut scores = vec![0f32; rows * span];
    matmul(
        &mut scores,
        Mat::rows(&scratch, dh),
        mat(&keys, key_offset, key_stride).t(),
        [rows, span, dh],
        false,
        false,
    );
    for (r, row) in scores.chunks_mut(span).enumerate() {
        let (from, to) = bounds[r / group];
        softmax(
            row,
            from.saturating_sub(lo),
            to.saturating_sub(lo),
            dims.scale,
        );
    }
    matmul(
        &mut out,
        Mat::rows(&scores, span),
        mat(&values, value_offset, value_stride),
        [rows, dh, span],
        false,
        false,
    );
    out
}

/// Softmax of `scale * row[from..to]`; zero outside.
pub(crate) fn softmax(row: &mut [f32], from: usize, to: usize, scale: f32) {
    let (from, to) = (from.min(row.len()), to.min(row.len()));
    if from >= to {
        row.fill(0.0);
        return;
    }
    row[..from].fill(0.0);
    row[to..].fill(0.0);
    let part = &mut row[from..to];
    let max = part.iter().fold(f32::MIN, |m, v| m.max(*v)) * scale;
    let mut sum = 0f32;
    for v in part.iter_mut() {
        *v = (*v * scale - max).exp();
        sum += *v;
    }
    for v in part {
        *v /= sum;
    }
}
