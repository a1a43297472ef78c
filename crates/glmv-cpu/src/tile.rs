//! Up to four rows by six outputs in registers.

#![expect(
    clippy::needless_range_loop,
    reason = "plain counted loops are unrolled and keep their sums in registers"
)]

use crate::decode::{Source, Unit};
use crate::simd::{OUTPUTS, UNIT, load, store};
use macerator::{Scalar, Simd, Vector};

type Acc<S, const I: usize> = [[Vector<S, f32>; OUTPUTS]; I];

/// Where a tile's sums come from and go to.
pub(crate) struct Sums<'a> {
    /// This is the first stretch of `k`: sums start at zero.
    pub first: bool,
    /// This is the last stretch of `k`: sums are finished.
    pub last: bool,
    /// Sums between two stretches, lane by lane, `[rows][6][lanes]`.
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
        let mut acc = [[0f32.splat::<S>(); OUTPUTS]; I];
        if !self.first {
            for i in 0..I {
                for j in 0..OUTPUTS {
                    acc[i][j] = load::<S>(&self.carried[(i * OUTPUTS + j) * lanes..]);
                }
            }
        }
        acc
    }

    /// Sums of the outputs from `first` on.
    #[inline(always)]
    fn resume<S: Simd, const I: usize, const J: usize>(
        &self,
        first: usize,
    ) -> [[Vector<S, f32>; I]; J] {
        let lanes = S::lanes32();
        let mut acc = [[0f32.splat::<S>(); I]; J];
        if !self.first {
            for j in 0..J {
                for i in 0..I {
                    acc[j][i] = load::<S>(&self.carried[(i * OUTPUTS + first + j) * lanes..]);
                }
            }
        }
        acc
    }

    #[inline(always)]
    fn suspend<S: Simd, const I: usize, const J: usize>(
        &mut self,
        first: usize,
        acc: &[[Vector<S, f32>; I]; J],
    ) {
        let lanes = S::lanes32();
        for j in 0..J {
            for i in 0..I {
                let at = (i * OUTPUTS + first + j) * lanes;
                store(acc[j][i], &mut self.carried[at..]);
            }
        }
    }

    #[inline(always)]
    fn end<S: Simd, const I: usize>(self, acc: Acc<S, I>) {
        let lanes = S::lanes32();
        if self.last {
            // Every loop over `acc` must stay this simple: it is unrolled, and `acc` lives in
            // registers, only if nothing else happens in it.
            let mut sums = [[0.0; OUTPUTS]; I];
            for i in 0..I {
                for j in 0..OUTPUTS {
                    sums[i][j] = acc[i][j].reduce_add();
                }
            }
            self.write(&sums);
        } else {
            for i in 0..I {
                for j in 0..OUTPUTS {
                    store(acc[i][j], &mut self.carried[(i * OUTPUTS + j) * lanes..]);
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
    for j in 0..OUTPUTS {
        let whole = rows[j].whole(UNIT * lanes);
        for (at, panel) in panel.chunks_exact_mut(UNIT * OUTPUTS * lanes).enumerate() {
            let unit: Unit<S> = if at < whole {
                rows[j].unit(at)
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
    few_by::<S, T, I, 2>(x, w, sums)
}

/// `J` rows of weights at a time.
#[inline(always)]
fn few_by<S: Simd, T: Source, const I: usize, const J: usize>(
    x: &[f32],
    w: &[T; OUTPUTS],
    mut sums: Sums<'_>,
) {
    let lanes = S::lanes32();
    let mut done = [[0.0; OUTPUTS]; I];
    for first in (0..sums.outputs).step_by(J) {
        let mut acc = sums.resume::<S, I, J>(first);
        let rows = &w[first..first + J];
        let whole = rows[0].whole(UNIT * lanes);
        let mut x = x.chunks_exact(I * UNIT * lanes);
        for (at, x) in (0..whole).zip(&mut x) {
            for j in 0..J {
                add_unit(&mut acc[j], x, rows[j].unit::<S>(at));
            }
        }
        if let Some(x) = x.next() {
            for j in 0..J {
                add_unit(&mut acc[j], x, rows[j].tail::<S>());
            }
        }
        if sums.last {
            for j in 0..J {
                for i in 0..I {
                    done[i][first + j] = acc[j][i].reduce_add();
                }
            }
        } else {
            sums.suspend(first, &acc);
        }
    }
    if sums.last {
        sums.write(&done);
    }
}

/// Adds one unit of one output to all rows.
#[inline(always)]
fn add_unit<S: Simd, const I: usize>(acc: &mut [Vector<S, f32>; I], x: &[f32], w: Unit<S>) {
    let lanes = S::lanes32();
    for v in 0..UNIT {
        for i in 0..I {
            acc[i] = load::<S>(&x[(v * I + i) * lanes..]).mul_add(w[v], acc[i]);
        }
    }
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
                acc[i][j] = rows[i].mul_add(weight, acc[i][j]);
            }
        }
    }
    sums.end(acc);
}
