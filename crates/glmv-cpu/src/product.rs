//! The one product: packed rows against a range of a matrix's rows, results one output after the
//! other.

use crate::matrix::{Matrix, Weights};
use crate::panel::{BytePanel, CHUNK, FloatPanel, HalfPanel, NibblePanel, Panel};
use crate::rows::{Order, Rows};
use crate::simd::{OUTPUTS, UNIT, run};
use crate::tile::{Sums, decode, few, tile};
use glmv_quant::Format;
use macerator::{Simd, WithSimd};
use std::ops::Range;

/// Bytes of packed rows that one pass over the weights serves; the rows stay in the shared cache.
const ROW_BYTES: usize = 1 << 20;

/// How a part of a product is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[rows, stride]`, the outputs from `at` on.
    Rows { stride: usize, at: usize },
    /// `[outputs, rows]`.
    Outputs,
}

/// A part of a product: some of the packed rows by some of the outputs.
pub(crate) struct Part {
    /// Groups of rows.
    pub groups: Range<usize>,
    /// Rows of the matrix.
    pub outputs: Range<usize>,
    pub layout: Layout,
}

/// Writes `x[i] · w[j]` for the rows and outputs of the part; `out` has exactly those, or whole rows.
pub(crate) fn product(x: &Rows, w: &Matrix<'_>, part: Part, out: &mut [f32]) {
    let unit = x.tiling.unit();
    let rows = x.rows_in(&part.groups);
    assert_eq!(x.padded, w.cols().next_multiple_of(unit), "inner sizes");
    assert_eq!(x.order, Order::of(w), "order of the elements");
    let width = match part.layout {
        Layout::Rows { stride, at } => {
            assert!(at + part.outputs.len() <= stride, "outputs in a row");
            stride
        }
        Layout::Outputs => part.outputs.len(),
    };
    assert_eq!(out.len(), width * rows, "outputs times rows");
    if x.padded == 0 {
        return out.fill(0.0); // all parts of a product are zero
    }
    if out.is_empty() {
        return;
    }
    let job = Job {
        x,
        k: w.cols(),
        rows,
        part,
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
    rows: usize,
    part: Part,
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
        let (groups, outputs) = (x.groups(job.part.groups), job.part.outputs);
        let (row, output, origin) = match job.part.layout {
            Layout::Rows { stride, at } => (stride, 1, at),
            Layout::Outputs => (1, job.rows, 0),
        };
        let per_pass = (ROW_BYTES / 4 / x.padded / height).max(1);
        // A single group multiplies while it decodes; more of them share decoded weights.
        let shared = if groups.len() > 1 { OUTPUTS } else { 0 };
        let mut weights = vec![0.0; shared * CHUNK.min(x.padded)];
        let carrying = if job.k > CHUNK {
            per_pass.min(groups.len())
        } else {
            0
        };
        let mut carried = vec![0.0; carrying * height * tile_size];
        // The six rows of a tile lie a sixth of the part apart, so that each of six streams through
        // memory is as long as can be: the processor fetches ahead in those, not across many rows.
        let stride = outputs.len().div_ceil(OUTPUTS);
        for (pass, groups) in groups.chunks(per_pass).enumerate() {
            for offset in 0..stride {
                let place = |j: usize| (outputs.start + offset + j * stride).min(outputs.end - 1);
                let places: [usize; OUTPUTS] = std::array::from_fn(place);
                for start in (0..job.k).step_by(CHUNK) {
                    let end = (start + CHUNK).min(job.k);
                    let padded = (end - start).next_multiple_of(unit);
                    let source = panel.rows(places, start..end);
                    if shared > 0 {
                        decode::<S, _>(&source, &mut weights[..padded * OUTPUTS]);
                    }
                    let mut carried = carried.chunks_mut(height * tile_size);
                    for (place, group) in groups.iter().enumerate() {
                        let count = group.len() / x.padded;
                        let group = &group[start * count..][..padded * count];
                        let row_at = (pass * per_pass + place) * height;
                        let sums = Sums {
                            first: start == 0,
                            last: end == job.k,
                            carried: carried.next().unwrap_or_default(),
                            out: &mut *job.out,
                            at: origin + row_at * row + offset * output,
                            row,
                            output: output * stride,
                            outputs: OUTPUTS.min((outputs.len() - offset).div_ceil(stride)),
                        };
                        if shared > 0 {
                            tile::<S>(count, group, &weights[..padded * OUTPUTS], sums);
                        } else {
                            few::<S, _>(count, group, &source, sums);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
