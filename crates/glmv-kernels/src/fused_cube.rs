//! WGSL launches of the few_* kernels, whose rows do not depend on how many there are.

use super::{Form, LinearForm, QkvForm};
use crate::invariance::active;
use crate::launch::{
    Params, bits, empty, f32_rows, fold, lanes_of_eight, launch, on_cpu_adapter, vec_params,
    weight_rows, wgsl_int,
};
use crate::words::Words;
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use glmv_quant::Format;

/// Kernel for any adapter, and for one whose subgroups are eight lanes.
const LINEAR: [&str; 2] = ["few_linear", "few_linear_sub"];
const QKV: [&str; 2] = ["few_qkv", "few_qkv_sub"];
const EXPERTS: [&str; 2] = ["few_experts", "few_experts_sub"];
const DOWN: [&str; 2] = ["few_down", "few_down_sub"];

/// Contiguous float weights as words.
///
/// # Panics
/// If a row is no whole number of words, which `is_fused` rules out.
pub(crate) fn floats(w: CubeTensor) -> Words {
    let w = weight_rows(w);
    match Words::floats(&w) {
        Some(words) => words,
        None => unreachable!("is_fused() refuses rows of {:?}", w.shape()),
    }
}

/// The codes of a matrix that is applied to the rows of `x`.
pub(crate) fn codes_for(
    x: &CubeTensor,
    codes: CubeTensor,
    scales: CubeTensor,
    format: Format,
) -> Words {
    let inner = x.shape()[x.shape().num_dims() - 1];
    Words::codes(codes, scales, format, inner)
}

/// Lanes and workgroup of the few_* kernels on the adapter of `x`, rows per tile, the norm.
struct Tile {
    name: &'static str,
    rows: usize,
    groups: usize,
    params: Params,
}

