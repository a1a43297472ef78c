//! WGSL launches of the MoE ops. Few slots (decode) go straight from the router's ids; many are
//! sorted by expert first (plan, tiles) and multiplied in tiles of rows that share an expert.

use crate::launch::{
    Params, empty, f32_rows, fold, lanes_of_eight, launch, on_cpu_adapter, vec_params, weight_rows,
    wgsl_int, wgsl_type,
};
use crate::tile::{self, Form, Tiles};
use crate::words::{self, Slots, Words};
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::CubeCount;
use glmv_quant::Format;

/// Up to this many slots the unsorted kernels run; beyond, sorting pays (measured on lavapipe).
const FEW_SLOTS: usize = 64;

/// Up to this many slots the row kernels take them one by one.
const ONE_BY_ONE: usize = 8;

#[path = "moe_router_cube.rs"]
mod router;
pub(crate) use router::moe_router;
#[path = "moe_backward.rs"]
mod backward;
#[path = "expert_linear_cube.rs"]
pub(crate) mod linear;
pub(crate) use backward::moe_experts_grad;

/// Everything the expert launches share.
struct Problem {
    x: CubeTensor,
    ids: CubeTensor,
    weights: CubeTensor,
    gate_up: CubeTensor,
    down: CubeTensor,
    base: usize,
    tokens: usize,
    hidden: usize,
    top_k: usize,
    experts: usize,
    width: usize,
    on_cpu: bool,
}

/// Slots sorted by expert and cut into tiles.
struct Plan {
    sorted: CubeTensor,
    offsets: CubeTensor,
    tiles: CubeTensor,
    max_tiles: usize,
    rows: usize,
    /// The tiles' form, where the products are those of `tile.rs`.
    form: Option<Form>,
}

impl Plan {
    fn tiles(&self, form: Form) -> Tiles<'_> {
        Tiles {
            form,
            sorted: &self.sorted,
            offsets: &self.offsets,
            tiles: &self.tiles,
            max_tiles: self.max_tiles,
        }
    }
}

impl Problem {
    fn new(
        x: CubeTensor,
        ids: CubeTensor,
        weights: CubeTensor,
        gate_up: CubeTensor,
        down: CubeTensor,
        base: usize,
    ) -> Self {
        let (x, weights, ids) = (f32_rows(x), f32_rows(weights), into_contiguous(ids));
        let (gate_up, down) = (weight_rows(gate_up), weight_rows(down));
        let [tokens, hidden] = x.shape().dims::<2>();
        let [experts, _, width] = down.shape().dims::<3>();
        let top_k = ids.shape()[1];
        let on_cpu = on_cpu_adapter(&x);
        Problem {
            x,
            ids,
            weights,
            gate_up,
            down,
            base,
            tokens,
            hidden,
            top_k,
            experts,
            width,
            on_cpu,
        }
    }

    fn slots(&self) -> usize {
        self.tokens * self.top_k
    }

    fn int(&self) -> (&'static str, String) {
        ("Int", wgsl_int(&self.ids))
    }

    fn floats(&self, rows: usize, cols: usize) -> CubeTensor {
        empty(&self.x, [rows, cols], DType::F32)
    }

    fn ints(&self, len: usize) -> CubeTensor {
        empty(&self.ids, [len], self.ids.dtype)
    }

    /// Parameters of a product whose inner length is `len`, and that length in groups.
    fn product(&self, weights: &CubeTensor, len: usize) -> (Params, usize) {
        let (mut params, groups) = vec_params(len);
        params.push(("Weight", wgsl_type(weights.dtype, len.is_multiple_of(4))));
        params.push(self.int());
        (params, groups)
    }

    fn few(&self) -> CubeTensor {
        let (slots, width) = (self.slots(), self.width);
        let act = self.floats(slots, width);
        let (mut params, groups) = self.product(&self.gate_up, self.hidden);
        // Lanes that split a dot product coalesce a GPU's loads; on a CPU adapter they only cost.
        let (wg, lanes) = if self.on_cpu { (32, 1) } else { (64, 8) };
        params.extend([("WG", format!("{wg}u")), ("KL", format!("{lanes}u"))]);
        let info = [slots, self.top_k, groups, width, self.base, self.experts].map(|v| v as u32);
        let grid = CubeCount::Static(width.div_ceil(4 * wg / lanes) as u32, slots as u32, 1);
        launch(
            "moe_gate_up_few",
            params,
            grid,
            &[&self.x, &self.gate_up, &self.ids, &act],
            &info,
        );
        let out = self.floats(self.tokens, self.hidden);
        let (mut params, groups) = self.product(&self.down, width);
        let (wg, lanes) = if self.on_cpu { (8, 1) } else { (64, 8) };
        params.extend([("WG", format!("{wg}u")), ("KL", format!("{lanes}u"))]);
        let info = [
            self.tokens,
            self.top_k,
            groups,
            self.hidden,
            self.base,
            self.experts,
        ];
        let columns = self.hidden.div_ceil(8 * wg / lanes);
        let grid = CubeCount::Static(columns as u32, self.tokens as u32, 1);
        let buffers = [&act, &self.down, &self.ids, &self.weights, &out];
        launch(
            "moe_down_few",
            params,
            grid,
            &buffers,
            &info.map(|v| v as u32),
        );
        out
    }

