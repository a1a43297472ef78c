//! Weights of the row kernels on wgpu: every storage as 16-byte words, and the launches that take
//! them. Called by the `cube` half of the linear, expert and embedding ops.

use crate::launch::{Params, empty, f32_rows, fold, lanes_of_eight, launch, wgsl_int};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use glmv_quant::Format;

/// Weights `[.., rows, inner]` as 16-byte words.
pub(crate) struct Words {
    pub(crate) words: CubeTensor,
    /// The words themselves for float weights, which have none.
    pub(crate) scales: CubeTensor,
    pub(crate) kind: Kind,
    pub(crate) inner: usize,
}

/// What the words hold; the shaders' `KIND`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F16,
    Codes(Format),
}

impl Kind {
    pub(crate) fn param(self) -> (&'static str, String) {
        let value = match self {
            Kind::F32 => 0,
            Kind::F16 => 1,
            Kind::Codes(Format::Q8) => 2,
            Kind::Codes(Format::Q4) => 3,
        };
        ("KIND", format!("{value}u"))
    }
}

impl Words {
    /// Contiguous float weights; `None` where a row is no whole number of words.
    pub(crate) fn floats(w: &CubeTensor) -> Option<Self> {
        let inner = w.shape()[w.shape().num_dims() - 1];
        let (kind, each) = match w.dtype {
            DType::F16 => (Kind::F16, 8),
            _ => (Kind::F32, 4),
        };
        inner.is_multiple_of(each).then(|| Words {
            words: w.clone(),
            scales: w.clone(),
            kind,
            inner,
        })
    }

    /// Codes and scales of rows of `inner` values.
    pub(crate) fn codes(
        codes: CubeTensor,
        scales: CubeTensor,
        format: Format,
        inner: usize,
    ) -> Self {
        Words {
            words: into_contiguous(codes),
            scales: into_contiguous(scales),
            kind: Kind::Codes(format),
            inner,
        }
    }

    /// The value of the shaders' `KIND` or `FORMAT`.
    pub(crate) fn format(&self) -> String {
        self.kind.param().1
    }

    /// 16-byte words and scale words of a row.
    pub(crate) fn per_row(&self) -> [usize; 2] {
        match self.kind {
            Kind::F32 => [self.inner / 4, 0],
            Kind::F16 => [self.inner / 8, 0],
            Kind::Codes(format) => [
                format.code_words(self.inner) / 4,
                format.scale_words(self.inner),
            ],
        }
    }
}

/// Parameters of a row kernel: its name, and `WG` and `LANES` for the adapter.
fn shape(
    sub: &'static str,
    base: &'static str,
    eight: bool,
    wide: bool,
) -> (&'static str, Params, usize) {
    match (eight, wide) {
        (true, false) => (sub, vec![("WG", "8u".to_string())], 8),
        (true, true) => (sub, vec![("WG", "32u".to_string())], 32),
        (false, _) => {
            let lanes = vec![("WG", "64u".to_string()), ("LANES", "32u".to_string())];
            (base, lanes, 2)
        }
    }
}

/// Workgroups above which a launch on a CPU adapter takes larger ones: each costs up to 0.3 us.
const MANY_GROUPS: usize = 1024;

/// `x · wᵀ + bias` by the row kernels, for any number of rows in runs of up to eight.
pub(crate) fn linear(x: &CubeTensor, w: &Words, bias: Option<CubeTensor>) -> CubeTensor {
    let n = w.words.shape()[0];
    let mut dims = x.shape();
    let last = dims.num_dims() - 1;
    dims[last] = n;
    let rows = dims.num_elements() / n;
    let out = empty(x, dims, DType::F32);
    let m = rows.next_power_of_two().min(8);
    let tiles = rows.div_ceil(m);
    let wide = tiles * n.div_ceil(32) > MANY_GROUPS;
    let (name, mut params, owners) =
        shape("linear_rows_sub", "linear_rows", lanes_of_eight(x), wide);
    params.extend([w.kind.param(), ("M", format!("{m}u"))]);
    params.push(("HAS_BIAS", bias.is_some().to_string()));
    // A bias is always bound; without one any buffer serves and is not read.
    let bias = bias.map_or_else(|| x.clone(), f32_rows);
    let [words, scale_words] = w.per_row();
    let info = [rows, n, w.inner / 4, words, scale_words].map(|v| v as u32);
    let grid = fold(tiles * n.div_ceil(4 * owners));
    launch(
        name,
        params,
        grid,
        &[x, &w.words, &w.scales, &bias, &out],
        &info,
    );
    out
}

