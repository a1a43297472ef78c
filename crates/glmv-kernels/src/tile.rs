//! Products of many rows in tiles, dense and per expert, with weights in f32, f16 or codes: the
//! launches of `linear_tile*.wgsl` and `moe_product*.wgsl`. Called by the WGSL halves of `linear` and
//! `moe_experts`; which adapter gets which form is decided here.

use crate::launch::{
    Params, cooperative_lanes, empty, f32_rows, fold, lanes_of_eight, launch, on_cpu_adapter,
    wgsl_int,
};
use crate::words::{Kind, Words};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use glmv_quant::Format;

/// Up to this many rows the row kernels are faster (CPU adapters), and hold a decoding batch whose
/// sums must not depend on its size (GPUs; on CPU adapters both kernels sum in the same order).
const FEW_ROWS: usize = 8;
const FEW_ROWS_GPU: usize = 64;
/// Rows of a weight matrix that one workgroup takes.
const COLUMNS: usize = 64;
/// Rows per expert from which tiles pay.
const LEAST_SHARE: usize = 8;

/// Rows of x that one subgroup of a `*_sub` product takes: `GROUPS` times `HELD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowTile {
    groups: usize,
    held: usize,
}

impl RowTile {
    /// The tile with the least work for `rows` rows, repeated rows included; at most `most` rows.
    pub(crate) fn of(rows: usize, most: usize) -> Self {
        if rows <= 8 {
            let held = rows.max(1).next_power_of_two();
            return RowTile { groups: 1, held };
        }
        // Relative speed per row of each height, measured on lavapipe (GFLOP/s of linear_sub).
        let cost =
            |groups: usize, speed: usize| rows.div_ceil(8 * groups) * 8 * groups * 1000 / speed;
        let tiles = [(4, 46), (2, 39), (1, 30)];
        let fitting = tiles.into_iter().filter(|(groups, _)| 8 * groups <= most);
        let best = fitting.min_by_key(|(groups, speed)| cost(*groups, *speed));
        let groups = best.map_or(1, |(groups, _)| groups);
        RowTile { groups, held: 8 }
    }

    pub(crate) fn rows(self) -> usize {
        self.groups * self.held
    }

    pub(crate) fn params(self) -> [(&'static str, String); 3] {
        [
            ("GROUPS", format!("{}u", self.groups)),
            ("HELD", format!("{}u", self.held)),
            ("WG", "8u".to_string()),
        ]
    }
}

/// How the tiled kernels read the weights.
struct Reading {
    params: Params,
    /// Groups of four, words and words of scales of a row.
    sizes: [usize; 3],
}

impl Reading {
    fn of(w: &Words) -> Self {
        let groups = w.inner / 4;
        let [words, scale_words] = w.per_row();
        let (word, four, parts, words) = match w.kind {
            Kind::F32 => ("vec4<f32>", "vec4<f32>", 1, groups),
            Kind::F16 => ("vec4<f16>", "vec4<f16>", 1, groups),
            Kind::Codes(Format::Q8) => ("u32", "vec4<u32>", 1, 4 * words),
            Kind::Codes(Format::Q4) => ("u32", "vec4<u32>", 2, 4 * words),
        };
        Reading {
            params: vec![
                w.kind.param(),
                ("Word", word.to_string()),
                ("Four", four.to_string()),
                ("PARTS", format!("{parts}u")),
            ],
            sizes: [groups, words, scale_words],
        }
    }
}

/// Rows of the subgroup form from which on it only gets slower: 4-bit codes unroll twice as far.
fn most_rows(w: &Words) -> usize {
    match w.kind {
        Kind::Codes(Format::Q4) => 16,
        Kind::F32 | Kind::F16 | Kind::Codes(Format::Q8) => 32,
    }
}

/// Shape of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One subgroup of eight lanes, all in registers.
    Sub(RowTile),
    /// A workgroup of 8 x 8 lanes with so many rows each, through shared memory.
    Shared(usize),
    /// Four subgroups of so many lanes each, on cooperative matrices; linear layers only.
    Cooperative(u32),
}

impl Form {
    /// For `x · wᵀ` with `rows` rows; `None` where the row kernels serve better or there is no tiled
    /// form: the adapter's, or for the number of columns.
    pub(crate) fn dense(x: &CubeTensor, w: &Words, rows: usize) -> Option<Self> {
        if lanes_of_eight(x) {
            let fits = rows > FEW_ROWS && w.words.shape()[0].is_multiple_of(4);
            return fits.then(|| Form::Sub(RowTile::of(rows, most_rows(w))));
        }
        if on_cpu_adapter(x) || rows <= FEW_ROWS_GPU {
            return None;
        }
        Some(match cooperative_lanes(x) {
            Some(lanes) => Form::Cooperative(lanes),
            None => Form::Shared(8),
        })
    }