    /// In tiles of sorted slots.
    fn tiled(&self, form: Form, gate_up: &Words, down: &Words) -> CubeTensor {
        let plan = self.plan_rows(form.rows());
        let tiles = plan.tiles(form);
        let act = self.floats(self.slots(), self.width);
        tile::experts(&self.x, gate_up, &tiles, &act, self.top_k, true);
        let y = self.floats(self.slots(), self.hidden);
        tile::experts(&act, down, &tiles, &y, 1, false);
        self.combine(&y, true)
    }

    /// By tiles where an expert has rows enough, else by the row kernels, whose sums do not depend on the other tokens: slot by slot, or sorted where
    /// an expert's weights then serve several rows.
    fn rows(&self, gate_up: &Words, down: &Words) -> CubeTensor {
        if let Some(form) = Form::experts(&self.x, gate_up, self.slots(), self.experts) {
            return self.tiled(form, gate_up, down);
        }
        let sort = self.slots() > ONE_BY_ONE && self.slots() >= self.experts;
        let plan = sort.then(|| self.plan());
        let slots = match &plan {
            Some(plan) => Slots {
                tiles: &plan.tiles,
                sorted: Some((&plan.sorted, &plan.offsets, plan.rows)),
                num_tiles: plan.max_tiles,
                slots: self.slots(),
                base: self.base,
                experts: self.experts,
            },
            None => Slots {
                tiles: &self.ids,
                sorted: None,
                num_tiles: self.slots(),
                slots: self.slots(),
                base: self.base,
                experts: self.experts,
            },
        };
        let act = words::experts(&self.x, gate_up, &slots, true, self.top_k);
        let y = words::experts(&act, down, &slots, false, 1);
        self.combine(&y, true)
    }

    /// The plan of products that take at most 8 rows.
    fn plan(&self) -> Plan {
        // Rows of one tile by rows per expert: idle rows cost as much as used ones.
        let rows = match self.slots() / self.experts.max(1) {
            0 => 2,
            1..8 => 4,
            _ => 8,
        };
        self.plan_rows(rows)
    }

    fn plan_rows(&self, rows: usize) -> Plan {
        let slots = self.slots();
        let (sorted, offsets) = (self.ints(slots), self.ints(self.experts + 1));
        let info = [slots, self.base, self.experts].map(|v| v as u32);
        let grid = CubeCount::Static(self.experts as u32, 1, 1);
        launch(
            "moe_plan",
            vec![self.int()],
            grid,
            &[&self.ids, &offsets, &sorted],
            &info,
        );
        let max_tiles = slots.div_ceil(rows) + self.experts;
        let (tiles, count) = (self.ints(2 * max_tiles), self.ints(1));
        let params = vec![self.int(), ("TM", format!("{rows}u"))];
        let info = [self.experts, max_tiles].map(|v| v as u32);
        launch(
            "moe_tiles",
            params,
            fold(1),
            &[&offsets, &tiles, &count],
            &info,
        );
        Plan {
            sorted,
            offsets,
            tiles,
            max_tiles,
            rows,
            form: None,
        }
    }

    /// Adds the tile parameters and returns how many columns of `per_lane` one workgroup makes.
    fn tile(&self, plan: &Plan, params: &mut Params, per_lane: usize) -> usize {
        let (wg, lanes) = if self.on_cpu { (32, 1) } else { (64, 4) };
        params.push(("TM", format!("{}u", plan.rows)));
        params.extend([("WG", format!("{wg}u")), ("KL", format!("{lanes}u"))]);
        per_lane * wg / lanes
    }

    fn gate_up(&self, plan: &Plan) -> CubeTensor {
        let act = self.floats(self.slots(), self.width);
        let (mut params, groups) = self.product(&self.gate_up, self.hidden);
        let columns = self.tile(plan, &mut params, 4);
        let info = [plan.max_tiles, self.width, groups, self.top_k].map(|v| v as u32);
        let grid = fold(plan.max_tiles * self.width.div_ceil(columns));
        let buffers = [
            &self.x,
            &self.gate_up,
            &plan.sorted,
            &plan.offsets,
            &plan.tiles,
            &act,
        ];
        launch("moe_gate_up", params, grid, &buffers, &info);
        act
    }

