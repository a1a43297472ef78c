//! Gradients of attention. Scores are computed again from q and k; nothing of their size is kept from
//! the forward pass or between the tiles here.

pub(crate) mod cube {
    //! WGSL launches: rows first, then keys by what the rows left.
    use crate::launch::{bits, empty, f32_rows, fold, launch, vec_params, wgsl_int};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

    /// Rows or keys of one workgroup.
    const TILE: usize = 32;

    /// See [`crate::backend_grad::GradOps::attention_grad`].
    pub(crate) fn attention(
        qkv: [CubeTensor; 3],
        range: CubeTensor,
        scale: f32,
        out: CubeTensor,
        grad: CubeTensor,
    ) -> [CubeTensor; 3] {
        let [q, k, v] = qkv.map(f32_rows);
        let (out, grad, range) = (f32_rows(out), f32_rows(grad), into_contiguous(range));
        let [batch, queries, heads, head_dim] = q.shape().dims::<4>();
        let [_, keys, kv_heads, _] = k.shape().dims::<4>();
        let (mut params, dh) = vec_params(head_dim);
        params.extend([("Int", wgsl_int(&range)), ("DH", format!("{dh}u"))]);
        let sizes = [batch, queries, heads, kv_heads, keys].map(|v| v as u32);
        let info = [&sizes[..], &[bits(scale)]].concat();
        let new = |like: &CubeTensor| empty(like, like.shape(), DType::F32);
        let (dq, dk, dv) = (new(&q), new(&k), new(&v));
        let stats = empty(&q, [batch * queries * heads, 2], DType::F32);
        let rows = queries * (heads / kv_heads);
        let grid = fold(batch * kv_heads * rows.div_ceil(TILE));
        let buffers = [&q, &k, &v, &range, &out, &grad, &dq, &stats];
        launch("attention_grad_rows", params.clone(), grid, &buffers, &info);
        let grid = fold(batch * kv_heads * keys.div_ceil(TILE));
        let buffers = [&q, &k, &v, &range, &grad, &stats, &dk, &dv];
        launch("attention_grad_keys", params, grid, &buffers, &info);
        [dq, dk, dv]
    }
}

pub(crate) mod native {
    //! The CPU device: small products per block of queries, as in the forward pass; blocks of one key
    //! head are shared out in strips, whose gradients of keys and values are added in order.
    use crate::attention::native::softmax;
    use crate::flex::{Mat, dot, f32_rows, floats, ints, matmul, new_f32};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    /// Queries per block.
    const BLOCK: usize = 32;
    /// Strips of all key heads together: a constant, so that sums do not depend on the machine.
    const STRIPS: usize = 16;