    /// For the products of `slots` slots of the tokens `x` with `experts` experts like `w`; `None` as
    /// for [`Form::dense`].
    pub(crate) fn experts(x: &CubeTensor, w: &Words, slots: usize, experts: usize) -> Option<Self> {
        // Half a tile is idle at the end of an expert's rows, on the average.
        let rows = match slots / experts.max(1) {
            0..LEAST_SHARE => return None,
            LEAST_SHARE..12 => 8,
            12..40 => 16,
            _ => 32,
        };
        if lanes_of_eight(x) {
            return Some(Form::Sub(RowTile::of(rows, most_rows(w))));
        }
        let decoding = x.shape()[0] <= FEW_ROWS_GPU;
        (!on_cpu_adapter(x) && !decoding).then_some(Form::Shared(rows / 8))
    }

    /// Rows of a tile.
    pub(crate) fn rows(self) -> usize {
        match self {
            Form::Sub(tile) => tile.rows(),
            Form::Shared(lane_rows) => 8 * lane_rows,
            Form::Cooperative(_) => 64,
        }
    }
}

/// `x · wᵀ + bias` for x `[.., inner]` f32 and w `[n, inner]`.
pub(crate) fn linear(
    x: &CubeTensor,
    w: &Words,
    bias: Option<CubeTensor>,
    form: Form,
) -> CubeTensor {
    let reading = Reading::of(w);
    let n = w.words.shape()[0];
    let mut shape = x.shape();
    let last = shape.num_dims() - 1;
    shape[last] = n;
    let rows = shape.num_elements() / n;
    let out = empty(x, shape, DType::F32);
    let mut params = reading.params;
    params.push(("HAS_BIAS", bias.is_some().to_string()));
    // The kernels bind a bias always; without one any buffer serves and is not read.
    let bias = bias.map_or_else(|| x.clone(), f32_rows);
    let [groups, words, scale_words] = reading.sizes;
    let info = [rows, n, groups, words, scale_words].map(|v| v as u32);
    let buffers = [x, &w.words, &w.scales, &bias, &out];
    let grid = fold(rows.div_ceil(form.rows()) * n.div_ceil(COLUMNS));
    match form {
        Form::Sub(tile) => {
            params.extend(tile.params());
            launch("linear_tile_sub", params, grid, &buffers, &info);
        }
        Form::Shared(lane_rows) => {
            params.push(("ROWS_PER_LANE", format!("{lane_rows}u")));
            launch("linear_tile", params, grid, &buffers, &info);
        }
        Form::Cooperative(lanes) => {
            params.push(("WG", format!("{}u", 4 * lanes)));
            launch("linear_coop", params, grid, &buffers, &info);
        }
    }
    out
}

/// Slots sorted by expert and cut into tiles of a [`Form`].
pub(crate) struct Tiles<'a> {
    pub(crate) form: Form,
    pub(crate) sorted: &'a CubeTensor,
    pub(crate) offsets: &'a CubeTensor,
    pub(crate) tiles: &'a CubeTensor,
    pub(crate) max_tiles: usize,
}

/// `y[s] = w[e(s)] · x[s / row_div]` for every sorted slot, y `[slots, columns]`; `paired`:
/// silu of the first `columns` rows of w times the other `columns`.
pub(crate) fn experts(
    x: &CubeTensor,
    w: &Words,
    at: &Tiles<'_>,
    y: &CubeTensor,
    row_div: usize,
    paired: bool,
) {
    let reading = Reading::of(w);
    let columns = y.shape()[1];
    let [groups, words, scale_words] = reading.sizes;
    let info = [at.max_tiles, columns, groups, words, scale_words, row_div].map(|v| v as u32);
    let buffers = [x, &w.words, &w.scales, at.sorted, at.offsets, at.tiles, y];
    let mut params = reading.params;
    params.extend([("Int", wgsl_int(at.sorted)), ("PAIRED", paired.to_string())]);
    let width = if paired { COLUMNS / 2 } else { COLUMNS };
    let grid = fold(at.max_tiles * columns.div_ceil(width));
    match at.form {
        Form::Sub(tile) => {
            params.extend(tile.params());
            launch("moe_product_sub", params, grid, &buffers, &info);
        }
        Form::Shared(lane_rows) => {
            params.push(("ROWS_PER_LANE", format!("{lane_rows}u")));
            launch("moe_product", params, grid, &buffers, &info);
        }
        Form::Cooperative(_) => unreachable!("Form::experts() never gives it"),
    }
}
