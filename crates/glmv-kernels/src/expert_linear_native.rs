//! Products per expert on the CPU device: rows gathered by expert, one product for each that is used.

use crate::flex::{Mat, Weights, f32_rows, floats, ints, matmul, new_f32, weight_rows, words_of};
use crate::moe::native::slots_by_expert;
use burn::backend::TensorMetadata;
use burn::tensor::Shape;
use burn_flex::FlexTensor;
use glmv_quant::Format;
use rayon::prelude::*;

/// Slots of every expert, and how many of them share a row.
struct Places {
    slots: Vec<Vec<usize>>,
    count: usize,
    spread: usize,
}

impl Places {
    fn new(ids: &FlexTensor, rows: usize, experts: usize, base: usize) -> Self {
        let ids = ints(ids);
        Places {
            slots: slots_by_expert(&ids, base, experts),
            count: ids.len(),
            spread: ids.len() / rows.max(1),
        }
    }

    /// The rows of `source` `[_, width]` that some slots read.
    fn gather(&self, e: usize, source: &[f32], width: usize, spread: usize) -> Vec<f32> {
        let mut rows = Vec::with_capacity(self.slots[e].len() * width);
        for slot in &self.slots[e] {
            rows.extend_from_slice(&source[slot / spread * width..][..width]);
        }
        rows
    }

    /// `[slots, width]` of what `each` makes of every used expert, zeros elsewhere.
    fn scatter(&self, width: usize, each: impl Fn(usize) -> Vec<f32> + Sync) -> FlexTensor {
        let parts: Vec<(usize, Vec<f32>)> = self.used(each);
        let mut out = vec![0f32; self.count * width];
        for (e, part) in parts {
            for (slot, row) in self.slots[e].iter().zip(part.chunks(width)) {
                out[slot * width..][..width].copy_from_slice(row);
            }
        }
        new_f32(out, Shape::new([self.count, width]))
    }

    fn used(&self, each: impl Fn(usize) -> Vec<f32> + Sync) -> Vec<(usize, Vec<f32>)> {
        let used = (0..self.slots.len()).into_par_iter();
        let used = used.filter(|e| !self.slots[*e].is_empty());
        used.map(|e| (e, each(e))).collect()
    }
}

pub(crate) fn forward(x: FlexTensor, ids: FlexTensor, w: FlexTensor, base: usize) -> FlexTensor {
    let w = weight_rows(w);
    let dims = w.shape().dims::<3>();
    product(x, ids, &Weights::new(&w), dims, base)
}

pub(crate) fn forward_codes(
    x: FlexTensor,
    ids: FlexTensor,
    [codes, scales]: [FlexTensor; 2],
    format: Format,
    base: usize,
) -> FlexTensor {
    let (codes, scales) = (codes.to_contiguous(), scales.to_contiguous());
    let [experts, out, _] = codes.shape().dims::<3>();
    let inner = x.shape()[1];
    let w = Weights::codes(words_of(&codes), words_of(&scales), format, inner);
    product(x, ids, &w, [experts, out, inner], base)
}

fn product(
    x: FlexTensor,
    ids: FlexTensor,
    w: &Weights<'_>,
    [experts, out, inner]: [usize; 3],
    base: usize,
) -> FlexTensor {
    let x = f32_rows(x);
    let places = Places::new(&ids, x.shape()[0], experts, base);
    let (values, stack) = (floats(&x), w.matrix([experts * out, inner]));
    places.scatter(out, |e| {
        let rows = places.gather(e, values, inner, places.spread);
        let count = places.slots[e].len();
        let mut y = vec![0f32; count * out];
        let run = stack
            .slice(e * out..(e + 1) * out)
            .and_then(|matrix| glmv_cpu::linear(&rows, count, matrix, None, &mut y));
        if let Err(error) = run {
            panic!("expert products on the CPU: {error}");
        }
        y
    })
}

/// See [`crate::backend_expert::ExpertGrads::expert_linear_grad_input`].
pub(crate) fn grad_input(
    grad: FlexTensor,
    ids: FlexTensor,
    w: FlexTensor,
    base: usize,
) -> FlexTensor {
    let (grad, w) = (f32_rows(grad), weight_rows(w));
    let [experts, out, inner] = w.shape().dims::<3>();
    let places = Places::new(&ids, grad.shape()[0], experts, base);
    let (values, w) = (floats(&grad), Weights::new(&w));
    places.scatter(inner, |e| {
        let rows = places.gather(e, values, out, 1);
        let matrix = w.block(e * out * inner, out * inner);
        let sizes = [places.slots[e].len(), inner, out];
        let mut dx = vec![0f32; sizes[0] * inner];
        let (a, b) = (Mat::rows(&rows, out), Mat::rows(&matrix, inner));
        matmul(&mut dx, a, b, sizes, false, false);
        dx
    })
}

/// See [`crate::backend_expert::ExpertGrads::expert_linear_grad_weight`].
pub(crate) fn grad_weight(
    grad: FlexTensor,
    ids: FlexTensor,
    x: FlexTensor,
    base: usize,
    experts: usize,
) -> FlexTensor {
    let (grad, x) = (f32_rows(grad), f32_rows(x));
    let (out, inner) = (grad.shape()[1], x.shape()[1]);
    let places = Places::new(&ids, x.shape()[0], experts, base);
    let (dy, values) = (floats(&grad), floats(&x));
    let parts = places.used(|e| {
        let rows = places.gather(e, values, inner, places.spread);
        let dy = places.gather(e, dy, out, 1);
        let mut dw = vec![0f32; out * inner];
        let (a, b) = (Mat::rows(&dy, out).t(), Mat::rows(&rows, inner));
        let sizes = [out, inner, places.slots[e].len()];
        matmul(&mut dw, a, b, sizes, false, false);
        dw
    });
    let mut sums = vec![0f32; experts * out * inner];
    for (e, part) in parts {
        sums[e * out * inner..][..part.len()].copy_from_slice(&part);
    }
    new_f32(sums, Shape::new([experts, out, inner]))
}