/// The slots that an expert launch runs over.
pub(crate) struct Slots<'a> {
    /// Tiles of sorted slots, or the router's ids (one slot a tile).
    pub(crate) tiles: &'a CubeTensor,
    /// Sorted slots and the experts' offsets in them, with the tiles' height.
    pub(crate) sorted: Option<(&'a CubeTensor, &'a CubeTensor, usize)>,
    pub(crate) num_tiles: usize,
    pub(crate) slots: usize,
    pub(crate) base: usize,
    pub(crate) experts: usize,
}

/// Each slot's row of `x` (slot / `row_div`) times its expert's matrix; `gated` for gate and up rows
/// with SwiGLU. Rows of experts elsewhere are left unwritten.
pub(crate) fn experts(
    x: &CubeTensor,
    w: &Words,
    slots: &Slots<'_>,
    gated: bool,
    row_div: usize,
) -> CubeTensor {
    let columns = w.words.shape()[1] / if gated { 2 } else { 1 };
    let out = empty(x, [slots.slots, columns], DType::F32);
    experts_into(x, w, slots, gated, row_div, &out);
    out
}

/// [`experts`] into the rows of `out`.
pub(crate) fn experts_into(
    x: &CubeTensor,
    w: &Words,
    slots: &Slots<'_>,
    gated: bool,
    row_div: usize,
    out: &CubeTensor,
) {
    let (columns, per_lane) = (out.shape()[1], if gated { 2 } else { 4 });
    let wide = slots.num_tiles * columns.div_ceil(8 * per_lane) > MANY_GROUPS;
    let (name, mut params, owners) = shape("moe_rows_sub", "moe_rows", lanes_of_eight(x), wide);
    let (sorted, offsets, m) = slots.sorted.unwrap_or((slots.tiles, slots.tiles, 1));
    params.extend([
        w.kind.param(),
        ("M", format!("{m}u")),
        ("GATED", gated.to_string()),
        ("SORTED", slots.sorted.is_some().to_string()),
        ("Int", wgsl_int(slots.tiles)),
    ]);
    let [words, scale_words] = w.per_row();
    let info = [
        slots.num_tiles,
        columns,
        w.inner / 4,
        words,
        scale_words,
        row_div,
        slots.base,
        slots.experts,
    ];
    let grid = fold(slots.num_tiles * columns.div_ceil(per_lane * owners));
    let buffers = [x, &w.words, &w.scales, sorted, offsets, slots.tiles, out];
    launch(name, params, grid, &buffers, &info.map(|v| v as u32));
}

/// Rows of a table by id, less `base`; zeros for ids outside it.
pub(crate) fn embed(table: &Words, ids: CubeTensor, base: usize) -> CubeTensor {
    let ids = into_contiguous(ids);
    let count = ids.shape().num_elements();
    let out = empty(&ids, [count, table.inner], DType::F32);
    let vecs = table.inner / 4;
    let params = vec![table.kind.param(), ("Int", wgsl_int(&ids))];
    let [words, scale_words] = table.per_row();
    let rows = table.words.shape()[0];
    let info = [count, vecs, words, scale_words, base, rows].map(|v| v as u32);
    let grid = fold((count * vecs).div_ceil(64));
    launch(
        "embed_rows",
        params,
        grid,
        &[&table.words, &table.scales, &ids, &out],
        &info,
    );
    out
}
