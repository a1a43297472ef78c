//! WGSL launches of the MoE ops. Few slots (decode) go straight from the router's ids; many are
//! sorted by expert first (plan, tiles) and multiplied in tiles of rows that share an expert.

use crate::launch::{
    Params, RowTile, bits, empty, f32_rows, fold, launch, on_cpu_adapter, on_octets, vec_params,
    weight_rows, wgsl_int, wgsl_type,
};
use crate::moe::RouterConfig;
use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::CubeCount;

/// Up to this many slots the unsorted kernels run; beyond, sorting pays (measured on lavapipe).
const FEW_SLOTS: usize = 64;

/// Rows of a weight matrix per subgroup of `moe_product_sub.wgsl`.
const SUB_COLUMNS: usize = 64;

#[path = "moe_backward.rs"]
mod backward;
pub(crate) use backward::moe_experts_backward;

pub(crate) fn moe_router(
    logits: CubeTensor,
    bias: CubeTensor,
    config: RouterConfig,
) -> (CubeTensor, CubeTensor) {
    let (logits, bias) = (f32_rows(logits), f32_rows(bias));
    let [tokens, experts] = logits.shape().dims::<2>();
    let shape = Shape::new([tokens, config.top_k + config.shared]);
    let ids = empty(&logits, shape.clone(), DType::I32);
    let weights = empty(&logits, shape, DType::F32);
    let info = [
        tokens as u32,
        experts as u32,
        config.top_k as u32,
        config.n_group as u32,
        config.topk_group as u32,
        u32::from(config.normalise),
        bits(config.scale),
        config.shared as u32,
    ];
    launch(
        "moe_router",
        vec![("WG", "32u".to_string())],
        fold(tokens),
        &[&logits, &bias, &ids, &weights],
        &info,
    );
    (ids, weights)
}

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
    on_octets: bool,
}

/// Slots sorted by expert and cut into tiles.
struct Plan {
    sorted: CubeTensor,
    offsets: CubeTensor,
    tiles: CubeTensor,
    max_tiles: usize,
    rows: usize,
    /// The tile of `rows` rows, if the products are those of adapters with subgroups of eight.
    sub: Option<RowTile>,
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
        let (on_cpu, on_octets) = (on_cpu_adapter(&x), on_octets(&x));
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
            on_octets,
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

    /// The plan of the forward pass.
    fn plan(&self) -> Plan {
        let share = self.slots() / self.experts.max(1);
        if !self.on_octets {
            return self.plan_backward();
        }
        // Half a tile is idle at the end of an expert's slots, on the average.
        let tile = RowTile::of(
            match share {
                0..12 => 8,
                12..40 => 16,
                _ => 32,
            },
            32,
        );
        self.plan_rows(tile.rows(), Some(tile))
    }

    /// The plan of the backward pass, whose products take at most 8 rows.
    fn plan_backward(&self) -> Plan {
        // Rows of one tile by rows per expert: idle rows cost as much as used ones.
        let rows = match self.slots() / self.experts.max(1) {
            0 => 2,
            1..8 => 4,
            _ => 8,
        };
        self.plan_rows(rows, None)
    }

    fn plan_rows(&self, rows: usize, sub: Option<RowTile>) -> Plan {
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
            sub,
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
        let info = [plan.max_tiles, self.width, groups, self.top_k].map(|v| v as u32);
        let buffers = [
            &self.x,
            &self.gate_up,
            &plan.sorted,
            &plan.offsets,
            &plan.tiles,
            &act,
        ];
        if let Some(tile) = plan.sub {
            params.extend(tile.params());
            params.push(("PAIRED", "true".to_string()));
            let grid = fold(plan.max_tiles * self.width.div_ceil(SUB_COLUMNS / 2));
            launch("moe_product_sub", params, grid, &buffers, &info);
            return act;
        }
        let columns = self.tile(plan, &mut params, 4);
        let grid = fold(plan.max_tiles * self.width.div_ceil(columns));
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
        let (mut params, groups) = self.product(w, inner);
        let info = [plan.max_tiles, columns, groups, row_div].map(|v| v as u32);
        let buffers = [rows, w, &plan.sorted, &plan.offsets, &plan.tiles, &y];
        if let Some(tile) = plan.sub {
            params.extend(tile.params());
            params.push(("PAIRED", "false".to_string()));
            let grid = fold(plan.max_tiles * columns.div_ceil(SUB_COLUMNS));
            launch("moe_product_sub", params, grid, &buffers, &info);
            return y;
        }
        let per_group = self.tile(plan, &mut params, 8);
        let grid = fold(plan.max_tiles * columns.div_ceil(per_group));
        launch("moe_down", params, grid, &buffers, &info);
        y
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
            &[y, &self.weights, &self.ids, &out],
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
    if problem.slots() <= FEW_SLOTS {
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
