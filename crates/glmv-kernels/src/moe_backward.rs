//! Backward of the expert dispatch in WGSL: pre-activations are recomputed, every product is
//! grouped by expert, and sums run in slot order, so that gradients repeat bit by bit.

use super::{Plan, Problem};
use crate::launch::{empty, f32_rows, fold, lanes_of_eight, launch, vec_params, wgsl_type};
use crate::tile::{Form, RowTile};
use crate::words::Words;
use burn::backend::TensorMetadata;
use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

/// Workgroup size of the grouped backward products.
const WG: usize = 32;

impl Problem {
    /// `y[s] = scale_s * rows[s / row_div] · w[e(s)]` with w `[experts, inner, columns]`.
    fn grouped_nn(
        &self,
        plan: &Plan,
        rows: &CubeTensor,
        w: &CubeTensor,
        [columns, inner, row_div]: [usize; 3],
        scaled: bool,
    ) -> CubeTensor {
        let y = self.floats(self.slots(), columns);
        self.grouped_nn_into(plan, rows, w, [inner, row_div], scaled, &y);
        y
    }

    /// [`Problem::grouped_nn`] into the rows of `y`; rows of slots that are not planned stay.
    pub(super) fn grouped_nn_into(
        &self,
        plan: &Plan,
        rows: &CubeTensor,
        w: &CubeTensor,
        [inner, row_div]: [usize; 2],
        scaled: bool,
        y: &CubeTensor,
    ) {
        let columns = y.shape()[1];
        if let Some(Form::Sub(tile)) = plan.form {
            let mut params = vec![
                self.int(),
                ("Weight", wgsl_type(w.dtype, true)),
                ("SCALED", scaled.to_string()),
            ];
            params.extend(tile.params());
            let info = [plan.max_tiles, columns / 4, inner / 4, row_div].map(|v| v as u32);
            let grid = fold(plan.max_tiles * columns.div_ceil(64));
            let (sorted, offsets, tiles) = (&plan.sorted, &plan.offsets, &plan.tiles);
            let buffers = [rows, w, sorted, offsets, tiles, &self.weights, y];
            launch("moe_nn_sub", params, grid, &buffers, &info);
            return;
        }
        let fours = columns.is_multiple_of(4) && inner.is_multiple_of(4);
        let (mut params, _) = vec_params(if fours { 4 } else { 1 });
        let v = if fours { 4 } else { 1 };
        params.extend([
            self.int(),
            ("Weight", wgsl_type(w.dtype, fours)),
            ("LANES", format!("{v}u")),
            ("SCALED", scaled.to_string()),
            ("TM", format!("{}u", plan.rows)),
            ("WG", format!("{WG}u")),
        ]);
        let info = [plan.max_tiles, columns / v, inner / v, row_div].map(|v| v as u32);
        let grid = fold(plan.max_tiles * (columns / v).div_ceil(2 * WG));
        let (sorted, offsets, tiles) = (&plan.sorted, &plan.offsets, &plan.tiles);
        let buffers = [rows, w, sorted, offsets, tiles, &self.weights, y];
        launch("moe_nn", params, grid, &buffers, &info);
    }

    /// `dw[e] = sum over slots s of e of scale_s * a[s / a_div]ᵀ · b[s / b_div]`, `[experts, n, k]`.
    pub(super) fn grouped_tn(
        &self,
        plan: &Plan,
        (a, a_div): (&CubeTensor, usize),
        (b, b_div): (&CubeTensor, usize),
        [n, k]: [usize; 2],
        scaled: bool,
    ) -> CubeTensor {
        let dw = empty(&self.x, [self.experts, n, k], DType::F32);
        if plan.form.is_some() {
            let params = vec![
                self.int(),
                ("SCALED", scaled.to_string()),
                ("WG", "8u".to_string()),
            ];
            let info = [self.experts, n / 4, k / 4, a_div, b_div].map(|v| v as u32);
            let grid = fold(self.experts * n.div_ceil(32) * k.div_ceil(64));
            let buffers = [a, b, &plan.sorted, &plan.offsets, &self.weights, &dw];
            launch("moe_tn_sub", params, grid, &buffers, &info);
            return dw;
        }
        let fours = n.is_multiple_of(4) && k.is_multiple_of(4);
        let v = if fours { 4 } else { 1 };
        let (mut params, _) = vec_params(v);
        params.retain(|(name, _)| *name != "ONES");
        params.extend([
            self.int(),
            ("LANES", format!("{v}u")),
            ("SCALED", scaled.to_string()),
            ("WG", format!("{WG}u")),
        ]);
        let info = [self.experts, n / v, k / v, a_div, b_div].map(|v| v as u32);
        let grid = fold(self.experts * (n / v).div_ceil(2) * (k / v).div_ceil(2 * WG));
        let buffers = [a, b, &plan.sorted, &plan.offsets, &self.weights, &dw];
        launch("moe_tn", params, grid, &buffers, &info);
        dw
    }

