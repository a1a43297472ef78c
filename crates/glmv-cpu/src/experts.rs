//! A mixture of experts: rows sorted by expert, gate and up, SwiGLU, down, weighted sum per token.

use crate::Error;
use crate::error::{check, same};
use crate::linear::{SERIAL, whole_product};
use crate::matrix::Matrix;
use crate::product::{Layout, Part, product};
use crate::rows::{Order, Rows};
use crate::swiglu::swiglu;
use rayon::prelude::*;

/// The stacked weights of some experts.
#[derive(Debug, Clone, Copy)]
pub struct Experts<'a> {
    gate_up: Matrix<'a>,
    down: Matrix<'a>,
    count: usize,
    width: usize,
}

impl<'a> Experts<'a> {
    /// Stacks of `count` experts, as matrices over all their rows.
    ///
    /// # Shapes
    /// `gate_up` `[count · 2 · width, hidden]`, of each expert the gate's rows before those of up;
    /// `down` `[count · hidden, width]`. The two may differ in type.
    ///
    /// # Errors
    /// [`Error::Dimension`] if the two do not belong together.
    pub fn new(count: usize, gate_up: Matrix<'a>, down: Matrix<'a>) -> Result<Self, Error> {
        let (width, hidden) = (down.cols(), gate_up.cols());
        let rows = |per_expert: usize| count.saturating_mul(per_expert);
        same("rows of gate_up", gate_up.rows(), rows(2 * width))?;
        same("rows of down", down.rows(), rows(hidden))?;
        Ok(Experts {
            gate_up,
            down,
            count,
            width,
        })
    }

    fn hidden(&self) -> usize {
        self.gate_up.cols()
    }
}

/// Which experts each token goes to.
#[derive(Debug, Clone, Copy)]
pub struct Routing<'a> {
    /// Expert of each slot, `[tokens, top_k]`. Ids outside of the experts at hand are left out:
    /// another shard has them.
    pub ids: &'a [i64],
    /// Weight of each slot, `[tokens, top_k]`.
    pub weights: &'a [f32],
    /// Slots per token.
    pub top_k: usize,
    /// Id of the first expert at hand.
    pub base: usize,
}

/// `out[t] = Σ weight · down(silu(gate(x[t])) · up(x[t]))` over the slots of token `t` whose
/// experts are at hand, in the order of the experts.
///
/// # Shapes
/// `x` and `out` `[tokens, hidden]`; `out` is overwritten.
///
/// # Errors
/// [`Error::Length`] and [`Error::Dimension`] if the arguments do not fit together.
pub fn experts(
    x: &[f32],
    tokens: usize,
    routing: &Routing<'_>,
    experts: &Experts<'_>,
    out: &mut [f32],
) -> Result<(), Error> {
    let (hidden, width) = (experts.hidden(), experts.width);
    check("x", x.len(), &[tokens, hidden])?;
    check("out", out.len(), &[tokens, hidden])?;
    check("ids", routing.ids.len(), &[tokens, routing.top_k])?;
    check("weights", routing.weights.len(), &[tokens, routing.top_k])?;
    let plan = Plan::new(routing, experts.count);
    let run = |(expert, slots): &(usize, Vec<usize>), product: Product| {
        let order = Order::of(&experts.gate_up);
        let rows = Rows::pack(slots.len(), hidden, order, |i| {
            &x[slots[i] / routing.top_k * hidden..][..hidden]
        });
        let mut pre = vec![0.0; slots.len() * 2 * width];
        product(&rows, &experts.gate_up, *expert, &mut pre);
        let mut act = vec![0.0; slots.len() * width];
        let rows = pre.chunks_exact(2 * width.max(1));
        for (act, pre) in act.chunks_exact_mut(width.max(1)).zip(rows) {
            let (gate, up) = pre.split_at(width);
            swiglu(gate, up, act);
        }
        let order = Order::of(&experts.down);
        let rows = Rows::pack(slots.len(), width, order, |i| &act[i * width..][..width]);
        let mut y = vec![0.0; slots.len() * hidden];
        product(&rows, &experts.down, *expert, &mut y);
        y
    };
    // An expert is a task, unless most threads would have none.
    let y: Vec<Vec<f32>> = if 2 * plan.used.len() < rayon::current_num_threads() {
        plan.used
            .iter()
            .map(|used| run(used, shared_product))
            .collect()
    } else if plan.total * hidden * width < SERIAL {
        plan.used
            .iter()
            .map(|used| run(used, serial_product))
            .collect()
    } else {
        plan.used
            .par_iter()
            .map(|used| run(used, serial_product))
            .collect()
    };
    plan.combine(&y, routing, out);
    Ok(())
}

