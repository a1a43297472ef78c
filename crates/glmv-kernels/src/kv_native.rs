//! Native cache writes for the CPU device; a store without another handle is written in place.

use crate::flex::{f32_rows, floats, ints, writable};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_flex::FlexTensor;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// For every token inside of the store: its first element there, and its values.
fn placed<'a>(
    x: &'a [f32],
    slots: &'a [i64],
    [rows, width]: [usize; 2],
) -> impl Iterator<Item = (usize, &'a [f32])> {
    let inside = move |slot: &i64| usize::try_from(*slot).ok().filter(|s| *s < rows);
    slots
        .iter()
        .zip(x.chunks(width.max(1)))
        .filter_map(move |(slot, x)| inside(slot).map(|s| (s * width, x)))
}

pub(crate) fn kv_write(
    keys: FlexTensor,
    values: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    slots: FlexTensor,
) -> (FlexTensor, FlexTensor) {
    let slots = ints(&slots);
    let write = |cache: FlexTensor, x: FlexTensor| {
        let x = f32_rows(x);
        let mut cache = writable(cache);
        let [rows, heads, head_dim] = cache.shape().dims::<3>();
        let (width, x) = (heads * head_dim, floats(&x));
        if cache.dtype() == DType::F16 {
            let data = cache.storage_mut::<f16>();
            for (at, x) in placed(x, &slots, [rows, width]) {
                data[at..at + width].convert_from_f32_slice(x);
            }
        } else {
            let data = cache.storage_mut::<f32>();
            for (at, x) in placed(x, &slots, [rows, width]) {
                data[at..at + width].copy_from_slice(x);
            }
        }
        cache
    };
    (write(keys, k), write(values, v))
}

/// The scale of a head and its codes, four to a word.
fn encode(x: &[f32], words: &mut [u32]) -> f32 {
    let absmax = x.iter().fold(0f32, |m, v| m.max(v.abs()));
    let inverse = if absmax > 1e-30 { 127.0 / absmax } else { 0.0 };
    for (word, x) in words.iter_mut().zip(x.chunks(4)) {
        *word = 0;
        for (i, x) in x.iter().enumerate() {
            let code = (x * inverse + 0.5).floor().clamp(-127.0, 127.0) + 128.0;
            *word |= (code as u32) << (8 * i);
        }
    }
    absmax / 127.0
}

pub(crate) fn kv_write_q8(
    keys: FlexTensor,
    values: FlexTensor,
    scales: FlexTensor,
    k: FlexTensor,
    v: FlexTensor,
    slots: FlexTensor,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let slots = ints(&slots);
    let mut scales = writable(scales);
    let mut write = |cache: FlexTensor, x: FlexTensor, part: usize| {
        let x = f32_rows(x);
        let mut cache = writable(cache);
        let [rows, heads, words] = cache.shape().dims::<3>();
        let (data, scales) = (cache.storage_mut::<u32>(), scales.storage_mut::<f32>());
        let head_dim = words * 4;
        for (at, x) in placed(floats(&x), &slots, [rows, heads * head_dim]) {
            for (h, x) in x.chunks(head_dim).enumerate() {
                let head = at / head_dim + h;
                scales[head * 2 + part] = encode(x, &mut data[head * words..][..words]);
            }
        }
        cache
    };
    let (keys, values) = (write(keys, k, 0), write(values, v, 1));
    (keys, values, scales)
}

pub(crate) fn kv_copy(data: FlexTensor, from: FlexTensor, to: FlexTensor) -> FlexTensor {
    let (from, to) = (ints(&from), ints(&to));
    let mut data = writable(data);
    let [rows, a, b] = data.shape().dims::<3>();
    let pairs = from.iter().zip(&to).filter_map(|(from, to)| {
        let row = |r: &i64| usize::try_from(*r).ok().filter(|r| *r < rows);
        Some((row(from)? * a * b, row(to)? * a * b))
    });
    match data.dtype() {
        DType::F16 => copy(data.storage_mut::<f16>(), pairs, a * b),
        DType::U32 => copy(data.storage_mut::<u32>(), pairs, a * b),
        _ => copy(data.storage_mut::<f32>(), pairs, a * b),
    }
    data
}

fn copy<T: Copy>(data: &mut [T], pairs: impl Iterator<Item = (usize, usize)>, width: usize) {
    for (from, to) in pairs {
        data.copy_within(from..from + width, to);
    }
}
