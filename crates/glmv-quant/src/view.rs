//! Borrowed packed weights: checked once, then read by row.

use crate::{BLOCK, Error, Format};
use half::f16;
use rayon::prelude::*;
use std::ops::Range;

/// A packed matrix in borrowed words; rows of it are views too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View<'a> {
    format: Format,
    rows: usize,
    cols: usize,
    codes: &'a [u32],
    scales: &'a [u32],
}

impl<'a> View<'a> {
    /// View of words that follow the layout of the crate.
    ///
    /// # Shapes
    /// `codes` `[rows, code_words(cols)]`, `scales` `[rows, scale_words(cols)]`.
    ///
    /// # Errors
    /// [`Error::Length`] if a slice has another length, [`Error::TooLarge`] if the matrix cannot
    /// exist.
    pub fn new(
        format: Format,
        [rows, cols]: [usize; 2],
        codes: &'a [u32],
        scales: &'a [u32],
    ) -> Result<Self, Error> {
        let words = [
            ("codes", codes.len(), format.code_words(cols)),
            ("scales", scales.len(), format.scale_words(cols)),
        ];
        for (what, found, per_row) in words {
            let expected =
                rows.checked_mul(per_row)
                    .ok_or(Error::TooLarge { format, rows, cols })?;
            if found != expected {
                return Err(Error::Length {
                    what,
                    format,
                    rows,
                    cols,
                    found,
                    expected,
                });
            }
        }
        Ok(View {
            format,
            rows,
            cols,
            codes,
            scales,
        })
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Weights per row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Words of the codes, `[rows, code_words(cols)]`.
    pub fn codes(&self) -> &'a [u32] {
        self.codes
    }

    /// Words of the scales, `[rows, scale_words(cols)]`.
    pub fn scales(&self) -> &'a [u32] {
        self.scales
    }

    /// The matrix of some of the rows.
    ///
    /// # Errors
    /// [`Error::Rows`] if the range is not inside the matrix.
    pub fn slice(&self, rows: Range<usize>) -> Result<View<'a>, Error> {
        if rows.start > rows.end || rows.end > self.rows {
            return Err(Error::Rows {
                start: rows.start,
                end: rows.end,
                rows: self.rows,
            });
        }
        let (code_words, scale_words) = (
            self.format.code_words(self.cols),
            self.format.scale_words(self.cols),
        );
        Ok(View {
            rows: rows.len(),
            codes: &self.codes[rows.start * code_words..rows.end * code_words],
            scales: &self.scales[rows.start * scale_words..rows.end * scale_words],
            ..*self
        })
    }

    /// All weights as f32, `[rows, cols]`.
    pub fn dequantise(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.cols];
        if self.cols > 0 {
            out.par_chunks_mut(self.cols)
                .enumerate()
                .for_each(|(row, out)| self.write(row, 0, out));
        }
        out
    }

    /// One row as f32.
    ///
    /// # Errors
    /// [`Error::Rows`] if there is no such row, [`Error::Length`] if `out` is not `[cols]`.
    pub fn dequantise_row(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        if out.len() != self.cols {
            return Err(self.length("row", out.len(), self.cols));
        }
        self.dequantise_part(row, 0, out)
    }

    /// Columns `first_block · 32 ..` of one row as f32, as many as `out` has.
    ///
    /// # Errors
    /// [`Error::Rows`] if there is no such row, [`Error::Length`] if `out` reaches past its end.
    pub fn dequantise_part(
        &self,
        row: usize,
        first_block: usize,
        out: &mut [f32],
    ) -> Result<(), Error> {
        if row >= self.rows {
            return Err(Error::Rows {
                start: row,
                end: row.saturating_add(1),
                rows: self.rows,
            });
        }
        let left = self.cols.saturating_sub(first_block.saturating_mul(BLOCK));
        if out.len() > left {
            return Err(self.length("part of a row", out.len(), left));
        }
        self.write(row, first_block, out);
        Ok(())
    }

    fn length(&self, what: &'static str, found: usize, expected: usize) -> Error {
        Error::Length {
            what,
            format: self.format,
            rows: self.rows,
            cols: self.cols,
            found,
            expected,
        }
    }

    /// `row` exists and `out` ends inside of it.
    fn write(&self, row: usize, first_block: usize, out: &mut [f32]) {
        let (code_words, scale_words) = (
            self.format.code_words(self.cols),
            self.format.scale_words(self.cols),
        );
        let codes = &self.codes[row * code_words..][..code_words];
        let scales = &self.scales[row * scale_words..][..scale_words];
        let words = codes.chunks_exact(self.format.block_words());
        let blocks = words.enumerate().skip(first_block);
        for ((block, words), out) in blocks.zip(out.chunks_mut(BLOCK)) {
            let values = dequantise_block(self.format, words, block_scale(scales, block));
            out.copy_from_slice(&values[..out.len()]);
        }
    }
}

/// Scale of one block out of the words of its row.
fn block_scale(scales: &[u32], block: usize) -> f32 {
    let [a, b, c, d] = scales[block / 2].to_le_bytes();
    let half = if block.is_multiple_of(2) {
        [a, b]
    } else {
        [c, d]
    };
    f16::from_le_bytes(half).to_f32()
}

/// Values of one block. Every product is exact: 8 bits of code times 11 bits of scale.
pub(crate) fn dequantise_block(format: Format, words: &[u32], scale: f32) -> [f32; BLOCK] {
    let mut out = [0.0; BLOCK];
    match format {
        Format::Q8 => {
            for (out, word) in out.chunks_exact_mut(4).zip(words) {
                for (out, byte) in out.iter_mut().zip(word.to_le_bytes()) {
                    *out = f32::from(byte.cast_signed()) * scale;
                }
            }
        }
        Format::Q4 => {
            for (out, word) in out.chunks_exact_mut(8).zip(words) {
                for (i, out) in out.iter_mut().enumerate() {
                    let nibble = (word >> (4 * i) & 15) as u8;
                    *out = (f32::from(nibble) - 8.0) * scale;
                }
            }
        }
    }
    out
}