/// `[rows, outputs]` of one expert of a stack.
type Product = fn(&Rows, &Matrix<'_>, usize, &mut [f32]);

/// In the thread of the caller.
fn serial_product(x: &Rows, stack: &Matrix<'_>, expert: usize, out: &mut [f32]) {
    let outputs = out.len() / x.rows;
    let part = Part {
        groups: 0..x.group_count(),
        outputs: expert * outputs..(expert + 1) * outputs,
        layout: Layout::Rows {
            stride: outputs,
            at: 0,
        },
    };
    product(x, stack, part, out);
}

/// With all threads.
fn shared_product(x: &Rows, stack: &Matrix<'_>, expert: usize, out: &mut [f32]) {
    let outputs = out.len() / x.rows;
    match stack.slice(expert * outputs..(expert + 1) * outputs) {
        Ok(w) => whole_product(x, &w, out),
        Err(error) => unreachable!("the expert is in the stack: {error}"),
    }
}

/// The slots of each expert that has any, experts in ascending order.
struct Plan {
    used: Vec<(usize, Vec<usize>)>,
    /// Place of each slot among all of them, expert by expert; none for another shard's.
    place: Vec<Option<usize>>,
    total: usize,
}

impl Plan {
    fn new(routing: &Routing<'_>, count: usize) -> Plan {
        let mut slots = vec![Vec::new(); count];
        for (slot, id) in routing.ids.iter().enumerate() {
            let local = usize::try_from(*id)
                .ok()
                .and_then(|id| id.checked_sub(routing.base));
            if let Some(list) = local.and_then(|local| slots.get_mut(local)) {
                list.push(slot);
            }
        }
        let used: Vec<_> = slots
            .into_iter()
            .enumerate()
            .filter(|(_, slots)| !slots.is_empty())
            .collect();
        let mut place = vec![None; routing.ids.len()];
        let mut total = 0;
        for slot in used.iter().flat_map(|(_, slots)| slots) {
            place[*slot] = Some(total);
            total += 1;
        }
        Plan { used, place, total }
    }

    /// Weighted sum of each token's rows of `y`, of each used expert `[slots, hidden]`.
    fn combine(&self, y: &[Vec<f32>], routing: &Routing<'_>, out: &mut [f32]) {
        out.fill(0.0);
        let Some(hidden) = y
            .iter()
            .map(Vec::len)
            .sum::<usize>()
            .checked_div(self.total)
        else {
            return;
        };
        if hidden == 0 {
            return;
        }
        let rows: Vec<&[f32]> = y.iter().flat_map(|y| y.chunks_exact(hidden)).collect();
        let combine = |(token, out): (usize, &mut [f32])| {
            let slots = token * routing.top_k..(token + 1) * routing.top_k;
            let mut places: Vec<(usize, f32)> = slots
                .filter_map(|slot| Some((self.place[slot]?, routing.weights[slot])))
                .collect();
            places.sort_unstable_by_key(|(place, _)| *place);
            for (place, weight) in places {
                out.iter_mut()
                    .zip(rows[place])
                    .for_each(|(o, v)| *o += weight * v);
            }
        };
        if self.total <= FEW_SLOTS {
            out.chunks_mut(hidden).enumerate().for_each(combine);
        } else {
            out.par_chunks_mut(hidden).enumerate().for_each(combine);
        }
    }
}

/// Up to this many slots the sum takes less time than waking a thread.
const FEW_SLOTS: usize = 32;
