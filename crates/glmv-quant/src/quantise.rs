//! From rows of f32 to words.

use crate::fit::{Fit, fit_q4, fit_q8};
use crate::{BLOCK, Error, Format, Packed};
use half::f16;

/// Packs a matrix; all columns count alike.
///
/// # Shapes
/// `values` `[rows, cols]`, row-major.
///
/// # Errors
/// [`Error::NonFinite`] and [`Error::ScaleOverflow`] name row and column; [`Error::Length`] if
/// `values` is not `[rows, cols]`; [`Error::TooLarge`].
pub fn quantise(format: Format, values: &[f32], rows: usize, cols: usize) -> Result<Packed, Error> {
    pack(format, values, [rows, cols], None)
}

/// Packs a matrix so that `Σ importance[col] · error²` of each block is small, with the mean square
/// of the inputs of each column as its importance. Only q4 chooses its scales by it.
///
/// # Shapes
/// `values` `[rows, cols]`, row-major; `importance` `[cols]`, not negative.
///
/// # Errors
/// As [`quantise`], and [`Error::Importance`].
pub fn quantise_weighted(
    format: Format,
    values: &[f32],
    [rows, cols]: [usize; 2],
    importance: &[f32],
) -> Result<Packed, Error> {
    pack(format, values, [rows, cols], Some(importance))
}

fn pack(
    format: Format,
    values: &[f32],
    [rows, cols]: [usize; 2],
    importance: Option<&[f32]>,
) -> Result<Packed, Error> {
    let expected = rows
        .checked_mul(cols)
        .ok_or(Error::TooLarge { format, rows, cols })?;
    if values.len() != expected {
        return Err(Error::Length {
            what: "values",
            format,
            rows,
            cols,
            found: values.len(),
            expected,
        });
    }
    let mut packed = Packed::zeros(format, rows, cols)?;
    packed.set_rows(0, values, importance)?;
    Ok(packed)
}

/// What is wrong in a row, before its number is known.
pub(crate) enum RowError {
    NonFinite { col: usize, value: f32 },
    ScaleOverflow { col: usize, value: f32 },
}

impl RowError {
    pub(crate) fn at_row(self, format: Format, row: usize) -> Error {
        match self {
            RowError::NonFinite { col, value } => Error::NonFinite { row, col, value },
            RowError::ScaleOverflow { col, value } => Error::ScaleOverflow {
                row,
                col,
                value,
                format,
                limit: format.limit(),
            },
        }
    }
}

/// Fills the words of one row; returns how many blocks are coarse.
pub(crate) fn quantise_row(
    format: Format,
    values: &[f32],
    importance: Option<&[f32]>,
    codes: &mut [u32],
    scales: &mut [u32],
) -> Result<usize, RowError> {
    let is_bad = |v: &f32| !v.is_finite() || v.abs() > format.limit();
    if let Some(col) = values.iter().position(is_bad) {
        let value = values[col];
        return Err(if value.is_finite() {
            RowError::ScaleOverflow { col, value }
        } else {
            RowError::NonFinite { col, value }
        });
    }
    scales.fill(0);
    // One dispatch per row: the loops over a block vectorise at the processor's own level.
    let coarse = macerator::AutoArch::new().dispatch(
        #[inline(always)]
        || {
            let mut coarse = 0;
            let words = codes.chunks_exact_mut(format.block_words());
            for (block, (words, source)) in words.zip(values.chunks(BLOCK)).enumerate() {
                let mut x = [0.0; BLOCK];
                x[..source.len()].copy_from_slice(source);
                let mut weight = [0.0; BLOCK];
                match importance {
                    Some(w) => {
                        weight[..source.len()].copy_from_slice(&w[block * BLOCK..][..source.len()])
                    }
                    None => weight[..source.len()].fill(1.0),
                }
                let fit = match format {
                    Format::Q8 => fit_q8(&x),
                    Format::Q4 => fit_q4(&x, &weight),
                };
                coarse += usize::from(fit.coarse);
                store(format, &fit, words, &mut scales[block / 2], block % 2);
            }
            coarse
        },
    );
    Ok(coarse)
}

#[inline(always)]
fn store(format: Format, fit: &Fit, words: &mut [u32], scale_word: &mut u32, half: usize) {
    let per_word = BLOCK / words.len();
    for (word, codes) in words.iter_mut().zip(fit.codes.chunks_exact(per_word)) {
        *word = match format {
            Format::Q8 => (0..4).fold(0, |w, i| w | (codes[i] as i8 as u8 as u32) << (8 * i)),
            Format::Q4 => (0..8).fold(0, |w, i| w | ((codes[i] + 8.0) as u32) << (4 * i)),
        };
    }
    *scale_word |= u32::from(f16::from_f32(fit.scale).to_bits()) << (16 * half);
}
