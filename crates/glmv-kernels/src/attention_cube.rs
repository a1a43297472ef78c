//! WGSL launches of one flash-attention kernel whose tile follows the number of rows; the keys of
//! few rows are split over workgroups on a GPU and merged.

use crate::launch::{
    Params, bits, empty, f32_rows, fold, lanes_of_eight, launch, on_cpu_adapter, weight_rows,
    wgsl_int, wgsl_type,
};
use crate::tile::RowTile;
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

/// Keys one workgroup walks at least before splitting more is worth a merge; `attention.wgsl`
/// cuts by the same two numbers.
const KEYS_PER_SPLIT: usize = 128;
const MAX_SPLITS: usize = 16;

/// Lanes over rows: 8 for many rows, else the fewest that cover them (4 rows per lane).
fn row_lanes(rows: usize) -> usize {
    [1, 2, 4]
        .into_iter()
        .find(|lanes| 4 * lanes >= rows)
        .unwrap_or(8)
}

/// Where keys and values lie.
struct Keys {
    k: CubeTensor,
    v: CubeTensor,
    /// Of codes.
    scales: Option<CubeTensor>,
    /// Block tables and the block size.
    table: Option<(CubeTensor, usize)>,
    kv_heads: usize,
    /// Keys that a range may reach.
    capacity: usize,
    /// Rows of k and v.
    rows: usize,
}

impl Keys {
    fn params(&self, fours: bool) -> Params {
        let mut params = match self.scales {
            None => vec![("KvElem", wgsl_type(self.k.dtype, fours))],
            Some(_) => vec![
                ("Q8", "true".to_string()),
                ("KvElem", "u32".to_string()),
                ("Wide", "vec4<u32>".to_string()),
                (
                    "SPREAD",
                    "vec4<u32>(0x1000000u, 0x10000u, 0x100u, 1u)".to_string(),
                ),
                ("TOP", "vec4<u32>(0x1000000u)".to_string()),
            ],
        };
        if let Some((_, block)) = self.table {
            params.push(("PAGED", "true".to_string()));
            params.push(("BLOCK", format!("{block}u")));
        }
        params
    }
}

pub(crate) fn attention(
    q: CubeTensor,
    k: CubeTensor,
    v: CubeTensor,
    range: CubeTensor,
    scale: f32,
) -> CubeTensor {
    let (k, v) = (weight_rows(k), weight_rows(v));
    let [batch, capacity, kv_heads, _] = k.shape().dims::<4>();
    let keys = Keys {
        k,
        v,
        scales: None,
        table: None,
        kv_heads,
        capacity,
        rows: batch * capacity,
    };
    run(q, &keys, range, scale)
}

/// [`attention`] through block tables; with `scales` the keys and values are codes.
pub(crate) fn paged(
    q: CubeTensor,
    (k, v, scales): (CubeTensor, CubeTensor, Option<CubeTensor>),
    table: CubeTensor,
    range: CubeTensor,
    scale: f32,
    block: usize,
) -> CubeTensor {
    let [rows, kv_heads, _] = k.shape().dims::<3>();
    let table = into_contiguous(table);
    let capacity = table.shape()[1] * block;
    let (k, v) = match scales {
        None => (weight_rows(k), weight_rows(v)),
        Some(_) => (into_contiguous(k), into_contiguous(v)),
    };
    let keys = Keys {
        k,
        v,
        scales: scales.map(into_contiguous),
        table: Some((table, block)),
        kv_heads,
        capacity,
        rows,
    };
    run(q, &keys, range, scale)
}

