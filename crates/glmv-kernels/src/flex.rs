//! Views of Flex tensors for the native loops, and one safe matrix product over strided slices.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape, TensorData};
use burn_flex::FlexTensor;
use glmv_quant::{Format, View};
use half::slice::HalfFloatSliceExt;
use std::borrow::Cow;

/// `t` itself where its f32 elements lie in order, else a contiguous f32 copy.
pub(crate) fn f32_rows(t: FlexTensor) -> FlexTensor {
    use burn::backend::ops::FloatTensorOps;
    let t = if t.dtype() == DType::F32 {
        t
    } else {
        burn::backend::Flex::float_cast(t, burn::tensor::FloatDType::F32)
    };
    match t.as_slice::<f32>().is_some() {
        true => t,
        false => t.to_contiguous(),
    }
}

/// `t` to be written in place: itself where it is the whole of its buffer, else a contiguous copy.
/// Takes the tensor, because a second handle would make the first write copy all of it.
pub(crate) fn writable(t: FlexTensor) -> FlexTensor {
    let bytes = t.shape().num_elements() * t.dtype().size();
    let whole = t.is_contiguous() && t.layout().start_offset() == 0 && t.bytes().len() == bytes;
    match whole {
        true => t,
        false => t.to_contiguous(),
    }
}

/// Elements of a contiguous f32 tensor.
pub(crate) fn floats(t: &FlexTensor) -> &[f32] {
    match t.as_slice::<f32>() {
        Some(values) => values,
        None => unreachable!(
            "f32_rows made this tensor contiguous f32, found {:?}",
            t.dtype()
        ),
    }
}

/// New f32 tensor that owns `values`.
pub(crate) fn new_f32(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Elements of an integer tensor of any width. The tensor is host memory, so nothing is read back and
/// nothing can fail: this is the backend's own `into_data`, not a device's.
pub(crate) fn ints(t: &FlexTensor) -> Vec<i64> {
    t.clone().into_data().iter::<i64>().collect()
}

/// `t` itself where its words lie in order, else a contiguous copy.
pub(crate) fn word_rows(t: FlexTensor) -> FlexTensor {
    match t.as_slice::<u32>().is_some() {
        true => t,
        false => t.to_contiguous(),
    }
}

/// Words of a contiguous u32 tensor.
pub(crate) fn words_of(t: &FlexTensor) -> &[u32] {
    match t.as_slice::<u32>() {
        Some(words) => words,
        None => unreachable!("Quantised::new checks for u32, found {:?}", t.dtype()),
    }
}

/// A weight matrix or stack in f32, f16 or codes, read without copying the whole of it.
pub(crate) enum Weights<'a> {
    F32(&'a [f32]),
    F16(&'a [half::f16]),
    Codes(View<'a>),
}

impl<'a> Weights<'a> {
    /// Borrows a contiguous tensor of f32 or f16.
    pub(crate) fn new(t: &'a FlexTensor) -> Self {
        match t.as_slice::<half::f16>() {
            Some(values) => Weights::F16(values),
            None => Weights::F32(floats(t)),
        }
    }

    /// Borrows contiguous codes and scales of rows of `inner` values.
    pub(crate) fn codes(codes: &'a [u32], scales: &'a [u32], format: Format, inner: usize) -> Self {
        let rows = codes.len() / format.code_words(inner).max(1);
        match View::new(format, [rows, inner], codes, scales) {
            Ok(view) => Weights::Codes(view),
            Err(error) => unreachable!("Quantised::new checks the shapes: {error}"),
        }
    }

    /// The whole as a matrix of `glmv-cpu`, a stack's experts one below the other.
    pub(crate) fn matrix(&self, shape: [usize; 2]) -> glmv_cpu::Matrix<'a> {
        let matrix = match self {
            Weights::F32(values) => glmv_cpu::Matrix::f32(values, shape),
            Weights::F16(values) => glmv_cpu::Matrix::f16(values, shape),
            Weights::Codes(view) => Ok(glmv_cpu::Matrix::packed(*view)),
        };
        match matrix {
            Ok(matrix) => matrix,
            Err(error) => panic!("weights on the CPU: {error}"),
        }
    }

    /// Elements `start..start + len` as f32, whole rows for codes; converts only what is asked for.
    pub(crate) fn block(&self, start: usize, len: usize) -> Cow<'a, [f32]> {
        match self {
            Weights::F32(values) => Cow::Borrowed(&values[start..start + len]),
            Weights::F16(values) => {
                let mut out = vec![0f32; len];
                values[start..start + len].convert_to_f32_slice(&mut out);
                Cow::Owned(out)
            }
            Weights::Codes(view) => {
                let rows = start / view.cols()..(start + len) / view.cols();
                match view.slice(rows) {
                    Ok(rows) => Cow::Owned(rows.dequantise()),
                    Err(error) => panic!("weights {start}..{}: {error}", start + len),
                }
            }
        }
    }
}

/// Contiguous weights: f16 stays, every other float type becomes f32. A run of a matrix's rows is not
/// copied.
pub(crate) fn weight_rows(t: FlexTensor) -> FlexTensor {
    let lies_in_order = match t.dtype() {
        DType::F16 => t.as_slice::<half::f16>().is_some(),
        _ => t.as_slice::<f32>().is_some(),
    };
    match (lies_in_order, t.dtype()) {
        (true, _) => t,
        (false, DType::F16) => t.to_contiguous(),
        (false, _) => f32_rows(t),
    }
}

/// A matrix inside a slice: element (i, j) at `offset + i * row + j * col`.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    pub data: &'a [f32],
    pub offset: usize,
    pub row: usize,
    pub col: usize,
}

