//! Weights of codes in backward passes: rows widened to floats a few at a time, so that a frozen
//! weight is never whole in f32.

use super::Differentiable;
use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{IntDType, Shape, Slice};
use glmv_quant::Format;
use std::ops::Range;

/// Most values that are wide at a time: 64 MiB.
const WIDE: usize = 1 << 24;

/// Codes and scales of a matrix, rows of `inner` values.
#[derive(Clone, Debug)]
pub(crate) struct Codes<B: Differentiable> {
    pub codes: IntTensor<B>,
    pub scales: IntTensor<B>,
    pub format: Format,
    pub inner: usize,
}

impl<B: Differentiable> Codes<B> {
    /// A stack `[experts, rows, ..]` as one matrix, expert below expert.
    pub(crate) fn flat(
        codes: IntTensor<B>,
        scales: IntTensor<B>,
        format: Format,
        inner: usize,
    ) -> Self {
        let flat = |t: IntTensor<B>| {
            let shape = t.shape();
            let words = shape[shape.num_dims() - 1];
            let rows = shape.num_elements() / words.max(1);
            B::int_reshape(t, Shape::new([rows, words]))
        };
        Codes {
            codes: flat(codes),
            scales: flat(scales),
            format,
            inner,
        }
    }

    /// Rows of the matrix.
    pub(crate) fn rows(&self) -> usize {
        self.codes.shape()[0]
    }

    /// Codes and scales of some rows.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Self {
        let cut = |t: &IntTensor<B>| {
            let words = t.shape()[1];
            B::int_slice(
                t.clone(),
                &[Slice::from(rows.clone()), Slice::from(0..words)],
            )
        };
        Codes {
            codes: cut(&self.codes),
            scales: cut(&self.scales),
            ..*self
        }
    }

    /// Some rows in f32.
    pub(crate) fn wide(&self, rows: Range<usize>) -> FloatTensor<B> {
        let part = self.slice(rows);
        let count = part.rows() as i64;
        let ids = B::int_arange(0..count, &part.codes.device(), IntDType::I32);
        B::embed_codes(part.codes, part.scales, ids, (self.format, self.inner), 0)
    }
}

/// Runs of `0..rows`, each of at most [`WIDE`] values and at least one row.
pub(super) fn runs(rows: usize, values: usize) -> impl Iterator<Item = Range<usize>> {
    let each = (WIDE / values.max(1)).max(1);
    (0..rows)
        .step_by(each)
        .map(move |start| start..rows.min(start + each))
}

/// `grad · weight`: grad `[.., rows]` → `[.., inner]`.
pub(super) fn grad_input<B: Differentiable>(
    weight: &Codes<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let (mut shape, n) = (grad.shape(), weight.rows());
    let last = shape.num_dims() - 1;
    let rows = shape.num_elements() / n;
    shape[last] = weight.inner;
    let grad = B::float_reshape(grad, Shape::new([rows, n]));
    let parts = runs(n, weight.inner).map(|run| {
        let columns = [Slice::from(0..rows), Slice::from(run.clone())];
        let part = match run.len() == n {
            true => grad.clone(),
            false => B::float_slice(grad.clone(), &columns),
        };
        B::linear_grad_input(part, weight.wide(run))
    });
    match parts.reduce(B::float_add) {
        Some(sum) => B::float_reshape(sum, shape),
        None => B::float_zeros(shape, &grad.device(), burn::tensor::FloatDType::F32),
    }
}
