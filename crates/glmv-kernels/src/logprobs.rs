//! Log-probabilities of chosen tokens and entropies from the last hidden states, without the logits:
//! the head's product runs over pieces of the vocabulary and of the rows, forward and backward.

use crate::autodiff::Differentiable;
pub(crate) use crate::autodiff::codes::Codes;
use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use crate::scores::{NONE, Piece};
use crate::weight::Weight;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Dispatch, TensorMetadata};
use burn::tensor::{FloatDType, Int, Shape, Slice, Tensor, activation, s};
use std::ops::Range;

/// Most scores that exist at a time: 8 MiB.
const SCORES: usize = 1 << 21;
/// Rows of a piece.
const ROWS: usize = 512;
/// Most columns of a piece: so much of the head is wide or copied at a time.
const COLUMNS: usize = 8192;

/// How scores are made of a shard's products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Id of the shard's first row.
    pub base: usize,
    pub inverse_temperature: f32,
    /// Whether some ids are forbidden.
    pub masked: bool,
}

impl Form {
    fn piece(self, first: usize) -> Piece {
        Piece {
            first: self.base + first,
            id: self.base + first,
            inverse_temperature: self.inverse_temperature,
            masked: self.masked,
        }
    }
}

/// Log-probability of each row's target under `softmax(hidden · headᵀ / temperature)`, forbidden ids
/// left out, and the entropy of that distribution in nats. Both are differentiable in `hidden` and,
/// for floats, in `head`; at most 8 MiB of scores exist at a time, and the forward pass keeps three
/// numbers per row.
///
/// # Shapes
/// `hidden` `[n, width]` f32, `head` shards `[vocabulary_i, width]` in order of ids, f32, f16 or codes,
/// `targets` `[n]` ids, `forbidden` `[vocabulary]` f32, nonzero where an id must not be chosen → `[n]`
/// and `[n]`, f32.
///
/// A negative target is ignored: its log-probability is 0, without gradient. A forbidden target's is
/// about -3e38. Targets from the vocabulary's size on have no meaning.
///
/// # Panics
/// If there is no shard, widths differ, or the temperature is not a positive number.
///
/// Source: torch `cross_entropy` on the logits of HF `Glm4vForConditionalGeneration.forward`.
pub fn token_logprobs(
    hidden: Tensor<2>,
    head: Vec<Weight<2>>,
    targets: Tensor<1, Int>,
    temperature: f32,
    forbidden: Option<Tensor<1>>,
) -> (Tensor<1>, Tensor<1>) {
    let [n, width] = hidden.dims();
    assert!(
        temperature > 0.0 && temperature.is_finite(),
        "token_logprobs: temperature {temperature}"
    );
    assert!(!head.is_empty(), "token_logprobs: a head without shards");
    assert_eq!(targets.dims(), [n], "token_logprobs: one target per row");
    for shard in &head {
        assert_eq!(shard.dims()[1], width, "token_logprobs: width of the head");
    }
    let routed = route(Op::TokenLogprobs, &hidden.device());
    let coded = head.iter().any(|w| matches!(w, Weight::Quantised(_)));
    // The kernels for codes read rows in fours.
    let fours = routed != Route::Wgsl || width.is_multiple_of(4);
    if routed == Route::Twin || (coded && !fours) {
        return token_logprobs_reference(hidden, head, targets, temperature, forbidden);
    }
    let mut base = 0;
    let masked = forbidden.is_some();
    // A mask is passed always; without one nothing of it is read.
    let mask = forbidden.unwrap_or_else(|| Tensor::zeros([1], &hidden.device()));
    let states = head.into_iter().map(|shard| {
        let form = Form {
            base,
            inverse_temperature: 1.0 / temperature,
            masked,
        };
        base += shard.dims()[0];
        scores(hidden.clone(), shard, targets.clone(), mask.clone(), form)
    });
    combine(states.collect(), targets.clone())
}

/// Log-sum-exp, target's score and entropy of each row under one shard: `[n, 3]`.
fn scores(
    hidden: Tensor<2>,
    shard: Weight<2>,
    targets: Tensor<1, Int>,
    mask: Tensor<1>,
    form: Form,
) -> Tensor<2> {
    let (hidden, targets) = (hidden.into_dispatch(), targets.into_dispatch());
    let mask = mask.into_dispatch();
    Tensor::from_dispatch(match shard {
        Weight::Float(w) => Dispatch::head_scores(hidden, w.into_dispatch(), targets, mask, form),
        Weight::Quantised(q) => {
            let (codes, scales, format) = q.into_parts();
            let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
            Dispatch::head_scores_codes(hidden, codes, scales, targets, mask, (format, form))
        }
    })
}