fn run(q: CubeTensor, keys: &Keys, range: CubeTensor, scale: f32) -> CubeTensor {
    let (q, range) = (f32_rows(q), into_contiguous(range));
    let [batch, queries, heads, head_dim] = q.shape().dims::<4>();
    let fours = head_dim.is_multiple_of(4);
    let dh = if fours { head_dim / 4 } else { head_dim };
    if lanes_of_eight(&q) && fours {
        return by_subgroups(&q, keys, &range, scale);
    }
    let rows = queries * (heads / keys.kv_heads);
    let lanes = row_lanes(rows);
    let splits = match on_cpu_adapter(&q) || rows > 32 {
        true => 1,
        false => keys.capacity.div_ceil(KEYS_PER_SPLIT).clamp(1, MAX_SPLITS),
    };
    let mut params = keys.params(fours);
    params.extend([
        ("Int", wgsl_int(&range)),
        ("DH", format!("{dh}u")),
        ("ROW_LANES", format!("{lanes}u")),
    ]);
    let scalar = ("Vec", "f32".to_string());
    if !fours {
        params.push(scalar.clone());
        params.push(("ONES", "vec4<f32>(1.0, 0.0, 0.0, 0.0)".to_string()));
    }
    let sizes = [batch, queries, heads, keys.kv_heads, dh, keys.capacity];
    let info = [
        &sizes.map(|v| v as u32)[..],
        &[bits(scale), splits as u32, keys.rows as u32],
    ]
    .concat();
    let grid = fold(batch * keys.kv_heads * rows.div_ceil(4 * lanes) * splits);
    let total = batch * queries * heads;
    let out = empty(&q, q.shape(), DType::F32);
    let target = match splits {
        1 => out.clone(),
        _ => {
            let width = if fours { 4 } else { 1 };
            empty(&q, [splits, total, (dh + 1) * width], DType::F32)
        }
    };
    // Both are bound always; without a table or scales any buffer serves and is not read.
    let table = keys.table.as_ref().map_or(&range, |(table, _)| table);
    debug_assert_eq!(table.dtype, range.dtype, "tables and ranges of one type");
    let scales = keys.scales.as_ref().unwrap_or(&q);
    let buffers = [&q, &keys.k, &keys.v, &range, table, scales, &target];
    launch("attention", params, grid, &buffers, &info);
    if splits > 1 {
        let params = if fours { vec![] } else { vec![scalar] };
        let info = [total, dh, splits].map(|v| v as u32);
        let grid = fold((total * dh).div_ceil(64));
        launch("attention_merge", params, grid, &[&target, &out], &info);
    }
    out
}

/// `attention_sub.wgsl`, for heads of whole vectors.
fn by_subgroups(q: &CubeTensor, keys: &Keys, range: &CubeTensor, scale: f32) -> CubeTensor {
    let [batch, queries, heads, head_dim] = q.shape().dims::<4>();
    let (dh, width) = (head_dim / 4, head_dim.div_ceil(32));
    let rows = queries * (heads / keys.kv_heads);
    // A row's sums take `width` vectors of registers: wider heads leave room for fewer rows.
    let most = match width {
        0..=3 => 32,
        4 => 16,
        _ => 8,
    };
    let tile = RowTile::of(rows, most);
    let mut params = keys.params(true);
    params.extend([
        ("Int", wgsl_int(range)),
        ("DH", format!("{dh}u")),
        ("WIDTH", format!("{width}u")),
    ]);
    params.extend(tile.params());
    let sizes = [batch, queries, heads, keys.kv_heads, dh, keys.capacity];
    let info = [
        &sizes.map(|v| v as u32)[..],
        &[bits(scale), keys.rows as u32],
    ]
    .concat();
    let out = empty(q, q.shape(), DType::F32);
    let grid = fold(batch * keys.kv_heads * rows.div_ceil(tile.rows()));
    // Both are bound always; without a table or scales any buffer serves and is not read.
    let table = keys.table.as_ref().map_or(range, |(table, _)| table);
    let scales = keys.scales.as_ref().unwrap_or(q);
    let buffers = [q, &keys.k, &keys.v, range, table, scales, &out];
    launch("attention_sub", params, grid, &buffers, &info);
    out
}
