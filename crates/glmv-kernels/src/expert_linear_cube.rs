//! WGSL launches of the products per expert: the grouped kernels of `moe_experts` by themselves. Rows
//! of slots whose expert is elsewhere are zero, because no sum that leaves them out follows.

use super::{ONE_BY_ONE, Plan, Problem};
use crate::launch::{f32_rows, lanes_of_eight, on_cpu_adapter, weight_rows};
use crate::tile::{self, Form, RowTile};
use crate::words::{self, Slots, Words};
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{FloatDType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::{CubeBackend, tensor::CubeTensor};
use glmv_quant::Format;

/// A problem of one stack `[experts, out, inner]` over the rows `x`.
fn problem(
    x: CubeTensor,
    ids: CubeTensor,
    w: CubeTensor,
    [experts, out, inner]: [usize; 3],
    base: usize,
) -> Problem {
    let (x, ids) = (f32_rows(x), into_contiguous(ids));
    let [tokens, top_k] = ids.shape().dims::<2>();
    let on_cpu = on_cpu_adapter(&x);
    Problem {
        // Not read: these products have no weights of the router.
        weights: x.clone(),
        x,
        ids,
        gate_up: w.clone(),
        down: w,
        base,
        tokens,
        hidden: inner,
        top_k,
        experts,
        width: out,
        on_cpu,
    }
}

impl Problem {
    fn zeros(&self, columns: usize) -> CubeTensor {
        let shape = Shape::new([self.slots(), columns]);
        CubeBackend::float_zeros(shape, &self.x.device(), FloatDType::F32)
    }

    /// The product by tiles where an expert has rows enough, else by the row kernels.
    fn words(&self, w: &Words, spread: usize) -> CubeTensor {
        let y = self.zeros(self.width);
        // Tokens decide, so that a row's kernel does not depend on how many slots share it.
        if let Some(form) = Form::experts(&self.ids, w, self.slots(), self.experts) {
            let plan = self.plan_rows(form.rows());
            tile::experts(&self.x, w, &plan.tiles(form), &y, spread, false);
            return y;
        }
        let sort = self.slots() > ONE_BY_ONE && self.slots() >= self.experts;
        let plan = sort.then(|| self.plan());
        let slots = Slots {
            tiles: plan.as_ref().map_or(&self.ids, |p| &p.tiles),
            sorted: plan.as_ref().map(|p| (&p.sorted, &p.offsets, p.rows)),
            num_tiles: plan.as_ref().map_or(self.slots(), |p| p.max_tiles),
            slots: self.slots(),
            base: self.base,
            experts: self.experts,
        };
        words::experts_into(&self.x, w, &slots, false, spread, &y);
        y
    }

    /// The plan of the way back: for subgroups of eight where the adapter has them and all rows are
    /// whole words.
    fn plan_back(&self, w: &Words) -> Plan {
        let form = Form::experts(&self.ids, w, self.slots(), self.experts)
            .unwrap_or(Form::Sub(RowTile::of(8, 8)));
        Plan {
            form: Some(form),
            ..self.plan_rows(form.rows())
        }
    }
}

pub(crate) fn forward(x: CubeTensor, ids: CubeTensor, w: CubeTensor, base: usize) -> CubeTensor {
    let w = weight_rows(w);
    let [experts, out, inner] = w.shape().dims::<3>();
    let p = problem(x, ids, w.clone(), [experts, out, inner], base);
    let spread = p.slots() / p.x.shape()[0];
    if let Some(words) = Words::floats(&w)
        && out.is_multiple_of(4)
        && (lanes_of_eight(&p.x) || Form::experts(&p.ids, &words, p.slots(), experts).is_some())
    {
        return p.words(&words, spread);
    }
    let (plan, y) = (p.plan(), p.zeros(out));
    p.grouped_into(&plan, &p.x, &w, [inner, spread], &y);
    y
}

pub(crate) fn forward_codes(
    x: CubeTensor,
    ids: CubeTensor,
    [codes, scales]: [CubeTensor; 2],
    format: Format,
    base: usize,
) -> CubeTensor {
    let inner = x.shape()[1];
    let [experts, out, _] = codes.shape().dims::<3>();
    let words = Words::codes(codes, scales, format, inner);
    let p = problem(x, ids, words.words.clone(), [experts, out, inner], base);
    let spread = p.slots() / p.x.shape()[0];
    p.words(&words, spread)
}

/// True where the subgroup kernels of the way back run.
fn by_subgroups(like: &CubeTensor, [out, inner]: [usize; 2]) -> bool {
    lanes_of_eight(like) && out.is_multiple_of(4) && inner.is_multiple_of(4)
}

/// See [`crate::backend_expert::ExpertGrads::expert_linear_grad_input`].
pub(crate) fn grad_input(
    grad: CubeTensor,
    ids: CubeTensor,
    w: CubeTensor,
    base: usize,
) -> CubeTensor {
    let w = weight_rows(w);
    let [experts, out, inner] = w.shape().dims::<3>();
    let p = problem(grad, ids, w.clone(), [experts, out, inner], base);
    let plan = match Words::floats(&w) {
        Some(words) if by_subgroups(&p.x, [out, inner]) => p.plan_back(&words),
        _ => p.plan(),
    };
    let y = p.zeros(inner);
    p.grouped_nn_into(&plan, &p.x, &w, [out, 1], false, &y);
    y
}

/// See [`crate::backend_expert::ExpertGrads::expert_linear_grad_weight`].
pub(crate) fn grad_weight(
    grad: CubeTensor,
    ids: CubeTensor,
    x: CubeTensor,
    base: usize,
    experts: usize,
) -> CubeTensor {
    let (grad, x) = (f32_rows(grad), f32_rows(x));
    let (out, inner) = (grad.shape()[1], x.shape()[1]);
    let p = problem(x.clone(), ids, grad.clone(), [experts, out, inner], base);
    let spread = p.slots() / x.shape()[0];
    let mut plan = p.plan();
    if by_subgroups(&x, [out, inner]) {
        // The kernel walks sorted slots, not tiles: any height will do.
        plan.form = Some(Form::Sub(RowTile::of(8, 8)));
    }
    p.grouped_tn(&plan, (&grad, 1), (&x, spread), [out, inner], false)
}
