//! The one product: packed rows against a range of a matrix's rows, results one output after the
//! other.

use crate::decode::panel;
use crate::matrix::Matrix;
use crate::rows::Rows;
use crate::simd::{OUTPUTS, STEP, load, run, store};
use macerator::{Simd, Vector, WithSimd};
use std::ops::Range;

/// Bytes of packed rows that one pass over the weights serves; the rows stay in the shared cache.
const ROW_BYTES: usize = 2 << 20;
/// Elements of `k` of a panel: for few rows a panel should stay in the first-level cache, for many
/// the sums should be stored seldom. No result depends on them.
const FEW_ELEMENTS: usize = 512;
const MANY_ELEMENTS: usize = 2048;
const FEW_ROWS: usize = 8;

/// `out[j - first][i] = x[i] · w[j]` for the rows `j` of `w` in `outputs`.
///
/// # Shapes
/// `x` `[rows, k]`, `w` `[n, k]`, `out` `[outputs, rows]`.
pub(crate) fn columns(x: &Rows, w: &Matrix<'_>, outputs: Range<usize>, out: &mut [f32]) {
    assert_eq!(x.padded, w.cols().next_multiple_of(STEP), "inner sizes");
    assert_eq!(out.len(), outputs.len() * x.rows, "outputs times rows");
    if x.padded == 0 {
        return out.fill(0.0);
    }
    if out.is_empty() {
        return;
    }
    run(Columns { x, w, outputs, out });
}

struct Columns<'a, 'w> {
    x: &'a Rows,
    w: &'a Matrix<'w>,
    outputs: Range<usize>,
    out: &'a mut [f32],
}

impl WithSimd for Columns<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        let Columns { x, w, outputs, out } = self;
        let (lanes, height) = (S::lanes32(), x.tiling.rows);
        let elements = if x.rows <= FEW_ROWS {
            FEW_ELEMENTS
        } else {
            MANY_ELEMENTS
        };
        let steps = x.padded / STEP;
        let chunk = (elements / STEP).min(steps).max(1);
        let per_pass = (ROW_BYTES / 4 / x.padded.max(1) / height).max(1);
        let groups: Vec<&[f32]> = x.groups().collect();
        let tile = OUTPUTS * lanes;
        let mut weights = vec![0.0; chunk * STEP * OUTPUTS];
        let mut sums = vec![0.0; per_pass.min(groups.len()) * height * tile];
        for (pass, groups) in groups.chunks(per_pass).enumerate() {
            let first_row = pass * per_pass * height;
            for (out, first) in out
                .chunks_mut(OUTPUTS * x.rows)
                .zip(outputs.clone().step_by(OUTPUTS))
            {
                sums.fill(0.0);
                for start in (0..steps).step_by(chunk) {
                    let range = start..(start + chunk).min(steps);
                    let elements = range.len() * STEP;
                    let weights = &mut weights[..elements * OUTPUTS];
                    panel(w, first, range, lanes, weights);
                    for (rows, sums) in groups.iter().zip(sums.chunks_mut(height * tile)) {
                        let rows_here = rows.len() / x.padded;
                        let rows = &rows[start * STEP * rows_here..][..elements * rows_here];
                        add::<S>(rows_here, rows, weights, sums);
                    }
                }
                let rows = x.rows.min(first_row + groups.len() * height) - first_row;
                for (j, out) in out.chunks_exact_mut(x.rows).enumerate() {
                    for (i, out) in out[first_row..][..rows].iter_mut().enumerate() {
                        *out = load::<S>(&sums[(i * OUTPUTS + j) * lanes..]).reduce_add();
                    }
                }
            }
        }
    }
}

/// Chooses the tile of the right height.
#[inline(always)]
fn add<S: Simd>(rows: usize, x: &[f32], w: &[f32], sums: &mut [f32]) {
    match rows {
        1 => tile::<S, 1>(x, w, sums),
        2 => tile::<S, 2>(x, w, sums),
        3 => tile::<S, 3>(x, w, sums),
        4 => tile::<S, 4>(x, w, sums),
        other => unreachable!("a tile has at most 4 rows, found {other}"),
    }
}

/// Adds the products of `I` rows and six outputs, lane by lane, to their sums.
#[inline(always)]
fn tile<S: Simd, const I: usize>(x: &[f32], w: &[f32], sums: &mut [f32]) {
    let lanes = S::lanes32();
    let mut acc: [[Vector<S, f32>; OUTPUTS]; I] = std::array::from_fn(|i| {
        std::array::from_fn(|j| load::<S>(&sums[(i * OUTPUTS + j) * lanes..]))
    });
    for (x, w) in x
        .chunks_exact(I * lanes)
        .zip(w.chunks_exact(OUTPUTS * lanes))
    {
        let rows: [Vector<S, f32>; I] = std::array::from_fn(|i| load::<S>(&x[i * lanes..]));
        for j in 0..OUTPUTS {
            let weight = load::<S>(&w[j * lanes..]);
            for i in 0..I {
                acc[i][j] = rows[i].mul_add(weight, acc[i][j]);
            }
        }
    }
    for i in 0..I {
        for j in 0..OUTPUTS {
            store(acc[i][j], &mut sums[(i * OUTPUTS + j) * lanes..]);
        }
    }
}