/// Log-probabilities and entropies from the states of all shards.
fn combine(states: Vec<Tensor<2>>, targets: Tensor<1, Int>) -> (Tensor<1>, Tensor<1>) {
    let [n] = targets.dims();
    let column = |i: usize| -> Vec<Tensor<1>> {
        let columns = states.iter().map(|t| t.clone().slice(s![.., i..i + 1]));
        columns.map(|t| t.reshape([n])).collect()
    };
    let (logs, scores, entropies) = (column(0), column(1), column(2));
    let sum = |parts: Vec<Tensor<1>>| parts.into_iter().reduce(|a, b| a + b);
    let (Some(score), [first, rest @ ..]) = (sum(scores), &logs[..]) else {
        unreachable!("token_logprobs() asserts that there is a shard");
    };
    let top = rest.iter().fold(first.clone().detach(), |top, log| {
        top.max_pair(log.clone().detach())
    });
    let below = |log: &Tensor<1>, of: &Tensor<1>| (log.clone() - of.clone()).clamp_min(-80.0);
    let (log, entropy) = match rest {
        [] => (first.clone(), entropies[0].clone()),
        _ => {
            let parts = logs.iter().map(|log| below(log, &top).exp());
            let parts = parts.reduce(|a, b| a + b);
            let log = top + parts.unwrap_or_else(|| first.zeros_like()).log();
            let parts = logs.iter().zip(entropies).map(|(part, entropy)| {
                let below = below(part, &log);
                below.clone().exp() * (entropy - below)
            });
            let entropy = sum(parts.collect()).unwrap_or_else(|| first.zeros_like());
            (log, entropy)
        }
    };
    let ignored = targets.lower_elem(0);
    let chosen = (score - log.clone()).mask_fill(ignored, 0.0);
    (chosen, entropy)
}

/// Definition of [`token_logprobs`] in tensor operations; materialises all logits.
pub fn token_logprobs_reference(
    hidden: Tensor<2>,
    head: Vec<Weight<2>>,
    targets: Tensor<1, Int>,
    temperature: f32,
    forbidden: Option<Tensor<1>>,
) -> (Tensor<1>, Tensor<1>) {
    let [n, _] = hidden.dims();
    let shards = head.into_iter();
    let shards = shards.map(|w| crate::linear_reference(hidden.clone(), w, None));
    let mut logits = Tensor::cat(shards.collect(), 1) / temperature;
    let [_, vocabulary] = logits.dims();
    let mask = forbidden.map(|f| {
        let mask = f.not_equal_elem(0.0).reshape([1, vocabulary]);
        mask.expand([n, vocabulary])
    });
    if let Some(mask) = &mask {
        logits = logits.mask_fill(mask.clone(), NONE);
    }
    let logs = activation::log_softmax(logits, 1);
    let ids = targets.clone().clamp(0, vocabulary as i64 - 1);
    let chosen = logs.clone().gather(1, ids.reshape([n, 1])).reshape([n]);
    let chosen = chosen.mask_fill(targets.lower_elem(0), 0.0);
    let logs = match mask {
        Some(mask) => logs.clone().exp() * logs.mask_fill(mask, 0.0),
        None => logs.clone().exp() * logs,
    };
    (chosen, logs.sum_dim(1).reshape([n]).neg())
}

/// A shard of a head.
#[derive(Clone, Debug)]
pub(crate) enum Head<B: Differentiable> {
    Float(FloatTensor<B>),
    Codes(Codes<B>),
}

impl<B: Differentiable> Head<B> {
    fn rows(&self) -> usize {
        match self {
            Head::Float(t) => t.shape()[0],
            Head::Codes(codes) => codes.rows(),
        }
    }

    /// Scores of some rows before the temperature.
    fn scores(&self, hidden: FloatTensor<B>, rows: Range<usize>) -> FloatTensor<B> {
        match self {
            Head::Float(_) => <B as KernelOps>::linear(hidden, self.wide(rows)),
            Head::Codes(codes) => {
                let part = codes.slice(rows);
                B::linear_codes(hidden, part.codes, part.scales, part.format)
            }
        }
    }

    /// Some rows as floats.
    fn wide(&self, rows: Range<usize>) -> FloatTensor<B> {
        match self {
            Head::Float(t) if rows.len() == t.shape()[0] => t.clone(),
            Head::Float(t) => cut::<B>(t, &rows),
            Head::Codes(codes) => codes.wide(rows),
        }
    }
}

/// Rows of a matrix.
fn cut<B: Differentiable>(t: &FloatTensor<B>, rows: &Range<usize>) -> FloatTensor<B> {
    let columns = t.shape()[1];
    B::float_slice(t.clone(), &[rows.clone().into(), (0..columns).into()])
}

