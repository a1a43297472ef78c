//! Token embeddings: rows of a table, in f32, by id.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use crate::weight::Weight;
use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

/// Row `ids[i] - base` of the table for every i, zeros where that is no row of it: the shards of a
/// table add up.
///
/// # Shapes
/// `table` `[rows, width]` f32, f16 or codes, `ids` `[n]` → `[n, width]` f32.
///
/// Source: torch `nn.Embedding`.
pub fn embed(table: impl Into<Weight<2>>, ids: Tensor<1, Int>, base: usize) -> Tensor<2> {
    let table = table.into();
    let [_, width] = table.dims();
    let routed = route(Op::Embed, &ids.device());
    // The kernel reads 16-byte words; native code has no such limit.
    let whole = match &table {
        Weight::Float(t) => width.is_multiple_of(16 / t.dtype().size()),
        Weight::Quantised(_) => width.is_multiple_of(4),
    };
    if routed == Route::Twin || (routed == Route::Wgsl && !whole) {
        return embed_reference(table, ids, base);
    }
    let ids = ids.into_dispatch();
    Tensor::from_dispatch(match table {
        Weight::Float(t) => Dispatch::embed(t.into_dispatch(), ids, base),
        Weight::Quantised(q) => {
            let (codes, scales, format) = q.into_parts();
            let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
            Dispatch::embed_codes(codes, scales, ids, (format, width), base)
        }
    })
}

/// Definition of [`embed`] in tensor operations.
pub fn embed_reference(table: impl Into<Weight<2>>, ids: Tensor<1, Int>, base: usize) -> Tensor<2> {
    let table = table.into();
    let [rows, width] = table.dims();
    let [n] = ids.dims();
    let local = ids - base as i64;
    let outside = local
        .clone()
        .lower_elem(0)
        .bool_or(local.clone().greater_equal_elem(rows as i64));
    let local = local.clamp(0, rows as i64 - 1);
    let found = match table {
        // Only the rows asked for are widened.
        Weight::Float(t) => Weight::Float(t.select(0, local)),
        Weight::Quantised(q) => Weight::Quantised(q.select(local)),
    };
    let outside = outside.reshape([n, 1]).expand([n, width]);
    found.dequantise().mask_fill(outside, 0.0)
}

pub(crate) mod cube {
    //! WGSL launches.
    use crate::launch::weight_rows;
    use crate::words::{self, Words};
    use burn_cubecl::tensor::CubeTensor;
    use glmv_quant::Format;

    pub(crate) fn embed(table: CubeTensor, ids: CubeTensor, base: usize) -> CubeTensor {
        let table = weight_rows(table);
        match Words::floats(&table) {
            Some(table) => words::embed(&table, ids, base),
            None => unreachable!("embed() sends such widths to the twin"),
        }
    }

    pub(crate) fn embed_codes(
        codes: CubeTensor,
        scales: CubeTensor,
        ids: CubeTensor,
        (format, width): (Format, usize),
        base: usize,
    ) -> CubeTensor {
        words::embed(&Words::codes(codes, scales, format, width), ids, base)
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device.
    use crate::flex::{Weights, ints, new_f32, weight_rows, word_rows, words_of};
    use burn::backend::TensorMetadata;
    use burn::tensor::Shape;
    use burn_flex::FlexTensor;
    use glmv_quant::Format;

    pub(crate) fn embed(table: FlexTensor, ids: FlexTensor, base: usize) -> FlexTensor {
        let table = weight_rows(table);
        let [rows, width] = table.shape().dims::<2>();
        look_up(&Weights::new(&table), &ints(&ids), [rows, width], base)
    }

    pub(crate) fn embed_codes(
        codes: FlexTensor,
        scales: FlexTensor,
        ids: FlexTensor,
        (format, width): (Format, usize),
        base: usize,
    ) -> FlexTensor {
        let (codes, scales) = (word_rows(codes), word_rows(scales));
        let rows = codes.shape()[0];
        let table = Weights::codes(words_of(&codes), words_of(&scales), format, width);
        look_up(&table, &ints(&ids), [rows, width], base)
    }

    fn look_up(
        table: &Weights<'_>,
        ids: &[i64],
        [rows, width]: [usize; 2],
        base: usize,
    ) -> FlexTensor {
        let mut out = vec![0f32; ids.len() * width];
        for (out, id) in out.chunks_mut(width).zip(ids) {
            let local = usize::try_from(*id)
                .ok()
                .and_then(|id| id.checked_sub(base));
            if let Some(row) = local.filter(|row| *row < rows) {
                out.copy_from_slice(&table.block(row * width, width));
            }
        }
        new_f32(out, Shape::new([ids.len(), width]))
    }
}
