//! Backward of the expert dispatch on the CPU device: one expert per task, sums in slot order.

use super::{FEW_ROWS, Problem, product, slots_by_expert};
use crate::flex::{Mat, Weights, dot, f32_rows, floats, ints, matmul, new_f32, weight_rows};
use crate::invariance::few_rows;
use burn::backend::TensorMetadata;
use burn_flex::FlexTensor;
use rayon::prelude::*;

/// Gradients of one expert, empty where they are not wanted.
struct ExpertGrad {
    dx: Vec<f32>,
    dweights: Vec<f32>,
    dgate_up: Vec<f32>,
    ddown: Vec<f32>,
}

/// `a · b` of `[m, n, k]`, or nothing.
fn wanted(wants: bool, a: Mat<'_>, b: Mat<'_>, [m, n, k]: [usize; 3]) -> Vec<f32> {
    if !wants {
        return Vec::new();
    }
    let mut out = vec![0f32; m * n];
    matmul(&mut out, a, b, [m, n, k], false, false);
    out
}

/// Gradients of the pre-activations `[n, 2 * width]`.
fn swiglu_grad(pre: &[f32], dact: &[f32], w: usize) -> Vec<f32> {
    let mut dpre = vec![0f32; pre.len()];
    let rows = pre.chunks(2 * w).zip(dact.chunks(w));
    for (out, (pre, dact)) in dpre.chunks_mut(2 * w).zip(rows) {
        for j in 0..w {
            let (g, u, d) = (pre[j], pre[w + j], dact[j]);
            let sigmoid = 1.0 / (1.0 + (-g).exp());
            out[j] = d * u * sigmoid * (1.0 + g * (1.0 - sigmoid));
            out[w + j] = d * g * sigmoid;
        }
    }
    dpre
}

fn expert(
    p: &Problem<'_>,
    e: usize,
    slots: &[usize],
    grad: &[f32],
    wants: [bool; 4],
) -> ExpertGrad {
    let (n, h, w) = (slots.len(), p.hidden, p.width);
    let rows = p.gather(slots, p.x);
    let (pre, act) = p.activations(e, &rows);
    let dout = p.gather(slots, grad);
    let (gate_up, down) = (p.gate_up_of(e), p.down_of(e));
    let dweights = match wants[1] {
        true => {
            let y = product(&act, &down, [n, h, w], p.few);
            let rows = y.chunks(h).zip(dout.chunks(h));
            rows.map(|(y, d)| dot(y, d)).collect()
        }
        false => Vec::new(),
    };
    let mut dy = dout;
    for (row, slot) in dy.chunks_mut(h).zip(slots) {
        row.iter_mut().for_each(|v| *v *= p.weights[*slot]);
    }
    let dy_rows = Mat::rows(&dy, h);
    let dact = wanted(
        wants[0] || wants[2],
        dy_rows,
        Mat::rows(&down, w),
        [n, w, h],
    );
    let dpre = match dact.is_empty() {
        true => Vec::new(),
        false => swiglu_grad(&pre, &dact, w),
    };
    let dpre_rows = Mat::rows(&dpre, 2 * w);
    ExpertGrad {
        dx: wanted(wants[0], dpre_rows, Mat::rows(&gate_up, h), [n, h, 2 * w]),
        dweights,
        dgate_up: wanted(wants[2], dpre_rows.t(), Mat::rows(&rows, h), [2 * w, h, n]),
        ddown: wanted(wants[3], dy_rows.t(), Mat::rows(&act, w), [h, w, n]),
    }
}

/// See [`crate::backend_grad::GradOps::moe_experts_grad`].
pub(crate) fn moe_experts_grad(
    tensors: [FlexTensor; 4],
    ids: FlexTensor,
    base: usize,
    grad: FlexTensor,
    wants: [bool; 4],
) -> [Option<FlexTensor>; 4] {
    let [x, weights, gate_up, down] = tensors;
    let (x, weights, grad) = (f32_rows(x), f32_rows(weights), f32_rows(grad));
    let (gate_up, down) = (weight_rows(gate_up), weight_rows(down));
    let ([_, hidden], [shard, _, width]) = (x.shape().dims::<2>(), down.shape().dims::<3>());
    let problem = Problem {
        x: floats(&x),
        weights: floats(&weights),
        gate_up: Weights::new(&gate_up),
        down: Weights::new(&down),
        hidden,
        width,
        top_k: ids.shape()[1],
        few: few_rows(FEW_ROWS),
    };
    let slots = slots_by_expert(&ints(&ids), base, shard);
    let results: Vec<(usize, ExpertGrad)> = (0..shard)
        .into_par_iter()
        .filter(|e| !slots[*e].is_empty())
        .map(|e| (e, expert(&problem, e, &slots[e], floats(&grad), wants)))
        .collect();
    let shapes = [&x, &weights, &gate_up, &down].map(TensorMetadata::shape);
    let mut sums: [Vec<f32>; 4] = std::array::from_fn(|i| match wants[i] {
        true => vec![0f32; shapes[i].num_elements()],
        false => Vec::new(),
    });
    for (e, g) in results {
        for (slot, row) in slots[e].iter().zip(g.dx.chunks(hidden)) {
            let target = &mut sums[0][slot / problem.top_k * hidden..][..hidden];
            target.iter_mut().zip(row).for_each(|(o, v)| *o += v);
        }
        for (slot, dw) in slots[e].iter().zip(&g.dweights) {
            sums[1][*slot] = *dw;
        }
        for (sum, part) in sums[2..].iter_mut().zip([g.dgate_up, g.ddown]) {
            let at = e * part.len();
            sum[at..at + part.len()].copy_from_slice(&part);
        }
    }
    let mut shapes = shapes.into_iter().zip(wants);
    sums.map(|values| match shapes.next() {
        Some((shape, true)) => Some(new_f32(values, shape)),
        _ => None,
    })
}
