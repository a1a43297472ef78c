//! WGSL launches of the cache writes.

use crate::launch::{f32_rows, fold, launch, wgsl_int, wgsl_type};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

/// A tensor that may be written in place: itself without another handle, else a copy.
pub(crate) fn writable(t: CubeTensor) -> CubeTensor {
    let t = into_contiguous(t);
    if t.can_mut() { t } else { t.copy() }
}

pub(crate) fn kv_write(
    keys: CubeTensor,
    values: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    slots: CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let (keys, values) = (writable(keys), writable(values));
    let (k, v, slots) = (f32_rows(k), f32_rows(v), into_contiguous(slots));
    let [rows, heads, head_dim] = keys.shape().dims::<3>();
    let (tokens, width) = (k.shape()[0], heads * head_dim);
    let fours = width.is_multiple_of(4);
    let width = if fours { width / 4 } else { width };
    let mut params = vec![
        ("KvElem", wgsl_type(keys.dtype, fours)),
        ("Int", wgsl_int(&slots)),
    ];
    if !fours {
        params.push(("Vec", "f32".to_string()));
    }
    let info = [tokens, width, rows].map(|v| v as u32);
    let buffers = [&k, &v, &slots, &keys, &values];
    let grid = fold((tokens * width).div_ceil(64));
    launch("kv_write", params, grid, &buffers, &info);
    (keys, values)
}

pub(crate) fn kv_write_q8(
    keys: CubeTensor,
    values: CubeTensor,
    scales: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    slots: CubeTensor,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let (keys, values, scales) = (writable(keys), writable(values), writable(scales));
    let (k, v, slots) = (f32_rows(k), f32_rows(v), into_contiguous(slots));
    let [rows, heads, words] = keys.shape().dims::<3>();
    let tokens = k.shape()[0];
    let params = vec![("Int", wgsl_int(&slots))];
    let info = [tokens, heads, words, rows].map(|v| v as u32);
    let buffers = [&k, &v, &slots, &keys, &values, &scales];
    // Eight lanes for each head of a key or of a value.
    let grid = fold((tokens * heads * 2).div_ceil(8));
    launch("kv_write_q8", params, grid, &buffers, &info);
    (keys, values, scales)
}

pub(crate) fn kv_copy(data: CubeTensor, from: CubeTensor, to: CubeTensor) -> CubeTensor {
    let (data, from, to) = (writable(data), into_contiguous(from), into_contiguous(to));
    let [rows, a, b] = data.shape().dims::<3>();
    let fours = (a * b).is_multiple_of(4);
    let width = if fours { a * b / 4 } else { a * b };
    let element = match (data.dtype, fours) {
        (DType::U32, true) => "vec4<u32>".to_string(),
        (DType::U32, false) => "u32".to_string(),
        (dtype, fours) => wgsl_type(dtype, fours),
    };
    let n = from.shape()[0];
    let params = vec![("Elem", element), ("Int", wgsl_int(&from))];
    let info = [n, width, rows].map(|v| v as u32);
    let grid = fold((n * width).div_ceil(64));
    launch("kv_copy", params, grid, &[&data, &from, &to], &info);
    data
}