impl Tile {
    fn new(
        name: [&'static str; 2],
        x: &CubeTensor,
        rows: usize,
        weight: &Words,
        norm: bool,
    ) -> Self {
        // A GPU coalesces the loads of neighbouring lanes; on a CPU adapter a lane owns its rows.
        let (name, wg, lanes) = if lanes_of_eight(x) {
            (name[1], 8, 1)
        } else if on_cpu_adapter(x) {
            (name[0], 64, 8)
        } else {
            (name[0], 64, 32)
        };
        // One pipeline for every number of rows where they must not matter; on a CPU adapter all have
        // the same bits.
        let rows = match rows {
            _ if active() && !on_cpu_adapter(x) => 4,
            0..=2 => rows.max(1),
            3..=4 => 4,
            _ => 8,
        };
        let params = vec![
            ("FORMAT", weight.format()),
            ("M", format!("{rows}u")),
            ("NORM", norm.to_string()),
            ("WG", format!("{wg}u")),
            ("LANES", format!("{lanes}u")),
        ];
        Tile {
            name,
            rows,
            groups: wg / lanes,
            params,
        }
    }
}

pub(crate) fn linear(
    x: CubeTensor,
    gamma: CubeTensor,
    weight: Words,
    extra: CubeTensor,
    form: LinearForm,
) -> CubeTensor {
    let (x, gamma, extra) = (f32_rows(x), f32_rows(gamma), f32_rows(extra));
    let [rows, k] = x.shape().dims::<2>();
    let swiglu = form.after == Form::SwiGlu;
    let n = weight.words.shape()[0] / if swiglu { 2 } else { 1 };
    let out = empty(&x, [rows, n], DType::F32);
    let mut tile = Tile::new(LINEAR, &x, rows, &weight, form.norm.is_some());
    let extra_kind = match form.after {
        Form::Nothing | Form::SwiGlu => 0,
        Form::Bias => 1,
        Form::Residual => 2,
    };
    tile.params.push(("EXTRA", format!("{extra_kind}u")));
    tile.params.push(("SWIGLU", swiglu.to_string()));
    let columns = tile.groups * if swiglu { 2 } else { 4 };
    let grid = fold(rows.div_ceil(tile.rows) * n.div_ceil(columns));
    let info = [rows, n, k / 4, weight.per_row()[0]].map(|v| v as u32);
    let info = [&info[..], &[bits(form.norm.unwrap_or(0.0))]].concat();
    let buffers = [&x, &gamma, &weight.words, &weight.scales, &extra, &out];
    launch(tile.name, tile.params, grid, &buffers, &info);
    out
}

pub(crate) fn qkv(
    x: CubeTensor,
    gamma: CubeTensor,
    weight: Words,
    bias: CubeTensor,
    angles: CubeTensor,
    (keys, values, slots): (CubeTensor, CubeTensor, CubeTensor),
    form: QkvForm,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let (x, gamma, bias) = (f32_rows(x), f32_rows(gamma), f32_rows(bias));
    let (angles, slots) = (f32_rows(angles), into_contiguous(slots));
    let ([tokens, k], heads) = (x.shape().dims::<2>(), form.heads);
    let q = empty(&x, [tokens, heads.queries, heads.dim], DType::F32);
    let mut tile = Tile::new(QKV, &x, tokens, &weight, true);
    let element = if keys.dtype == DType::F16 {
        "f16"
    } else {
        "f32"
    };
    tile.params.extend([
        ("Int", wgsl_int(&slots)),
        ("KvElem", element.to_string()),
        ("HAS_BIAS", form.bias.to_string()),
        ("INTERLEAVED", form.interleaved.to_string()),
    ]);
    let grid = fold(tokens.div_ceil(tile.rows) * heads.rows().div_ceil(4 * tile.groups));
    let half = angles.shape()[1] / 2;
    let rows = keys.shape()[0];
    let info = [
        tokens,
        heads.queries,
        heads.keys,
        heads.dim,
        half,
        rows,
        k / 4,
        weight.per_row()[0],
    ];
    let info = [&info.map(|v| v as u32)[..], &[bits(form.eps)]].concat();
    let buffers = [
        &x,
        &gamma,
        &weight.words,
        &weight.scales,
        &bias,
        &angles,
        &slots,
        &q,
        &keys,
        &values,
    ];
    launch(tile.name, tile.params, grid, &buffers, &info);
    (q, keys, values)
}

/// One shard of a layer's experts.
struct Experts {
    ids: CubeTensor,
    weights: CubeTensor,
    tokens: usize,
    slots: usize,
    base: usize,
    experts: usize,
}

/// Slots sorted by expert and cut into tiles.
struct Plan {
    order: CubeTensor,
    tiles: CubeTensor,
    max_tiles: usize,
    rows: usize,
}

impl Experts {
    /// Slots of a tile: about as many as an expert has, so that few places stay empty.
    fn plan(&self) -> Plan {
        let all = self.tokens * self.slots;
        let rows = match self.tokens {
            _ if active() && !on_cpu_adapter(&self.ids) => 4,
            0..=2 => 2,
            3..=16 => 4,
            _ => 8,
        };
        let max_tiles = all.min(all.div_ceil(rows) + self.experts.min(all));
        let order = empty(&self.ids, [all], self.ids.dtype);
        let tiles = empty(&self.ids, [max_tiles, 3], self.ids.dtype);
        let params = vec![("Int", wgsl_int(&self.ids)), ("TM", format!("{rows}u"))];
        let info = [all, self.base, self.experts, max_tiles].map(|v| v as u32);
        launch(
            "moe_plan_few",
            params,
            fold(1),
            &[&self.ids, &order, &tiles],
            &info,
        );
        Plan {
            order,
            tiles,
            max_tiles,
            rows,
        }
    }