    /// `y[s] = w[e(s)] · rows[s / row_div]` for every planned slot.
    fn grouped(
        &self,
        plan: &Plan,
        rows: &CubeTensor,
        w: &CubeTensor,
        [columns, inner, row_div]: [usize; 3],
    ) -> CubeTensor {
        let y = self.floats(self.slots(), columns);
        self.grouped_into(plan, rows, w, [inner, row_div], &y);
        y
    }

    /// [`Problem::grouped`] into the rows of `y`; rows of slots that are not planned stay.
    fn grouped_into(
        &self,
        plan: &Plan,
        rows: &CubeTensor,
        w: &CubeTensor,
        [inner, row_div]: [usize; 2],
        y: &CubeTensor,
    ) {
        let columns = y.shape()[1];
        if let (Some(form), Some(w)) = (plan.form, Words::floats(w)) {
            tile::experts(rows, &w, &plan.tiles(form), y, row_div, false);
            return;
        }
        let (mut params, groups) = self.product(w, inner);
        let per_group = self.tile(plan, &mut params, 8);
        let info = [plan.max_tiles, columns, groups, row_div].map(|v| v as u32);
        let grid = fold(plan.max_tiles * columns.div_ceil(per_group));
        let buffers = [rows, w, &plan.sorted, &plan.offsets, &plan.tiles, y];
        launch("moe_down", params, grid, &buffers, &info);
    }

    /// Sums a token's slots of this shard, by the router's weights or plainly.
    fn combine(&self, y: &CubeTensor, weighted: bool) -> CubeTensor {
        let out = self.floats(self.tokens, self.hidden);
        let (mut params, groups) = vec_params(self.hidden);
        params.retain(|(name, _)| *name != "ONES");
        params.extend([self.int(), ("WEIGHTED", weighted.to_string())]);
        let info = [self.tokens, self.top_k, groups, self.base, self.experts].map(|v| v as u32);
        let grid = fold((self.tokens * groups).div_ceil(64));
        launch(
            "moe_combine",
            params,
            grid,
            &[y, &self.weights, &self.ids, y, &out],
            &info,
        );
        out
    }
}

pub(crate) fn moe_experts(
    x: CubeTensor,
    ids: CubeTensor,
    weights: CubeTensor,
    gate_up: CubeTensor,
    down: CubeTensor,
    base: usize,
) -> CubeTensor {
    let problem = Problem::new(x, ids, weights, gate_up, down, base);
    let (slots, experts) = (problem.slots(), problem.experts);
    if let Some(gate_up) = Words::floats(&problem.gate_up)
        && let Some(down) = Words::floats(&problem.down)
        && (lanes_of_eight(&problem.x)
            || Form::experts(&problem.x, &gate_up, slots, experts).is_some())
    {
        return problem.rows(&gate_up, &down);
    }
    if problem.slots() <= FEW_SLOTS && !crate::invariance::active() {
        return problem.few();
    }
    let plan = problem.plan();
    let act = problem.gate_up(&plan);
    let y = problem.grouped(
        &plan,
        &act,
        &problem.down,
        [problem.hidden, problem.width, 1],
    );
    problem.combine(&y, true)
}

pub(crate) fn moe_experts_codes(
    x: CubeTensor,
    ids: CubeTensor,
    weights: CubeTensor,
    codes: [CubeTensor; 4],
    formats: [Format; 2],
    base: usize,
) -> CubeTensor {
    let (x, weights, ids) = (f32_rows(x), f32_rows(weights), into_contiguous(ids));
    let [tokens, hidden] = x.shape().dims::<2>();
    let [experts, rows, _] = codes[0].shape().dims::<3>();
    let (top_k, on_cpu, width) = (ids.shape()[1], on_cpu_adapter(&x), rows / 2);
    let words = |at: usize, format, inner| {
        Words::codes(codes[at].clone(), codes[at + 1].clone(), format, inner)
    };
    let (gate_up, down) = (words(0, formats[0], hidden), words(2, formats[1], width));
    let problem = Problem {
        x,
        ids,
        weights,
        gate_up: gate_up.words.clone(),
        down: down.words.clone(),
        base,
        tokens,
        hidden,
        top_k,
        experts,
        width,
        on_cpu,
    };
    problem.rows(&gate_up, &down)
}
