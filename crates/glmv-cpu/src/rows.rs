//! The activations of a product, packed: rows in groups of a tile's height, and in a group one
//! vector of each row after the other, so that a tile reads one stream.

use crate::simd::{STEP, Tiling};
use rayon::prelude::*;

/// Rows that a product reads, element (i, p) at `i * row + p * col`.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub col: usize,
}

/// Rows `[rows, k]` packed as `[groups][k / lanes][rows of the group][lanes]`.
pub(crate) struct Rows {
    data: Vec<f32>,
    pub rows: usize,
    /// `k` filled up to whole steps.
    pub padded: usize,
    pub tiling: Tiling,
}

impl Rows {
    /// Packs contiguous rows: `source(i)` is row `i`, `[k]`.
    pub(crate) fn pack<'a>(
        rows: usize,
        k: usize,
        source: impl Fn(usize) -> &'a [f32] + Sync,
    ) -> Rows {
        Self::fill(rows, k, |i, group, at| {
            for (piece, from) in source(i).chunks(at.lanes).enumerate() {
                let to = (piece * at.height + at.place) * at.lanes;
                group[to..][..from.len()].copy_from_slice(from);
            }
        })
    }

    /// Packs the rows of a strided matrix.
    pub(crate) fn pack_strided(rows: usize, k: usize, from: Strided<'_>) -> Rows {
        Self::fill(rows, k, |i, group, at| {
            for p in 0..k {
                let to = (p / at.lanes * at.height + at.place) * at.lanes + p % at.lanes;
                group[to] = from.data[i * from.row + p * from.col];
            }
        })
    }

    fn fill(rows: usize, k: usize, write: impl Fn(usize, &mut [f32], Place) + Sync) -> Rows {
        let tiling = Tiling::here();
        let padded = k.next_multiple_of(STEP);
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
        let size = tiling.rows * padded;
        if data.len() < PARALLEL {
            data.chunks_mut(size.max(1)).enumerate().for_each(pack);
        } else {
            data.par_chunks_mut(size).enumerate().for_each(pack);
        }
        Rows {
            data,
            rows,
            padded,
            tiling,
        }
    }

    /// Groups of rows; each has the tile's height, the last one what is left.
    pub(crate) fn groups(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks((self.tiling.rows * self.padded).max(1))
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