impl<'a> Mat<'a> {
    /// Row-major matrix with `cols` columns that starts at the slice's beginning.
    pub(crate) fn rows(data: &'a [f32], cols: usize) -> Self {
        Mat {
            data,
            offset: 0,
            row: cols,
            col: 1,
        }
    }

    /// The transpose, without moving data.
    pub(crate) fn t(self) -> Self {
        Mat {
            row: self.col,
            col: self.row,
            ..self
        }
    }

    fn check(&self, rows: usize, cols: usize) {
        let last = self.offset + (rows - 1) * self.row + (cols - 1) * self.col;
        assert!(
            last < self.data.len(),
            "matrix of {rows}x{cols} ends at {last}, slice has {}",
            self.data.len()
        );
    }
}

/// `out[m, n] (row-major) = a[m, k] * b[k, n]`, plus the old `out` when `add`.
/// `parallel` uses all threads of the pool; callers that are parallel themselves pass false.
pub(crate) fn matmul(
    out: &mut [f32],
    a: Mat<'_>,
    b: Mat<'_>,
    [m, n, k]: [usize; 3],
    add: bool,
    parallel: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        out.len() >= m * n,
        "output of {m}x{n} in a slice of {}",
        out.len()
    );
    assert!(k > 0, "inner dimension is zero");
    a.check(m, k);
    b.check(k, n);
    let parallelism = if parallel {
        gemm::Parallelism::Rayon(0)
    } else {
        gemm::Parallelism::None
    };
    #[expect(
        unsafe_code,
        reason = "gemm takes raw pointers; extents are asserted above"
    )]
    // SAFETY: every element addressed through a, b and out lies inside its slice (asserted), and
    // `out` is the only mutable borrow.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            a.data.as_ptr().add(a.offset),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr().add(b.offset),
            b.col as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Dot product with sixteen running sums, so that it vectorises at the baseline instruction set.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [0f32; 16];
    let (ca, cb) = (a.chunks_exact(16), b.chunks_exact(16));
    let tail: f32 = ca
        .remainder()
        .iter()
        .zip(cb.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in ca.zip(cb) {
        for i in 0..16 {
            acc[i] += x[i] * y[i];
        }
    }
    acc.iter().sum::<f32>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matmul_handles_transposes_and_accumulation() {
        let a: Vec<f32> = (0..6).map(|v| v as f32).collect(); // [2, 3]
        let b: Vec<f32> = (0..12).map(|v| v as f32).collect(); // [4, 3]
        let mut out = vec![1f32; 8];
        matmul(
            &mut out,
            Mat::rows(&a, 3),
            Mat::rows(&b, 3).t(),
            [2, 4, 3],
            true,
            false,
        );
        let expected: Vec<f32> = (0..2)
            .flat_map(|i| {
                (0..4).map(move |j| {
                    1.0 + (0..3)
                        .map(|k| ((i * 3 + k) * (j * 3 + k)) as f32)
                        .sum::<f32>()
                })
            })
            .collect();
        assert_eq!(out, expected);
    }

    #[test]
    fn dot_covers_the_tail() {
        let a: Vec<f32> = (0..37).map(|v| v as f32).collect();
        assert_eq!(dot(&a, &a), (0..37).map(|v| (v * v) as f32).sum::<f32>());
    }
}
