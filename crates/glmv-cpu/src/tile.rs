//! Up to four rows by six outputs in registers.

#![expect(
    clippy::needless_range_loop,
    reason = "plain counted loops are unrolled and keep their sums in registers"
)]

use crate::decode::{Source, add_unit};
use crate::simd::{OUTPUTS, UNIT, load, store};
use macerator::{Scalar, Simd, Vector};

/// Sums of each output, by row.
pub(crate) type Acc<S, const I: usize> = [[Vector<S, f32>; I]; OUTPUTS];

/// Where a tile's sums come from and go to.
pub(crate) struct Sums<'a> {
    /// This is the first stretch of `k`: sums start at zero.
    pub first: bool,
    /// This is the last stretch of `k`: sums are finished.
    pub last: bool,
    /// Sums between two stretches, lane by lane, `[6][rows][lanes]`.
    pub carried: &'a mut [f32],
    /// Finished sums; that of row `i` and output `j` is `at + i * row + j * output`.
    pub out: &'a mut [f32],
    /// Place of the tile's first sum.
    pub at: usize,
    /// Distance of two rows.
    pub row: usize,
    /// Distance of two outputs.
    pub output: usize,
    /// Outputs there are, at most six.
    pub outputs: usize,
}

impl Sums<'_> {
    #[inline(always)]
    fn begin<S: Simd, const I: usize>(&self) -> Acc<S, I> {
        let lanes = S::lanes32();
        let mut acc = [[0f32.splat::<S>(); I]; OUTPUTS];
        if !self.first {
            for j in 0..OUTPUTS {
                for i in 0..I {
                    acc[j][i] = load::<S>(&self.carried[(j * I + i) * lanes..]);
                }
            }
        }
        acc
    }

    #[inline(always)]
    fn end<S: Simd, const I: usize>(self, acc: Acc<S, I>) {
        let lanes = S::lanes32();
        if self.last {
            // Every loop over `acc` must stay this simple: it is unrolled, and `acc` lives in
            // registers, only if nothing else happens in it.
            let mut sums = [[0.0; OUTPUTS]; I];
            for j in 0..OUTPUTS {
                for i in 0..I {
                    sums[i][j] = acc[j][i].reduce_add();
                }
            }
            self.write(&sums);
        } else {
            for j in 0..OUTPUTS {
                for i in 0..I {
                    store(acc[j][i], &mut self.carried[(j * I + i) * lanes..]);
                }
            }
        }
    }

    #[inline(never)]
    fn write(self, sums: &[[f32; OUTPUTS]]) {
        for (i, sums) in sums.iter().enumerate() {
            let out = &mut self.out[self.at + i * self.row..];
            if self.output == 1 && self.outputs == OUTPUTS {
                out[..OUTPUTS].copy_from_slice(sums);
            } else {
                let out = out.iter_mut().step_by(self.output);
                out.zip(&sums[..self.outputs])
                    .for_each(|(out, sum)| *out = *sum);
            }
        }
    }
}

/// Writes the weights of six rows as a panel, `[vectors][6][lanes]`.
#[inline(always)]
pub(crate) fn decode<S: Simd, T: Source>(rows: &[T; OUTPUTS], panel: &mut [f32]) {
    let lanes = S::lanes32();
    let whole = rows[0].whole(UNIT * lanes);
    let units = panel.chunks_exact_mut(UNIT * OUTPUTS * lanes);
    for (at, panel) in units.enumerate() {
        for j in 0..OUTPUTS {
            let unit = if at < whole {
                rows[j].unit::<S>(at)
            } else {
                rows[j].tail()
            };
            for v in 0..UNIT {
                store(unit[v], &mut panel[(v * OUTPUTS + j) * lanes..]);
            }
        }
    }
}

/// Adds the products of `rows` packed rows with six rows of weights that are decoded on the way.
#[inline(always)]
pub(crate) fn few<S: Simd, T: Source>(rows: usize, x: &[f32], w: &[T; OUTPUTS], sums: Sums<'_>) {
    match rows {
        1 => few_of::<S, T, 1>(x, w, sums),
        2 => few_of::<S, T, 2>(x, w, sums),
        3 => few_of::<S, T, 3>(x, w, sums),
        4 => few_of::<S, T, 4>(x, w, sums),
        other => unreachable!("a tile has at most 4 rows, found {other}"),
    }
}

#[inline(always)]
fn few_of<S: Simd, T: Source, const I: usize>(x: &[f32], w: &[T; OUTPUTS], sums: Sums<'_>) {
    let lanes = S::lanes32();
    let unit = UNIT * lanes;
    // Codes are filled up to whole blocks, which short units may not reach.
    let whole = w[0].whole(unit).min(x.len() / (I * unit));
    let (x, rest) = x.split_at(whole * I * unit);
    let mut acc = T::add::<S, I>(w, x, sums.begin::<S, I>());
    if !rest.is_empty() {
        for j in 0..OUTPUTS {
            acc[j] = add_unit(acc[j], rest, &w[j].tail::<S>());
        }
    }
    sums.end(acc);
}

/// Adds the products of `rows` packed rows with a panel that [`decode`] wrote.
#[inline(always)]
pub(crate) fn tile<S: Simd>(rows: usize, x: &[f32], w: &[f32], sums: Sums<'_>) {
    match rows {
        1 => tile_of::<S, 1>(x, w, sums),
        2 => tile_of::<S, 2>(x, w, sums),
        3 => tile_of::<S, 3>(x, w, sums),
        4 => tile_of::<S, 4>(x, w, sums),
        other => unreachable!("a tile has at most 4 rows, found {other}"),
    }
}

#[inline(always)]
fn tile_of<S: Simd, const I: usize>(x: &[f32], w: &[f32], sums: Sums<'_>) {
    let lanes = S::lanes32();
    let mut acc = sums.begin::<S, I>();
    for (x, w) in x
        .chunks_exact(I * lanes)
        .zip(w.chunks_exact(OUTPUTS * lanes))
    {
        let mut rows = [0f32.splat::<S>(); I];
        for i in 0..I {
            rows[i] = load::<S>(&x[i * lanes..]);
        }
        for j in 0..OUTPUTS {
            let weight = load::<S>(&w[j * lanes..]);
            for i in 0..I {
                acc[j][i] = rows[i].mul_add(weight, acc[j][i]);
            }
        }
    }
    sums.end(acc);
}
