//! The one product: packed rows against a range of a matrix's rows, results one output after the
//! other.

use crate::matrix::{Matrix, Weights};
use crate::panel::{BytePanel, CHUNK, FloatPanel, HalfPanel, NibblePanel, Panel};
use crate::rows::{Order, Rows};
use crate::simd::{OUTPUTS, UNIT, load, run};
use crate::tile::{decode, few, tile};
use glmv_quant::Format;
use macerator::{Simd, WithSimd};
use std::ops::Range;

/// Bytes of packed rows that one pass over the weights serves; the rows stay in the shared cache.
const ROW_BYTES: usize = 2 << 20;

/// `out[j - first][i] = x[i] · w[j]` for the rows `j` of `w` in `outputs`.
///
/// # Shapes
/// `x` `[rows, k]`, `w` `[n, k]`, `out` `[outputs, rows]`.
pub(crate) fn columns(x: &Rows, w: &Matrix<'_>, outputs: Range<usize>, out: &mut [f32]) {
    let unit = x.tiling.unit();
    assert_eq!(x.padded, w.cols().next_multiple_of(unit), "inner sizes");
    assert_eq!(x.order, Order::of(w), "order of the elements");
    assert_eq!(out.len(), outputs.len() * x.rows, "outputs times rows");
    if x.padded == 0 {
        return out.fill(0.0);
    }
    if out.is_empty() {
        return;
    }
    let job = Job {
        x,
        k: w.cols(),
        outputs,
        out,
    };
    match w.weights() {
        Weights::F32(values) => run(Run(FloatPanel::new(values, job.k), job)),
        Weights::F16(values) => run(Run(HalfPanel::new(values, job.k), job)),
        Weights::Packed(view) => match view.format() {
            Format::Q8 => run(Run(BytePanel::new(view), job)),
            Format::Q4 => run(Run(NibblePanel::new(view), job)),
        },
    }
}

struct Job<'a> {
    x: &'a Rows,
    k: usize,
    outputs: Range<usize>,
    out: &'a mut [f32],
}

struct Run<'a, P>(P, Job<'a>);

impl<P: Panel> WithSimd for Run<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        let Run(mut panel, job) = self;
        let x = job.x;
        let (lanes, height) = (S::lanes32(), x.tiling.rows);
        let (unit, tile_size) = (UNIT * lanes, OUTPUTS * lanes);
        let per_pass = (ROW_BYTES / 4 / x.padded / height).max(1);
        let groups: Vec<&[f32]> = x.groups().collect();
        let mut sums = vec![0.0; per_pass.min(groups.len()) * height * tile_size];
        // A single group multiplies while it decodes; more of them share decoded weights.
        let shared = if groups.len() > 1 { OUTPUTS } else { 0 };
        let mut weights = vec![0.0; shared * CHUNK.min(x.padded)];
        for (pass, groups) in groups.chunks(per_pass).enumerate() {
            let first_row = pass * per_pass * height;
            let rows = x.rows.min(first_row + groups.len() * height) - first_row;
            let outputs = job.outputs.clone().step_by(OUTPUTS);
            for (out, first) in job.out.chunks_mut(OUTPUTS * x.rows).zip(outputs) {
                sums.fill(0.0);
                for start in (0..job.k).step_by(CHUNK) {
                    let end = (start + CHUNK).min(job.k);
                    let padded = (end - start).next_multiple_of(unit);
                    let source = panel.rows(first, start..end);
                    if shared > 0 {
                        decode::<S, _>(&source, &mut weights[..padded * OUTPUTS]);
                    }
                    for (group, sums) in groups.iter().zip(sums.chunks_mut(height * tile_size)) {
                        let count = group.len() / x.padded;
                        let group = &group[start * count..][..padded * count];
                        if shared > 0 {
                            tile::<S>(count, group, &weights[..padded * OUTPUTS], sums);
                        } else {
                            few::<S, _>(count, group, &source, sums);
                        }
                    }
                }
                for (j, out) in out.chunks_exact_mut(x.rows).enumerate() {
                    for (i, out) in out[first_row..][..rows].iter_mut().enumerate() {
                        *out = load::<S>(&sums[(i * OUTPUTS + j) * lanes..]).reduce_add();
                    }
                }
            }
        }
    }
}