    /// Gate and up (with the norm) or down of every slot.
    fn product(
        &self,
        x: &CubeTensor,
        norm: Option<(&CubeTensor, f32)>,
        weight: &Words,
        plan: Option<&Plan>,
    ) -> CubeTensor {
        let all = self.tokens * self.slots;
        let swiglu = norm.is_some();
        let n = weight.words.shape()[1] / if swiglu { 2 } else { 1 };
        let row_div = all / x.shape()[0];
        let mut tile = Tile::new(EXPERTS, x, plan.map_or(1, |p| p.rows), weight, swiglu);
        tile.params.extend([
            ("Int", wgsl_int(&self.ids)),
            ("SWIGLU", swiglu.to_string()),
            ("PLANNED", plan.is_some().to_string()),
        ]);
        let (order, tiles, count) = match plan {
            Some(plan) => (&plan.order, &plan.tiles, plan.max_tiles),
            None => (&self.ids, &self.ids, all),
        };
        let out = empty(x, [all, n], DType::F32);
        let columns = tile.groups * if swiglu { 2 } else { 4 };
        let (gamma, eps) = norm.unwrap_or((x, 0.0));
        let k4 = x.shape()[1] / 4;
        let info = [count, n, k4, weight.per_row()[0]].map(|v| v as u32);
        let more = [all, row_div, self.base, self.experts].map(|v| v as u32);
        let info = [&info[..], &[bits(eps)], &more[..]].concat();
        let buffers = [x, gamma, &weight.words, &weight.scales, order, tiles, &out];
        let grid = fold(count * n.div_ceil(columns));
        launch(tile.name, tile.params, grid, &buffers, &info);
        out
    }

    /// Down, weighted, summed and added in one launch; for one token, whose experts all differ.
    fn down(&self, act: &CubeTensor, weight: &Words, residual: &CubeTensor) -> CubeTensor {
        let hidden = weight.words.shape()[1];
        let out = empty(act, [self.tokens, hidden], DType::F32);
        let mut tile = Tile::new(DOWN, act, 1, weight, false);
        tile.params.push(("Int", wgsl_int(&self.ids)));
        let k4 = act.shape()[1] / 4;
        let info = [
            self.tokens,
            self.slots,
            k4,
            weight.per_row()[0],
            hidden,
            self.base,
            self.experts,
        ];
        let buffers = [
            act,
            &weight.words,
            &weight.scales,
            &self.ids,
            &self.weights,
            residual,
            &out,
        ];
        let grid = fold(self.tokens * hidden.div_ceil(4 * tile.groups));
        launch(
            tile.name,
            tile.params,
            grid,
            &buffers,
            &info.map(|v| v as u32),
        );
        out
    }

    fn combine(&self, y: &CubeTensor, residual: &CubeTensor) -> CubeTensor {
        let hidden = residual.shape()[1];
        let out = empty(y, [self.tokens, hidden], DType::F32);
        let (mut params, groups) = vec_params(hidden);
        params.retain(|(name, _)| *name != "ONES");
        params.extend([
            ("Int", wgsl_int(&self.ids)),
            ("WEIGHTED", "true".to_string()),
            ("RESIDUAL", "true".to_string()),
        ]);
        let info = [self.tokens, self.slots, groups, self.base, self.experts].map(|v| v as u32);
        let grid = fold((self.tokens * groups).div_ceil(64));
        let buffers = [y, &self.weights, &self.ids, residual, &out];
        launch("moe_combine", params, grid, &buffers, &info);
        out
    }
}

pub(crate) fn experts(
    x: CubeTensor,
    gamma: CubeTensor,
    (ids, weights): (CubeTensor, CubeTensor),
    (gate_up, down): (Words, Words),
    residual: CubeTensor,
    (eps, base): (f32, usize),
) -> CubeTensor {
    let (x, gamma, residual) = (f32_rows(x), f32_rows(gamma), f32_rows(residual));
    let (ids, weights) = (into_contiguous(ids), f32_rows(weights));
    let [tokens, slots] = ids.shape().dims::<2>();
    let problem = Experts {
        experts: gate_up.words.shape()[0],
        ids,
        weights,
        tokens,
        slots,
        base,
    };
    if tokens == 1 && !active() {
        let act = problem.product(&x, Some((&gamma, eps)), &gate_up, None);
        return problem.down(&act, &down, &residual);
    }
    let plan = problem.plan();
    let act = problem.product(&x, Some((&gamma, eps)), &gate_up, Some(&plan));
    let y = problem.product(&act, None, &down, Some(&plan));
    problem.combine(&y, &residual)
}
