//! Up to four rows by six outputs in registers: sums kept lane by lane, `[rows][6][lanes]`.

use crate::decode::{Source, Unit};
use crate::simd::{OUTPUTS, UNIT, load, store};
use macerator::{Scalar, Simd, Vector};

type Acc<S, const I: usize> = [[Vector<S, f32>; OUTPUTS]; I];

#[inline(always)]
fn load_all<S: Simd, const I: usize>(sums: &[f32]) -> Acc<S, I> {
    let lanes = S::lanes32();
    let mut acc = [[0f32.splat::<S>(); OUTPUTS]; I];
    for i in 0..I {
        for j in 0..OUTPUTS {
            acc[i][j] = load::<S>(&sums[(i * OUTPUTS + j) * lanes..]);
        }
    }
    acc
}

#[inline(always)]
fn store_all<S: Simd, const I: usize>(acc: Acc<S, I>, sums: &mut [f32]) {
    let lanes = S::lanes32();
    for i in 0..I {
        for j in 0..OUTPUTS {
            store(acc[i][j], &mut sums[(i * OUTPUTS + j) * lanes..]);
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
pub(crate) fn few<S: Simd, T: Source>(rows: usize, x: &[f32], w: &[T; OUTPUTS], sums: &mut [f32]) {
    match rows {
        1 => few_of::<S, T, 1>(x, w, sums),
        2 => few_of::<S, T, 2>(x, w, sums),
        3 => few_of::<S, T, 3>(x, w, sums),
        4 => few_of::<S, T, 4>(x, w, sums),
        other => unreachable!("a tile has at most 4 rows, found {other}"),
    }
}

#[inline(always)]
fn few_of<S: Simd, T: Source, const I: usize>(x: &[f32], w: &[T; OUTPUTS], sums: &mut [f32]) {
    let lanes = S::lanes32();
    let whole = w[0].whole(UNIT * lanes);
    let mut acc = load_all::<S, I>(sums);
    let mut x = x.chunks_exact(I * UNIT * lanes);
    for (at, x) in (0..whole).zip(&mut x) {
        for j in 0..OUTPUTS {
            add_unit(&mut acc, j, x, w[j].unit::<S>(at));
        }
    }
    if let Some(x) = x.next() {
        for j in 0..OUTPUTS {
            add_unit(&mut acc, j, x, w[j].tail::<S>());
        }
    }
    store_all(acc, sums);
}

/// Adds one unit of one output to all rows.
#[inline(always)]
fn add_unit<S: Simd, const I: usize>(acc: &mut Acc<S, I>, j: usize, x: &[f32], w: Unit<S>) {
    let lanes = S::lanes32();
    for v in 0..UNIT {
        for i in 0..I {
            acc[i][j] = load::<S>(&x[(v * I + i) * lanes..]).mul_add(w[v], acc[i][j]);
        }
    }
}

/// Adds the products of `rows` packed rows with a panel that [`decode`] wrote.
#[inline(always)]
pub(crate) fn tile<S: Simd>(rows: usize, x: &[f32], w: &[f32], sums: &mut [f32]) {
    match rows {
        1 => tile_of::<S, 1>(x, w, sums),
        2 => tile_of::<S, 2>(x, w, sums),
        3 => tile_of::<S, 3>(x, w, sums),
        4 => tile_of::<S, 4>(x, w, sums),
        other => unreachable!("a tile has at most 4 rows, found {other}"),
    }
}

#[inline(always)]
fn tile_of<S: Simd, const I: usize>(x: &[f32], w: &[f32], sums: &mut [f32]) {
    let lanes = S::lanes32();
    let mut acc = load_all::<S, I>(sums);
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
    store_all(acc, sums);
}
