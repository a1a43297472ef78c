//! The two products of a linear layer's backward pass.

use crate::Error;
use crate::error::check;
use crate::linear::transpose;
use crate::matrix::Matrix;
use crate::product::columns;
use crate::rows::{Order, Rows, Strided};
use crate::simd::OUTPUTS;
use glmv_quant::BLOCK;
use rayon::prelude::*;

/// Columns that a task turns into rows at a time: whole blocks and whole tiles.
const TASK_COLUMNS: usize = 3 * BLOCK;
const _: () = assert!(TASK_COLUMNS.is_multiple_of(OUTPUTS));

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
    let mut turned = vec![0.0; out.len()]; // [cols, rows]
    turned
        .par_chunks_mut(TASK_COLUMNS * a.rows)
        .enumerate()
        .for_each(|(task, out)| {
            let count = out.len() / a.rows;
            let mut rows = vec![0.0; count * inner];
            turn(b, task * TASK_COLUMNS, &mut rows);
            match Matrix::f32(&rows, [count, inner]) {
                Ok(rows) => columns(a, &rows, 0..count, out),
                Err(error) => unreachable!("made with this shape: {error}"),
            }
        });
    transpose(&turned, [cols, a.rows], out);
}

/// Rows of `b` read before they are written as columns: one cache line of each column.
const LINE: usize = 16;

/// `rows[c][p] = b[p][first + c]`.
fn turn(b: &Matrix<'_>, first: usize, rows: &mut [f32]) {
    let inner = b.rows();
    let Some(count) = rows.len().checked_div(inner) else {
        return;
    };
    let mut lines = [0.0; TASK_COLUMNS * LINE];
    for from in (0..inner).step_by(LINE) {
        let height = LINE.min(inner - from);
        for (p, line) in lines
            .chunks_exact_mut(TASK_COLUMNS)
            .enumerate()
            .take(height)
        {
            b.write(from + p, first, &mut line[..count]);
        }
        for (c, row) in rows.chunks_exact_mut(inner).enumerate() {
            let lines = lines.chunks_exact(TASK_COLUMNS);
            for (out, line) in row[from..][..height].iter_mut().zip(lines) {
                *out = line[c];
            }
        }
    }
}
