//! A weight matrix of any of the four types, borrowed.

use crate::Error;
use crate::error::check;
use glmv_quant::{BLOCK, View};
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::ops::Range;

/// Elements of a row-major weight matrix.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 16-bit floats.
    F16(&'a [f16]),
    /// 8-bit or 4-bit codes.
    Packed(View<'a>),
}

/// A weight matrix `[rows, cols]`: one row per output, as linear layers are stored on the hub. A
/// stack of experts is a matrix too, of which [`Matrix::slice`] gives one.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    weights: Weights<'a>,
    rows: usize,
    cols: usize,
}

impl<'a> Matrix<'a> {
    /// Matrix of f32.
    ///
    /// # Errors
    /// [`Error::Length`] if `values` is not `[rows, cols]`.
    pub fn f32(values: &'a [f32], [rows, cols]: [usize; 2]) -> Result<Self, Error> {
        check("f32 weights", values.len(), &[rows, cols])?;
        Ok(Matrix {
            weights: Weights::F32(values),
            rows,
            cols,
        })
    }

    /// Matrix of f16.
    ///
    /// # Errors
    /// [`Error::Length`] if `values` is not `[rows, cols]`.
    pub fn f16(values: &'a [f16], [rows, cols]: [usize; 2]) -> Result<Self, Error> {
        check("f16 weights", values.len(), &[rows, cols])?;
        Ok(Matrix {
            weights: Weights::F16(values),
            rows,
            cols,
        })
    }

    /// Matrix of codes and scales; the view has checked its lengths.
    pub fn packed(view: View<'a>) -> Self {
        Matrix {
            weights: Weights::Packed(view),
            rows: view.rows(),
            cols: view.cols(),
        }
    }

    /// Outputs of a product with this matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs of a product with this matrix.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The elements.
    pub fn weights(&self) -> Weights<'a> {
        self.weights
    }

    /// The matrix of some of the rows.
    ///
    /// # Errors
    /// [`Error::Rows`] if the range is not inside the matrix.
    pub fn slice(&self, rows: Range<usize>) -> Result<Matrix<'a>, Error> {
        let outside = || Error::Rows {
            start: rows.start,
            end: rows.end,
            rows: self.rows,
        };
        if rows.start > rows.end || rows.end > self.rows {
            return Err(outside());
        }
        let range = rows.start * self.cols..rows.end * self.cols;
        let weights = match self.weights {
            Weights::F32(values) => Weights::F32(&values[range]),
            Weights::F16(values) => Weights::F16(&values[range]),
            Weights::Packed(view) => {
                Weights::Packed(view.slice(rows.clone()).map_err(|_| outside())?)
            }
        };
        Ok(Matrix {
            weights,
            rows: rows.len(),
            cols: self.cols,
        })
    }

    /// Columns of one row as f32 from `first` on, which is the start of a block.
    pub(crate) fn write(&self, row: usize, first: usize, out: &mut [f32]) {
        let at = row * self.cols + first..row * self.cols + first + out.len();
        match self.weights {
            Weights::F32(values) => out.copy_from_slice(&values[at]),
            Weights::F16(values) => values[at].convert_to_f32_slice(out),
            Weights::Packed(view) => match view.dequantise_part(row, first / BLOCK, out) {
                Ok(()) => {}
                Err(error) => unreachable!("the caller stays inside the matrix: {error}"),
            },
        }
    }
}
