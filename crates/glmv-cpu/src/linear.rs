//! Linear layers.

use crate::Error;
use crate::error::check;
use crate::matrix::Matrix;
use crate::product::columns;
use crate::rows::{Order, Rows};
use crate::simd::OUTPUTS;
use rayon::prelude::*;

/// Multiplications below which a second thread costs more than it gives.
const SERIAL: usize = 1 << 15;
/// Tasks per thread, so that a thread that comes late leaves its share to the others.
pub(crate) const TASKS_PER_THREAD: usize = 4;

/// `out = x · wᵀ + bias`, for any number of rows; no rows or no outputs leave nothing to do.
///
/// # Shapes
/// `x` `[rows, in]`, `w` `[outputs, in]`, `bias` `[outputs]`, `out` `[rows, outputs]`.
///
/// # Errors
/// [`Error::Length`] if a slice does not have its shape.
///
/// Source: torch `nn.Linear`.
pub fn linear(
    x: &[f32],
    rows: usize,
    w: Matrix<'_>,
    bias: Option<&[f32]>,
    out: &mut [f32],
) -> Result<(), Error> {
    let (n, k) = (w.rows(), w.cols());
    check("x", x.len(), &[rows, k])?;
    check("out", out.len(), &[rows, n])?;
    if let Some(bias) = bias {
        check("bias", bias.len(), &[n])?;
    }
    if out.is_empty() {
        return Ok(());
    }
    let packed = Rows::pack(rows, k, Order::of(&w), |i| &x[i * k..][..k]);
    all_columns(&packed, &w, bias, out);
    Ok(())
}

/// Tasks of whole tiles for `n` outputs of `work` multiplications each.
pub(crate) fn task_outputs(n: usize, work: usize) -> usize {
    if n.saturating_mul(work) < SERIAL {
        return n.next_multiple_of(OUTPUTS);
    }
    let tasks = TASKS_PER_THREAD * rayon::current_num_threads();
    let least = (SERIAL / 2).div_ceil(work.max(1));
    n.div_ceil(tasks).max(least).next_multiple_of(OUTPUTS)
}

/// `out[rows, n] = x · wᵀ + bias` with all threads.
pub(crate) fn all_columns(x: &Rows, w: &Matrix<'_>, bias: Option<&[f32]>, out: &mut [f32]) {
    let n = w.rows();
    let size = task_outputs(n, x.rows * x.padded);
    if x.rows == 1 {
        by_task(x, w, size, out);
        if let Some(bias) = bias {
            out.iter_mut().zip(bias).for_each(|(o, b)| *o += b);
        }
        return;
    }
    // A task writes whole outputs, [outputs, rows], so that tasks share no memory.
    let mut turned = vec![0.0; out.len()];
    by_task(x, w, size, &mut turned);
    transpose(&turned, [n, x.rows], out);
    if let Some(bias) = bias {
        for row in out.chunks_exact_mut(n) {
            row.iter_mut().zip(bias).for_each(|(o, b)| *o += b);
        }
    }
}

fn by_task(x: &Rows, w: &Matrix<'_>, size: usize, turned: &mut [f32]) {
    let task = |(task, out): (usize, &mut [f32])| {
        let first = task * size;
        columns(x, w, first..first + out.len() / x.rows, out);
    };
    if size >= w.rows() {
        return task((0, turned));
    }
    turned
        .par_chunks_mut(size * x.rows)
        .enumerate()
        .for_each(task);
}

/// Rows of the output that one task of [`transpose`] writes, and columns it reads at a time.
const TURN: usize = 16;

/// `out[cols, rows] = from[rows, cols]ᵀ`.
pub(crate) fn transpose(from: &[f32], [rows, cols]: [usize; 2], out: &mut [f32]) {
    let turn = |(block, out): (usize, &mut [f32])| {
        let first = block * TURN;
        for start in (0..rows).step_by(TURN) {
            let end = (start + TURN).min(rows);
            for (c, out) in out.chunks_exact_mut(rows).enumerate() {
                for (r, out) in (start..end).zip(&mut out[start..end]) {
                    *out = from[r * cols + first + c];
                }
            }
        }
    };
    if out.len() < 1 << 16 {
        out.chunks_mut(TURN * rows).enumerate().for_each(turn);
    } else {
        out.par_chunks_mut(TURN * rows).enumerate().for_each(turn);
    }
}
