//! Owned packed weights, filled row by row so that a loader need not hold a whole matrix in f32.

use crate::quantise::{RowError, quantise_row};
use crate::{Error, Format, View};
use rayon::prelude::*;

/// A packed matrix that owns its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    format: Format,
    rows: usize,
    cols: usize,
    codes: Vec<u32>,
    scales: Vec<u32>,
    coarse_blocks: usize,
}

impl Packed {
    /// A matrix of zeros.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if its words cannot be addressed.
    pub fn zeros(format: Format, rows: usize, cols: usize) -> Result<Self, Error> {
        if format.bytes(rows, cols) > isize::MAX as usize {
            return Err(Error::TooLarge { format, rows, cols });
        }
        Ok(Packed {
            format,
            rows,
            cols,
            codes: vec![format.zero_word(); rows * format.code_words(cols)],
            scales: vec![0; rows * format.scale_words(cols)],
            coarse_blocks: 0,
        })
    }

    /// A matrix of words that were packed before.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn from_words(
        format: Format,
        [rows, cols]: [usize; 2],
        codes: Vec<u32>,
        scales: Vec<u32>,
    ) -> Result<Self, Error> {
        View::new(format, [rows, cols], &codes, &scales)?;
        Ok(Packed {
            format,
            rows,
            cols,
            codes,
            scales,
            coarse_blocks: 0,
        })
    }

    /// Quantises `values`, rows `first..first + values.len() / cols` of the matrix; in parallel by
    /// row, with the same result for every number of threads. `importance` as in
    /// [`crate::quantise_weighted`].
    ///
    /// # Errors
    /// [`Error::NonFinite`] and [`Error::ScaleOverflow`] name the first such row of the matrix;
    /// [`Error::Length`] if `values` is not whole rows or `importance` not `[cols]`;
    /// [`Error::Rows`] if the rows are outside; [`Error::Importance`] for a bad column weight.
    /// After an error the rows it names and those after it are not filled.
    pub fn set_rows(
        &mut self,
        first: usize,
        values: &[f32],
        importance: Option<&[f32]>,
    ) -> Result<(), Error> {
        let (format, cols) = (self.format, self.cols);
        self.check_importance(importance)?;
        let count = values.len().checked_div(cols).unwrap_or(0);
        if values.len() != count * cols {
            return Err(self.length("values", values.len(), (count + 1) * cols));
        }
        let end = first.saturating_add(count);
        if end > self.rows {
            return Err(Error::Rows {
                start: first,
                end,
                rows: self.rows,
            });
        }
        if count == 0 {
            return Ok(());
        }
        let (code_words, scale_words) = (format.code_words(cols), format.scale_words(cols));
        let codes = &mut self.codes[first * code_words..end * code_words];
        let scales = &mut self.scales[first * scale_words..end * scale_words];
        let results: Vec<Result<usize, RowError>> = values
            .par_chunks(cols)
            .zip(codes.par_chunks_mut(code_words))
            .zip(scales.par_chunks_mut(scale_words))
            .map(|((values, codes), scales)| {
                quantise_row(format, values, importance, codes, scales)
            })
            .collect();
        for (i, result) in results.into_iter().enumerate() {
            self.coarse_blocks += result.map_err(|error| error.at_row(format, first + i))?;
        }
        Ok(())
    }

    fn check_importance(&self, importance: Option<&[f32]>) -> Result<(), Error> {
        let Some(importance) = importance else {
            return Ok(());
        };
        if importance.len() != self.cols {
            return Err(self.length("importance", importance.len(), self.cols));
        }
        let bad = |v: &f32| !(v.is_finite() && *v >= 0.0);
        match importance.iter().position(bad) {
            Some(col) => Err(Error::Importance {
                col,
                value: importance[col],
            }),
            None => Ok(()),
        }
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

    /// The whole matrix, borrowed.
    pub fn view(&self) -> View<'_> {
        match View::new(
            self.format,
            [self.rows, self.cols],
            &self.codes,
            &self.scales,
        ) {
            Ok(view) => view,
            Err(error) => unreachable!("the constructors checked these lengths: {error}"),
        }
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
    pub fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// Words of the scales, `[rows, scale_words(cols)]`.
    pub fn scales(&self) -> &[u32] {
        &self.scales
    }

    /// Codes and scales, given away.
    pub fn into_words(self) -> (Vec<u32>, Vec<u32>) {
        (self.codes, self.scales)
    }

    /// Blocks quantised into this matrix whose best scale lies below [`crate::MIN_SCALE`] and that
    /// were stored with that scale: their error is up to half of it, more than the format's share.
    pub fn coarse_blocks(&self) -> usize {
        self.coarse_blocks
    }
}