    /// The plan of all products of the pass: for subgroups of eight, where the adapter has them and
    /// every row is made of whole words, else the plain ones.
    fn plan_backward(&self) -> Plan {
        let words = [&self.gate_up, &self.down].map(Words::floats);
        let [Some(gate_up), Some(_)] = &words else {
            return self.plan();
        };
        if !lanes_of_eight(&self.x) {
            return self.plan();
        }
        let form = Form::experts(&self.x, gate_up, self.slots(), self.experts)
            .unwrap_or(Form::Sub(RowTile::of(8, 8)));
        Plan {
            form: Some(form),
            ..self.plan_rows(form.rows())
        }
    }

    /// Gradients of the pre-activations, and the activations recomputed.
    fn swiglu_grad(&self, pre: &CubeTensor, dact: &CubeTensor) -> (CubeTensor, CubeTensor) {
        let slots = self.slots();
        let (dpre, act) = (
            self.floats(slots, 2 * self.width),
            self.floats(slots, self.width),
        );
        let (mut params, groups) = vec_params(self.width);
        params.retain(|(name, _)| *name != "ONES");
        let info = [slots as u32, groups as u32];
        let grid = fold((slots * groups).div_ceil(64));
        launch(
            "moe_swiglu_grad",
            params,
            grid,
            &[pre, dact, &dpre, &act],
            &info,
        );
        (dpre, act)
    }

    /// `dout[t] · y[s]` per slot of the shard, zero elsewhere.
    fn weight_grad(&self, dout: &CubeTensor, y: &CubeTensor) -> CubeTensor {
        let grad = empty(&self.x, self.weights.shape(), DType::F32);
        let (mut params, groups) = vec_params(self.hidden);
        let lanes = if self.on_cpu { 1 } else { 8 };
        params.extend([self.int(), ("KL", format!("{lanes}u"))]);
        let info = [self.slots(), self.top_k, groups, self.base, self.experts].map(|v| v as u32);
        let grid = fold((self.slots() * lanes).div_ceil(64));
        launch(
            "moe_weight_grad",
            params,
            grid,
            &[dout, y, &self.ids, &grad],
            &info,
        );
        grad
    }
}

/// See [`crate::backend_grad::GradOps::moe_experts_grad`].
pub(crate) fn moe_experts_grad(
    tensors: [CubeTensor; 4],
    ids: CubeTensor,
    base: usize,
    grad: CubeTensor,
    wants: [bool; 4],
) -> [Option<CubeTensor>; 4] {
    let [x, weights, gate_up, down] = tensors;
    let p = Problem::new(x, ids, weights, gate_up, down, base);
    let dout = f32_rows(grad);
    let (h, w, k) = (p.hidden, p.width, p.top_k);
    let plan = p.plan_backward();
    let pre = p.grouped(&plan, &p.x, &p.gate_up, [2 * w, h, k]);
    let dact = p.grouped_nn(&plan, &dout, &p.down, [w, h, k], true);
    let (dpre, act) = p.swiglu_grad(&pre, &dact);
    let dx = wants[0].then(|| {
        let dx = p.grouped_nn(&plan, &dpre, &p.gate_up, [h, 2 * w, 1], false);
        p.combine(&dx, false)
    });
    let dweights = wants[1].then(|| {
        let y = p.grouped(&plan, &act, &p.down, [h, w, 1]);
        p.weight_grad(&dout, &y)
    });
    let dgate_up = wants[2].then(|| p.grouped_tn(&plan, (&dpre, 1), (&p.x, k), [2 * w, h], false));
    let ddown = wants[3].then(|| p.grouped_tn(&plan, (&dout, k), (&act, 1), [h, w], true));
    [dx, dweights, dgate_up, ddown]
}
