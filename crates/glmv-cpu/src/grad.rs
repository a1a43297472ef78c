//! The two products of a linear layer's backward pass.

use crate::Error;
use crate::error::check;
use crate::linear::{by_rows, many_rows, whole_product};
use crate::matrix::Matrix;
use crate::rows::{Order, Rows, Strided};
use glmv_quant::BLOCK;
use rayon::prelude::*;

/// Columns that a task turns into rows: whole blocks, one cache line of f32 or more.
const STRIP: usize = BLOCK;

/// Gradient with respect to a linear layer's input, `dx = dy · w`.
///
/// # Shapes
/// `dy` `[rows, outputs]`, `w` `[outputs, in]` of any type, `dx` `[rows, in]`, overwritten.
///
/// # Errors
/// [`Error::Length`] if a slice does not have its shape.
pub fn input_grad(dy: &[f32], rows: usize, w: Matrix<'_>, dx: &mut [f32]) -> Result<(), Error> {
    let (n, k) = (w.rows(), w.cols());
    check("dy", dy.len(), &[rows, n])?;
    check("dx", dx.len(), &[rows, k])?;
    if dx.is_empty() {
        return Ok(());
    }
    let packed = Rows::pack(rows, n, Order::Natural, |i| &dy[i * n..][..n]);
    plain_product(&packed, &w, dx);
    Ok(())
}

/// Gradient with respect to a linear layer's weight, `dw = dyᵀ · x`.
///
/// # Shapes
/// `dy` `[rows, outputs]`, `x` `[rows, in]`, `dw` `[outputs, in]`, overwritten.
///
/// # Errors
/// [`Error::Length`] if a slice does not have its shape.
pub fn weight_grad(
    dy: &[f32],
    x: &[f32],
    [rows, outputs, inputs]: [usize; 3],
    dw: &mut [f32],
) -> Result<(), Error> {
    check("dy", dy.len(), &[rows, outputs])?;
    check("dw", dw.len(), &[outputs, inputs])?;
    let x = Matrix::f32(x, [rows, inputs])?;
    if dw.is_empty() {
        return Ok(());
    }
    let turned = Strided {
        data: dy,
        row: 1,
        col: outputs,
    };
    let packed = Rows::pack_strided(outputs, rows, turned);
    plain_product(&packed, &x, dw);
    Ok(())
}

/// `out[rows, cols] = a[rows, inner] · b[inner, cols]`: columns of `b` are turned into rows, some
/// at a time, and multiplied as weights are.
fn plain_product(a: &Rows, b: &Matrix<'_>, out: &mut [f32]) {
    let (inner, cols) = (b.rows(), b.cols());
    let strips = (BUFFER / inner.max(1) / STRIP).max(1);
    for first in (0..cols).step_by(strips * STRIP) {
        let count = (strips * STRIP).min(cols - first);
        let mut rows = vec![0.0; count * inner];
        rows.par_chunks_mut((STRIP * inner).max(1))
            .enumerate()
            .for_each(|(strip, rows)| turn(b, first + strip * STRIP, rows));
        match Matrix::f32(&rows, [count, inner]) {
            Ok(rows) => columns(a, &rows, out, cols, first),
            Err(error) => unreachable!("made with this shape: {error}"),
        }
    }
}

/// Writes the columns from `first` on of `out` `[rows, cols]`.
fn columns(a: &Rows, b: &Matrix<'_>, out: &mut [f32], cols: usize, first: usize) {
    if many_rows(a) {
        return by_rows(a, b, out, cols, first);
    }
    let mut part = vec![0.0; a.rows * b.rows()];
    whole_product(a, b, &mut part);
    for (out, part) in out.chunks_exact_mut(cols).zip(part.chunks_exact(b.rows())) {
        out[first..][..part.len()].copy_from_slice(part);
    }
}

/// Elements of the turned copy of some columns: 32 megabytes.
const BUFFER: usize = 8 << 20;

/// Rows of `b` read before they are written as columns: one cache line of each column.
const LINE: usize = 16;

/// `rows[c][p] = b[p][first + c]`.
fn turn(b: &Matrix<'_>, first: usize, rows: &mut [f32]) {
    let inner = b.rows();
    let Some(count) = rows.len().checked_div(inner) else {
        return;
    };
    let mut lines = [0.0; STRIP * LINE];
    for from in (0..inner).step_by(LINE) {
        let height = LINE.min(inner - from);
        for (p, line) in lines.chunks_exact_mut(STRIP).enumerate().take(height) {
            b.write(from + p, first, &mut line[..count]);
        }
        for (c, row) in rows.chunks_exact_mut(inner).enumerate() {
            let lines = lines.chunks_exact(STRIP);
            for (out, line) in row[from..][..height].iter_mut().zip(lines) {
                *out = line[c];
            }
        }
    }
}
