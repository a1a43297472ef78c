//! A mixture of experts: rows sorted by expert, gate and up, SwiGLU, down, weighted sum per token.

use crate::Error;
use crate::error::{check, same};
use crate::linear::{TASKS_PER_THREAD, task_outputs, transpose};
use crate::matrix::Matrix;
use crate::product::columns;
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
    let token_row = |slot: usize| &x[slot / routing.top_k * hidden..][..hidden];
    let order = Order::of(&experts.gate_up);
    let rows = plan.each(|slots| Rows::pack(slots.len(), hidden, order, |i| token_row(slots[i])));
    let pre = plan.products(&rows, &experts.gate_up, 2 * width);
    let act = plan.each_with(&pre, 2 * width, |slots, pre| {
        let mut act = vec![0.0; width * slots.len()]; // [width, slots]
        let (gate, up) = pre.split_at(act.len());
        swiglu(gate, up, &mut act);
        if slots.len() > 1 {
            let mut turned = vec![0.0; act.len()];
            transpose(&act, [width, slots.len()], &mut turned);
            act = turned;
        }
        Rows::pack(slots.len(), width, Order::of(&experts.down), |i| {
            &act[i * width..][..width]
        })
    });
    let y = plan.products(&act, &experts.down, hidden);
    let y = plan.each_with(&y, hidden, |slots, y| {
        let mut turned = vec![0.0; y.len()];
        transpose(y, [hidden, slots.len()], &mut turned);
        turned
    });
    plan.combine(&y.concat(), routing, out);
    Ok(())
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

    /// One result for each used expert.
    fn each<T: Send>(&self, make: impl Fn(&[usize]) -> T + Sync) -> Vec<T> {
        if self.total <= FEW_SLOTS {
            self.used.iter().map(|(_, slots)| make(slots)).collect()
        } else {
            self.used.par_iter().map(|(_, slots)| make(slots)).collect()
        }
    }

    /// As [`Plan::each`], with the `[outputs, slots]` that [`Plan::products`] made.
    fn each_with<T: Send>(
        &self,
        results: &[f32],
        outputs: usize,
        make: impl Fn(&[usize], &[f32]) -> T + Sync,
    ) -> Vec<T> {
        let mut rest = results;
        let mut parts = Vec::with_capacity(self.used.len());
        for (_, slots) in &self.used {
            let (part, after) = rest.split_at(slots.len() * outputs);
            parts.push((slots.as_slice(), part));
            rest = after;
        }
        if self.total <= FEW_SLOTS {
            parts.into_iter().map(|(s, part)| make(s, part)).collect()
        } else {
            parts
                .into_par_iter()
                .map(|(s, part)| make(s, part))
                .collect()
        }
    }

    /// `[outputs, slots]` of each used expert, one after the other, with all threads.
    fn products(&self, rows: &[Rows], stack: &Matrix<'_>, outputs: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.total * outputs];
        let work = rows.first().map_or(0, |rows| rows.padded);
        let slots_per_task = self.total.div_ceil(self.used.len().max(1));
        let whole = task_outputs(outputs * self.used.len(), work * slots_per_task);
        let mut tasks = Vec::with_capacity(self.used.len() + TASKS_PER_THREAD);
        let mut rest = out.as_mut_slice();
        for ((expert, slots), rows) in self.used.iter().zip(rows) {
            let (part, after) = rest.split_at_mut(slots.len() * outputs);
            rest = after;
            let start = expert * outputs;
            for (i, part) in part.chunks_mut(whole * slots.len()).enumerate() {
                let first = start + i * whole;
                tasks.push((rows, first..first + part.len() / slots.len(), part));
            }
        }
        let run = |(rows, range, part): (&Rows, _, &mut [f32])| columns(rows, stack, range, part);
        if tasks.len() <= 1 {
            tasks.into_iter().for_each(run);
        } else {
            tasks.into_par_iter().for_each(run);
        }
        out
    }

    /// Weighted sum of each token's rows of `y` `[total, hidden]`.
    fn combine(&self, y: &[f32], routing: &Routing<'_>, out: &mut [f32]) {
        out.fill(0.0);
        let hidden = y.len().checked_div(self.total).unwrap_or(0);
        if hidden == 0 {
            return;
        }
        let combine = |(token, out): (usize, &mut [f32])| {
            let slots = token * routing.top_k..(token + 1) * routing.top_k;
            let mut places: Vec<(usize, f32)> = slots
                .filter_map(|slot| Some((self.place[slot]?, routing.weights[slot])))
                .collect();
            places.sort_unstable_by_key(|(place, _)| *place);
            for (place, weight) in places {
                let row = &y[place * hidden..][..hidden];
                out.iter_mut().zip(row).for_each(|(o, v)| *o += weight * v);
            }
        };
        if self.total <= FEW_SLOTS {
            out.chunks_mut(hidden).enumerate().for_each(combine);
        } else {
            out.par_chunks_mut(hidden).enumerate().for_each(combine);
        }
    }
}

/// Up to this many slots the steps between the products take less time than waking a thread.
const FEW_SLOTS: usize = 32;
