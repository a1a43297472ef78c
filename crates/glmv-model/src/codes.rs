//! Codes between a file and a device: the words of a weight while it is put together, and a
//! quantised tensor as it is stored.

use crate::Error;
use glmv_quant::{BLOCK, Format};
use rayon::prelude::*;
use std::ops::Range;

/// Weights that are widened to f32 at a time.
pub(crate) const CHUNK: usize = 1 << 20;

/// Codes and scales of a weight, filled row by row.
pub(crate) struct Words {
    format: Format,
    cols: usize,
    codes: Vec<u32>,
    scales: Vec<u32>,
}

impl Words {
    pub(crate) fn with_capacity(format: Format, rows: usize, cols: usize) -> Self {
        Words {
            format,
            cols,
            codes: Vec::with_capacity(rows * format.code_words(cols)),
            scales: Vec::with_capacity(rows * format.scale_words(cols)),
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Appends the rows `values`.
    ///
    /// # Errors
    /// [`Error::Quantise`] names `name`.
    pub(crate) fn quantise(&mut self, name: &str, values: &[f32]) -> Result<(), Error> {
        let rows = values.len() / self.cols.max(1);
        let packed =
            glmv_quant::quantise(self.format, values, rows, self.cols).map_err(|source| {
                let name = name.to_string();
                Error::Quantise { name, source }
            })?;
        self.codes.extend_from_slice(packed.codes());
        self.scales.extend_from_slice(packed.scales());
        Ok(())
    }

    pub(crate) fn into_parts(self) -> (Vec<u32>, Vec<u32>) {
        (self.codes, self.scales)
    }
}

/// One quantised tensor as it lies in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredCodes<'a> {
    pub(crate) format: Format,
    pub(crate) cols: usize,
    /// Little-endian words.
    pub(crate) codes: &'a [u8],
    pub(crate) scales: &'a [u8],
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| u32::from_le_bytes(*b))
}

impl StoredCodes<'_> {
    /// Appends columns `cols` of rows `rows` to `out`.
    ///
    /// # Errors
    /// [`Error::Codes`] if `out` is of another format, if the columns cut a block, or for a scale
    /// that is no finite number.
    pub(crate) fn append(
        &self,
        name: &str,
        rows: Range<usize>,
        cols: Range<usize>,
        out: &mut Words,
    ) -> Result<(), Error> {
        let fail = |reason: String| Error::Codes {
            name: name.to_string(),
            reason,
        };
        if out.format != self.format {
            let (found, asked) = (self.format, out.format);
            return Err(fail(format!(
                "the file holds {found}, {asked} was asked for: quantise the original again"
            )));
        }
        let whole = cols == (0..self.cols);
        let aligned = |at: usize| at.is_multiple_of(BLOCK) || at == self.cols;
        if !aligned(cols.start) || !aligned(cols.end) {
            return Err(fail(format!("columns {cols:?} cut a block of {BLOCK}")));
        }
        let (code_row, scale_row) = (
            4 * self.format.code_words(self.cols),
            4 * self.format.scale_words(self.cols),
        );
        let blocks = cols.start / BLOCK..cols.end.div_ceil(BLOCK);
        let block_bytes = 4 * self.format.block_words();
        let first = out.scales.len();
        for row in rows {
            let codes = &self.codes[row * code_row..][..code_row];
            let scales = &self.scales[row * scale_row..][..scale_row];
            if whole {
                out.codes.extend(words(codes));
                out.scales.extend(words(scales));
                continue;
            }
            let run = blocks.start * block_bytes..blocks.end * block_bytes;
            out.codes.extend(words(&codes[run]));
            let halves = scales[2 * blocks.start..2 * blocks.end].as_chunks::<2>().0;
            out.scales.extend(halves.chunks(2).map(|pair| {
                let low = u32::from(u16::from_le_bytes(pair[0]));
                let high = pair.get(1).map_or(0, |h| u32::from(u16::from_le_bytes(*h)));
                low | high << 16
            }));
        }
        // An f16 is infinite or no number where its exponent is all ones.
        let finite = |word: &u32| [*word, word >> 16].iter().all(|h| h & 0x7c00 != 0x7c00);
        match out.scales[first..].par_iter().all(finite) {
            true => Ok(()),
            false => Err(fail("a scale is infinite or no number".to_string())),
        }
    }

    /// Appends the values of columns `cols` of rows `rows` to `out`.
    ///
    /// # Errors
    /// As [`StoredCodes::append`].
    pub(crate) fn dequantise(
        &self,
        name: &str,
        rows: Range<usize>,
        cols: Range<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let step = (CHUNK / cols.len().max(1)).max(1);
        for start in rows.clone().step_by(step) {
            let run = start..(start + step).min(rows.end);
            let mut taken = Words::with_capacity(self.format, run.len(), cols.len());
            let count = run.len();
            self.append(name, run, cols.clone(), &mut taken)?;
            let (codes, scales) = taken.into_parts();
            let shape = [count, cols.len()];
            let view = glmv_quant::View::new(self.format, shape, &codes, &scales);
            let view = view.map_err(|source| Error::Quantise {
                name: name.to_string(),
                source,
            })?;
            out.extend(view.dequantise());
        }
        Ok(())
    }
}
