//! Blocked attention for the CPU device: per key head and block of queries two small products
//! around a softmax; scores of one block only are alive.
use crate::flex::{Mat, Weights, f32_rows, floats, ints, matmul, new_f32, weight_rows};
use burn::backend::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;

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

pub(crate) fn attention(
    q: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    range: FlexTensor,
    scale: f32,
) -> FlexTensor {
    let (q, k, v) = (f32_rows(q), weight_rows(k), weight_rows(v));
    let range = ints(&range);
    let [batch, queries, heads, head_dim] = q.shape().dims::<4>();
    let [_, keys, kv_heads, _] = k.shape().dims::<4>();
    let dims = Dims {
        queries,
        heads,
        kv_heads,
        head_dim,
        keys,
        scale,
    };
    let (kw, vw) = (Weights::new(&k), Weights::new(&v));
    let blocks = queries.div_ceil(BLOCK);
    let tasks: Vec<(usize, usize, usize, Vec<f32>)> = (0..batch * kv_heads * blocks)
        .into_par_iter()
        .map(|task| {
            let (b, rest) = (task / (kv_heads * blocks), task % (kv_heads * blocks));
            let (kv, first) = (rest / blocks, rest % blocks * BLOCK);
            (
                b,
                kv,
                first,
                block(&dims, floats(&q), (&kw, &vw), &range, [b, kv, first]),
            )
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
    (k, v): (&Weights<'_>, &Weights<'_>),
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
    // Keys lo..hi of this head: rows of width dh, kv_heads * dh apart.
    let stride = dims.kv_heads * dh;
    let start = (b * dims.keys + lo) * stride;
    let (keys, values) = (k.block(start, span * stride), v.block(start, span * stride));
    let head = |data| Mat {
        data,
        offset: kv * dh,
        row: stride,
        col: 1,
    };
    let mut scores = vec![0f32; rows * span];
    matmul(
        &mut scores,
        Mat::rows(&scratch, dh),
        head(&keys).t(),
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
        head(&values),
        [rows, dh, span],
        false,
        false,
    );
    out
}

/// Softmax of `scale * row[from..to]`; zero outside.
fn softmax(row: &mut [f32], from: usize, to: usize, scale: f32) {
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
