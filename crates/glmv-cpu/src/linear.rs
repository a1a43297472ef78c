//! Linear layers.

use crate::Error;
use crate::error::check;
use crate::matrix::Matrix;
use crate::product::{Layout, Part, product};
use crate::rows::{Order, Rows};
use crate::simd::OUTPUTS;
use rayon::prelude::*;

/// Multiplications below which a second thread costs more than it gives.
pub(crate) const SERIAL: usize = 1 << 15;
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
    whole_product(&packed, &w, out);
    if let Some(bias) = bias {
        for row in out.chunks_exact_mut(n) {
            row.iter_mut().zip(bias).for_each(|(o, b)| *o += b);
        }
    }
    Ok(())
}

/// Outputs of a task, in whole tiles, if each of `n` outputs takes `work` multiplications.
fn task_outputs(n: usize, work: usize) -> usize {
    if n.saturating_mul(work) < SERIAL {
        return n.next_multiple_of(OUTPUTS);
    }
    let tasks = TASKS_PER_THREAD * rayon::current_num_threads();
    let least = (SERIAL / 2).div_ceil(work.max(1));
    n.div_ceil(tasks).max(least).next_multiple_of(OUTPUTS)
}

/// `out[rows, n] = x · wᵀ` with all threads.
pub(crate) fn whole_product(x: &Rows, w: &Matrix<'_>, out: &mut [f32]) {
    if many_rows(x) {
        by_rows(x, w, out, w.rows(), 0);
    } else {
        by_outputs(x, w, out);
    }
}

/// Whether every thread has rows enough to read all weights for them.
pub(crate) fn many_rows(x: &Rows) -> bool {
    let threads = rayon::current_num_threads();
    threads == 1 || x.rows >= ROWS_PER_TASK * threads
}

/// Fewest rows of a task that reads all weights.
const ROWS_PER_TASK: usize = 32;

/// Each task has all outputs of some rows; they go to the columns from `at` on of `out`
/// `[rows, stride]`.
pub(crate) fn by_rows(x: &Rows, w: &Matrix<'_>, out: &mut [f32], stride: usize, at: usize) {
    let (height, groups) = (x.tiling.rows, x.group_count());
    let least = ROWS_PER_TASK.div_ceil(height);
    let tasks = 2 * rayon::current_num_threads();
    let size = groups.div_ceil(tasks).max(least);
    let task = |(task, out): (usize, &mut [f32])| {
        let part = Part {
            groups: task * size..((task + 1) * size).min(groups),
            outputs: 0..w.rows(),
            layout: Layout::Rows { stride, at },
        };
        product(x, w, part, out);
    };
    if size >= groups {
        return task((0, out));
    }
    out.par_chunks_mut(size * height * stride)
        .enumerate()
        .for_each(task);
}

/// Each task has some outputs of all rows.
fn by_outputs(x: &Rows, w: &Matrix<'_>, out: &mut [f32]) {
    let n = w.rows();
    let size = task_outputs(n, x.rows * x.padded);
    let task = |(task, out): (usize, &mut [f32])| {
        let part = Part {
            groups: 0..x.group_count(),
            outputs: task * size..((task + 1) * size).min(n),
            layout: Layout::Outputs,
        };
        product(x, w, part, out);
    };
    if x.rows == 1 && size >= n {
        task((0, out));
    } else if x.rows == 1 {
        out.par_chunks_mut(size).enumerate().for_each(task);
    } else {
        // Outputs one after the other, so that tasks share no memory.
        let mut turned = vec![0.0; out.len()];
        turned
            .par_chunks_mut(size * x.rows)
            .enumerate()
            .for_each(task);
        transpose(&turned, [n, x.rows], out);
    }
}

/// Rows of the output that one task of [`transpose`] writes, and columns it reads at a time.
const TURN: usize = 16;

/// `out[cols, rows] = from[rows, cols]ᵀ`.
fn transpose(from: &[f32], [rows, cols]: [usize; 2], out: &mut [f32]) {
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
