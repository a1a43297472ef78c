//! The activations of a product, packed: rows in groups of a tile's height, and in a group one
//! vector of each row after the other, so that a tile reads one stream.

use crate::matrix::{Matrix, Weights};
use crate::simd::{Tiling, UNIT};
use glmv_quant::Format;
use rayon::prelude::*;
use std::ops::Range;

/// Which elements of `k` a unit's vectors hold; the weights' type decides, so that they are decoded
/// without moving lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Lane `l` of vector `v` is element `v · lanes + l` of the unit.
    Natural,
    /// Lane `l` of vector `v` is element `8 · l + v`: nibble `v` of word `l`.
    Nibbles,
}

impl Order {
    pub(crate) fn of(w: &Matrix<'_>) -> Order {
        match w.weights() {
            Weights::Packed(view) => match view.format() {
                Format::Q4 => Order::Nibbles,
                Format::Q8 => Order::Natural,
            },
            Weights::F32(_) | Weights::F16(_) => Order::Natural,
        }
    }
}

/// Rows that a product reads, element (i, p) at `i * row + p * col`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub col: usize,
}

/// Rows `[rows, k]` packed as `[groups][vectors][rows of the group][lanes]`.
pub(crate) struct Rows {
    data: Vec<f32>,
    pub rows: usize,
    /// `k` filled up to whole units.
    pub padded: usize,
    pub tiling: Tiling,
    pub order: Order,
}

impl Rows {
    /// Packs contiguous rows: `source(i)` is row `i`, `[k]`.
    pub(crate) fn pack<'a>(
        rows: usize,
        k: usize,
        order: Order,
        source: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Rows {
        Self::fill(rows, k, order, |i, group, at| {
            let row = source(i);
            match order {
                Order::Natural => {
                    for (vector, from) in row.chunks(at.lanes).enumerate() {
                        group[at.vector(vector)..][..from.len()].copy_from_slice(from);
                    }
                }
                Order::Nibbles => {
                    for (unit, row) in row.chunks(UNIT * at.lanes).enumerate() {
                        for (lane, word) in row.chunks(UNIT).enumerate() {
                            for (v, value) in word.iter().enumerate() {
                                group[at.vector(unit * UNIT + v) + lane] = *value;
                            }
                        }
                    }
                }
            }
        })
    }

    /// Packs the rows of a strided matrix in natural order.
    pub(crate) fn pack_strided(rows: usize, k: usize, from: Strided<'_>) -> Rows {
        Self::fill(rows, k, Order::Natural, |i, group, at| {
            for p in 0..k {
                let value = from.data[i * from.row + p * from.col];
                group[at.vector(p / at.lanes) + p % at.lanes] = value;
            }
        })
    }

    fn fill(
        rows: usize,
        k: usize,
        order: Order,
        write: impl Fn(usize, &mut [f32], Place) + Sync,
    ) -> Rows {
        let tiling = Tiling::here();
        let padded = k.next_multiple_of(tiling.unit());
        let mut data = vec![0.0; rows * padded];
        let pack = |(group, to): (usize, &mut [f32])| {
            let height = to.len() / padded;
            for place in 0..height {
                let lanes = tiling.lanes;
                let at = Place {
                    place,
                    height,
                    lanes,
                };
                write(group * tiling.rows + place, to, at);
            }
        };
        let size = (tiling.rows * padded).max(1);
        if data.len() < PARALLEL {
            data.chunks_mut(size).enumerate().for_each(pack);
        } else {
            data.par_chunks_mut(size).enumerate().for_each(pack);
        }
        Rows {
            data,
            rows,
            padded,
            tiling,
            order,
        }
    }

    /// Groups there are; each has the tile's height, the last one what is left.
    pub(crate) fn group_count(&self) -> usize {
        self.rows.div_ceil(self.tiling.rows)
    }

    /// Rows in some of the groups.
    pub(crate) fn rows_in(&self, groups: &Range<usize>) -> usize {
        let height = self.tiling.rows;
        self.rows.min(groups.end * height) - self.rows.min(groups.start * height)
    }

    /// Some of the groups.
    pub(crate) fn groups(&self, groups: Range<usize>) -> Vec<&[f32]> {
        let size = (self.tiling.rows * self.padded).max(1);
        self.data
            .chunks(size)
            .skip(groups.start)
            .take(groups.len())
            .collect()
    }
}

/// Smallest number of elements that is packed by more than one thread.
const PARALLEL: usize = 1 << 16;

/// Where a row lies in its group.
struct Place {
    place: usize,
    height: usize,
    lanes: usize,
}

impl Place {
    /// Start of one vector of the row.
    fn vector(&self, vector: usize) -> usize {
        (vector * self.height + self.place) * self.lanes
    }
}