    struct Problem<'a> {
        q: &'a [f32],
        k: &'a [f32],
        v: &'a [f32],
        grad: &'a [f32],
        range: &'a [i64],
        queries: usize,
        heads: usize,
        kv_heads: usize,
        head_dim: usize,
        keys: usize,
        scale: f32,
    }

    /// Gradients of some queries of a key head and of all keys that they see.
    struct Strip {
        /// First query.
        first: usize,
        /// `[queries, group, head_dim]`.
        dq: Vec<f32>,
        /// First key.
        lo: usize,
        /// `[keys, head_dim]`.
        dk: Vec<f32>,
        dv: Vec<f32>,
    }

    /// See [`crate::backend_grad::GradOps::attention_grad`].
    pub(crate) fn attention(
        qkv: [FlexTensor; 3],
        range: FlexTensor,
        scale: f32,
        _out: FlexTensor,
        grad: FlexTensor,
    ) -> [FlexTensor; 3] {
        let [q, k, v] = qkv.map(f32_rows);
        let grad = f32_rows(grad);
        let [batch, queries, heads, head_dim] = q.shape().dims::<4>();
        let [_, keys, kv_heads, _] = k.shape().dims::<4>();
        let problem = Problem {
            q: floats(&q),
            k: floats(&k),
            v: floats(&v),
            grad: floats(&grad),
            range: &ints(&range),
            queries,
            heads,
            kv_heads,
            head_dim,
            keys,
            scale,
        };
        let blocks = queries.div_ceil(BLOCK);
        let strips = (STRIPS / (batch * kv_heads).max(1)).clamp(1, blocks.max(1));
        let each = blocks.div_ceil(strips) * BLOCK;
        let parts: Vec<Strip> = (0..batch * kv_heads * strips)
            .into_par_iter()
            .map(|task| {
                let (head, first) = (task / strips, task % strips * each);
                let at = [head / kv_heads, head % kv_heads];
                problem.strip(at, first.min(queries), (first + each).min(queries))
            })
            .collect();
        let mut dq = vec![0f32; problem.q.len()];
        let (mut dk, mut dv) = (vec![0f32; problem.k.len()], vec![0f32; problem.v.len()]);
        for (task, part) in parts.into_iter().enumerate() {
            let head = task / strips;
            let (b, kv) = (head / kv_heads, head % kv_heads);
            let row = heads / kv_heads * head_dim;
            for (i, values) in part.dq.chunks(row).enumerate() {
                let at = problem.query(b, kv, part.first + i);
                dq[at..at + row].copy_from_slice(values);
            }
            for (target, values) in [(&mut dk, part.dk), (&mut dv, part.dv)] {
                for (i, values) in values.chunks(head_dim).enumerate() {
                    let at = problem.key(b, kv, part.lo + i);
                    let target = &mut target[at..at + head_dim];
                    target.iter_mut().zip(values).for_each(|(t, v)| *t += v);
                }
            }
        }
        [
            new_f32(dq, q.shape()),
            new_f32(dk, k.shape()),
            new_f32(dv, v.shape()),
        ]
    }

    impl Problem<'_> {
        /// Where the heads of a query lie that share a key head.
        fn query(&self, b: usize, kv: usize, query: usize) -> usize {
            let group = self.heads / self.kv_heads;
            ((b * self.queries + query) * self.heads + kv * group) * self.head_dim
        }

        fn key(&self, b: usize, kv: usize, key: usize) -> usize {
            ((b * self.keys + key) * self.kv_heads + kv) * self.head_dim
        }

        fn bounds(&self, b: usize, query: usize) -> (usize, usize) {
            let at = (b * self.queries + query) * 2;
            let clamp = |x: i64| usize::try_from(x).unwrap_or(0).min(self.keys);
            (clamp(self.range[at]), clamp(self.range[at + 1]))
        }

        /// First and last key that any of the queries sees; equal if there is none.
        fn span(&self, b: usize, queries: std::ops::Range<usize>) -> (usize, usize) {
            let all = queries.map(|i| self.bounds(b, i));
            let used = all.filter(|(lo, hi)| lo < hi);
            let (lo, hi) = used.fold((self.keys, 0), |(l, h), (lo, hi)| (l.min(lo), h.max(hi)));
            (lo.min(hi), hi)
        }

        fn strip(&self, [b, kv]: [usize; 2], first: usize, end: usize) -> Strip {
            let (lo, hi) = self.span(b, first..end);
            let dh = self.head_dim;
            let row = self.heads / self.kv_heads * dh;
            let mut strip = Strip {
                first,
                dq: vec![0f32; (end - first) * row],
                lo,
                dk: vec![0f32; (hi - lo) * dh],
                dv: vec![0f32; (hi - lo) * dh],
            };
            for start in (first..end).step_by(BLOCK) {
                self.block(&mut strip, [b, kv], start..end.min(start + BLOCK));
            }
            strip
        }

        /// Adds the gradients of up to [`BLOCK`] queries.
        fn block(&self, strip: &mut Strip, [b, kv]: [usize; 2], queries: std::ops::Range<usize>) {
            let (lo, hi) = self.span(b, queries.clone());
            if lo == hi {
                return;
            }
            let (dh, span) = (self.head_dim, hi - lo);
            let group = self.heads / self.kv_heads;
            let row = group * dh;
            let gather = |data: &[f32]| -> Vec<f32> {
                let rows = queries.clone().flat_map(|i| {
                    let at = self.query(b, kv, i);
                    data[at..at + row].iter().copied()
                });
                rows.collect()
            };
            let (q, grad) = (gather(self.q), gather(self.grad));
            let rows = queries.len() * group;
            let mat = |data, at| Mat {
                data,
                offset: at,
                row: self.kv_heads * dh,
                col: 1,
            };
            let first = self.key(b, kv, lo);
            let (keys, values) = (mat(self.k, first), mat(self.v, first));
            let product = |a, b: Mat<'_>| {
                let mut out = vec![0f32; rows * span];
                matmul(
                    &mut out,
                    Mat::rows(a, dh),
                    b.t(),
                    [rows, span, dh],
                    false,
                    false,
                );
                out
            };
            let (mut p, mut ds) = (product(&q, keys), product(&grad, values));
            for (r, (p, ds)) in p.chunks_mut(span).zip(ds.chunks_mut(span)).enumerate() {
                let (from, to) = self.bounds(b, queries.start + r / group);
                softmax(
                    p,
                    from.saturating_sub(lo),
                    to.saturating_sub(lo),
                    self.scale,
                );
                let delta = dot(p, ds);
                for (ds, p) in ds.iter_mut().zip(p) {
                    *ds = *p * (*ds - delta) * self.scale;
                }
            }
            let dq = &mut strip.dq[(queries.start - strip.first) * row..];
            matmul(
                dq,
                Mat::rows(&ds, span),
                keys,
                [rows, dh, span],
                false,
                false,
            );
            let at = (lo - strip.lo) * dh..(hi - strip.lo) * dh;
            let add = |out: &mut [f32], a: &[f32], b: &[f32]| {
                let a = Mat::rows(a, span).t();
                matmul(out, a, Mat::rows(b, dh), [span, dh, rows], true, false);
            };
            add(&mut strip.dk[at.clone()], &ds, &q);
            add(&mut strip.dv[at], &p, &grad);
        }
    }
}
