//! A mixture of experts: rows sorted by expert, gate and up, SwiGLU, down, weighted sum per token.

use crate::Error;
use crate::error::{check, same};
use crate::linear::{SERIAL, TASKS_PER_THREAD};
use crate::matrix::Matrix;
use crate::product::{Layout, Part, product};
use crate::rows::{Order, Rows};
use crate::simd::OUTPUTS;
use crate::swiglu::swiglu;
use rayon::prelude::*;
use std::ops::Range;

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
    let layer = Layer {
        x,
        top_k: routing.top_k,
        experts,
    };
    let threads = rayon::current_num_threads();
    let y: Vec<Vec<f32>> = if plan.total * hidden * width < SERIAL {
        plan.used.iter().map(|used| layer.whole(used)).collect()
    } else if plan.used.len() < EVEN * threads {
        layer.evenly(&plan.used, threads)
    } else {
        plan.used.par_iter().map(|used| layer.whole(used)).collect()
    };
    plan.combine(&y, routing, out);
    Ok(())
}

/// Experts per thread from which one of them is a task: fewer may leave threads without work.
const EVEN: usize = 8;

/// An expert, and the slots that go to it.
type Used = (usize, Vec<usize>);

/// What every used expert needs.
struct Layer<'a> {
    x: &'a [f32],
    top_k: usize,
    experts: &'a Experts<'a>,
}

impl Layer<'_> {
    /// `[slots, hidden]` of one expert, in the thread of the caller.
    fn whole(&self, used: &Used) -> Vec<f32> {
        let [gate_up, down] = [self.experts.gate_up, self.experts.down];
        let (width, hidden) = (self.experts.width, self.experts.hidden());
        let pre = part(
            &self.tokens(used),
            &gate_up,
            used.0,
            2 * width,
            0..2 * width,
        );
        part(
            &self.activations(&pre, used.1.len()),
            &down,
            used.0,
            hidden,
            0..hidden,
        )
    }

    /// `[slots, hidden]` of each expert, every product cut into tasks of the same size.
    fn evenly(&self, used: &[Used], threads: usize) -> Vec<Vec<f32>> {
        let ids: Vec<usize> = used.iter().map(|(expert, _)| *expert).collect();
        let rows: Vec<Rows> = used.iter().map(|used| self.tokens(used)).collect();
        let pre = cut(
            &ids,
            &rows,
            &self.experts.gate_up,
            2 * self.experts.width,
            threads,
        );
        let rows: Vec<Rows> = pre
            .iter()
            .zip(&rows)
            .map(|(pre, rows)| self.activations(pre, rows.rows))
            .collect();
        cut(
            &ids,
            &rows,
            &self.experts.down,
            self.experts.hidden(),
            threads,
        )
    }

    /// The tokens of an expert's slots, `[slots, hidden]`.
    fn tokens(&self, (_, slots): &Used) -> Rows {
        let hidden = self.experts.hidden();
        let order = Order::of(&self.experts.gate_up);
        Rows::pack(slots.len(), hidden, order, |i| {
            &self.x[slots[i] / self.top_k * hidden..][..hidden]
        })
    }

    /// SwiGLU of `pre` `[slots, 2 · width]`.
    fn activations(&self, pre: &[f32], slots: usize) -> Rows {
        let width = self.experts.width;
        let mut act = vec![0.0; pre.len() / 2];
        let rows = pre.chunks_exact(2 * width.max(1));
        for (act, pre) in act.chunks_exact_mut(width.max(1)).zip(rows) {
            let (gate, up) = pre.split_at(width);
            swiglu(gate, up, act);
        }
        let order = Order::of(&self.experts.down);
        Rows::pack(slots, width, order, |i| &act[i * width..][..width])
    }
}

/// `[rows, outputs]` of each expert: the products of all of them cut into tasks alike.
fn cut(
    ids: &[usize],
    x: &[Rows],
    stack: &Matrix<'_>,
    outputs: usize,
    threads: usize,
) -> Vec<Vec<f32>> {
    let pieces = (TASKS_PER_THREAD * threads).div_ceil(x.len().max(1));
    let size = outputs.div_ceil(pieces).next_multiple_of(OUTPUTS);
    let tasks: Vec<_> = (0..x.len())
        .flat_map(|at| (0..outputs).step_by(size).map(move |first| (at, first)))
        .collect();
    let parts: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|(at, first)| {
            let range = *first..(first + size).min(outputs);
            part(&x[*at], stack, ids[*at], outputs, range)
        })
        .collect();
    let mut whole: Vec<Vec<f32>> = x.iter().map(|x| vec![0.0; x.rows * outputs]).collect();
    for ((at, first), part) in tasks.into_iter().zip(&parts) {
        let width = size.min(outputs - first);
        let rows = whole[at].chunks_exact_mut(outputs);
        for (row, part) in rows.zip(part.chunks_exact(width)) {
            row[first..][..width].copy_from_slice(part);
        }
    }
    whole
}

/// Some of the `outputs` of one expert of a stack, `[rows, range]`, in the thread of the caller.
fn part(
    x: &Rows,
    stack: &Matrix<'_>,
    expert: usize,
    outputs: usize,
    range: Range<usize>,
) -> Vec<f32> {
    let mut out = vec![0.0; x.rows * range.len()];
    let first = expert * outputs;
    let part = Part {
        groups: 0..x.group_count(),
        layout: Layout::Rows {
            stride: range.len(),
            at: 0,
        },
        outputs: first + range.start..first + range.end,
    };
    product(x, stack, part, &mut out);
    out
}

/// The slots of each expert that has any, experts in ascending order.
struct Plan {
    used: Vec<Used>,
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