/// Runs of at most `each` of `0..len`.
fn runs(len: usize, each: usize) -> Vec<Range<usize>> {
    let starts = (0..len).step_by(each.max(1));
    starts.map(|start| start..len.min(start + each)).collect()
}

/// Rows and vocabulary in pieces of at most [`SCORES`].
fn pieces(rows: usize, vocabulary: usize) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let each = rows.clamp(1, ROWS);
    let columns = (SCORES / each).min(COLUMNS);
    (runs(rows, each), runs(vocabulary, columns))
}

/// The state of each row, `[n, 3]`; see `scores`.
pub(crate) fn forward<B: Differentiable>(
    hidden: FloatTensor<B>,
    head: &Head<B>,
    targets: IntTensor<B>,
    mask: FloatTensor<B>,
    form: Form,
) -> FloatTensor<B> {
    let n = hidden.shape()[0];
    let (rows, columns) = pieces(n, head.rows());
    let states = rows.iter().map(|run| {
        let part = cut::<B>(&hidden, run);
        let targets = B::int_slice(targets.clone(), &[Slice::from(run.clone())]);
        let state = columns.iter().fold(None, |state, columns| {
            let scores = head.scores(part.clone(), columns.clone());
            let piece = form.piece(columns.start);
            let (mask, targets) = (mask.clone(), targets.clone());
            Some(B::score_fold(scores, mask, targets, state, piece))
        });
        state.unwrap_or_else(|| {
            let shape = Shape::new([run.len(), 3]);
            B::float_zeros(shape, &hidden.device(), FloatDType::F32)
        })
    });
    join::<B>(states.collect(), [n, 3], &hidden)
}

/// Parts one below the other.
fn join<B: Differentiable>(
    mut parts: Vec<FloatTensor<B>>,
    shape: [usize; 2],
    like: &FloatTensor<B>,
) -> FloatTensor<B> {
    match parts.len() {
        0 => B::float_zeros(Shape::new(shape), &like.device(), FloatDType::F32),
        1 => parts.remove(0),
        _ => B::float_cat(parts, 0),
    }
}

/// Gradients of the hidden states and of the head, where wanted, in f32; scores are computed again.
pub(crate) fn backward<B: Differentiable>(
    (hidden, head, targets, mask): (FloatTensor<B>, &Head<B>, IntTensor<B>, FloatTensor<B>),
    form: Form,
    state: FloatTensor<B>,
    grad: FloatTensor<B>,
    [wants_hidden, wants_head]: [bool; 2],
) -> [Option<FloatTensor<B>>; 2] {
    let [n, width] = hidden.shape().dims::<2>();
    let (rows, columns) = pieces(n, head.rows());
    let inputs = |run: &Range<usize>| {
        let targets = B::int_slice(targets.clone(), &[Slice::from(run.clone())]);
        let [hidden, state, grad] = [&hidden, &state, &grad].map(|t| cut::<B>(t, run));
        (hidden, targets, state, grad)
    };
    let parts: Vec<_> = rows.iter().map(inputs).collect();
    let mut dhidden: Vec<Option<FloatTensor<B>>> = vec![None; parts.len()];
    let zeros = |rows| B::float_zeros(Shape::new([rows, width]), &hidden.device(), FloatDType::F32);
    let mut dhead = wants_head.then(|| zeros(head.rows()));
    for columns in columns {
        let weight = head.wide(columns.clone());
        let mut dweight = None;
        for ((hidden, targets, state, grad), sum) in parts.iter().zip(&mut dhidden) {
            let scores = <B as KernelOps>::linear(hidden.clone(), weight.clone());
            let piece = form.piece(columns.start);
            let (targets, state) = (targets.clone(), state.clone());
            let ds = B::score_grad(scores, mask.clone(), targets, state, piece, grad.clone());
            if wants_hidden {
                add::<B>(sum, B::linear_grad_input(ds.clone(), weight.clone()));
            }
            if wants_head {
                add::<B>(&mut dweight, B::linear_grad_weight(ds, hidden.clone()));
            }
        }
        dhead = match (dhead.take(), dweight) {
            (Some(all), Some(part)) => {
                let place = [columns.into(), (0..width).into()];
                Some(B::float_slice_assign(all, &place, part))
            }
            (all, _) => all,
        };
    }
    let parts: Vec<_> = dhidden.into_iter().flatten().collect();
    let dhidden = wants_hidden.then(|| join::<B>(parts, [n, width], &hidden));
    [dhidden, dhead]
}

/// Adds a part to a sum that may be empty.
fn add<B: Differentiable>(sum: &mut Option<FloatTensor<B>>, part: FloatTensor<B>) {
    *sum = Some(match sum.take() {
        Some(sum) => B::float_add(sum, part),
        None => part,
    });
}
