//! Decoding in few launches: products of few rows together with the norm before them and with the
//! bias, residual, SwiGLU, rotation or cache write behind them. Other sizes, devices and tracked
//! tensors run the ops one by one.

use crate::backend_few::FewOps;
use crate::moe::{moe_experts, moe_experts_reference};
use crate::route::{Op, Route, route};
use crate::weight::Weight;
use crate::{linear, linear_reference, rms_norm, rms_norm_reference, swiglu, swiglu_reference};
use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor};

#[path = "fused_cube.rs"]
pub(crate) mod cube;
#[path = "fused_qkv.rs"]
mod qkv;
pub(crate) use qkv::QkvForm;
pub use qkv::{CacheRows, Heads, fused_qkv, fused_qkv_reference, qkv_is_fused};

/// Most rows that the fused kernels take: what a decode step of a full batch has.
pub const FEW_ROWS: usize = 64;
/// Most slots (rows times experts per row) of the fused expert kernels.
const FEW_SLOTS: usize = 2048;

/// RMSNorm of a product's input.
#[derive(Clone, Debug)]
pub struct Norm {
    /// `[d]`.
    pub weight: Tensor<1>,
    pub eps: f32,
}

/// What follows a product `y` `[rows, n]`.
#[derive(Clone, Debug)]
pub enum After {
    Nothing,
    /// `y + bias`, `[n]`.
    Bias(Tensor<1>),
    /// `residual + y`, `[rows, n]`.
    Residual(Tensor<2>),
    /// `silu(y[:n/2]) * y[n/2:]` → `[rows, n / 2]`.
    SwiGlu,
}

/// How a launch of `few_linear` is specialised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LinearForm {
    /// eps of the norm, if there is one.
    pub norm: Option<f32>,
    pub after: Form,
}

/// [`After`] without its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Nothing,
    Bias,
    Residual,
    SwiGlu,
}

/// True where the fused kernels run: wgpu, few rows, rows of whole words.
pub(crate) fn is_fused<'a, const D: usize>(
    x: &Tensor<2>,
    mut weights: impl Iterator<Item = &'a Weight<D>>,
) -> bool {
    let rows = x.dims()[0];
    rows > 0
        && rows <= FEW_ROWS
        && x.dims()[1].is_multiple_of(4)
        && weights.all(in_words)
        && route(Op::Fused, &x.device()) == Route::Wgsl
}

fn in_words<const D: usize>(weight: &Weight<D>) -> bool {
    let inner = weight.dims()[D - 1];
    match weight {
        Weight::Float(t) => match t.dtype() {
            DType::F32 => inner.is_multiple_of(4),
            DType::F16 => inner.is_multiple_of(8),
            _ => false,
        },
        Weight::Quantised(_) => inner.is_multiple_of(4),
    }
}

/// `after(norm(x) · weightᵀ)`.
///
/// # Shapes
/// `x` `[rows, in]` f32, `weight` `[n, in]` f32, f16 or codes → `[rows, n]`, or half as wide for SwiGLU.
///
/// # Panics
/// If shapes disagree.
///
/// Source: HF `Glm4vRMSNorm`, torch `nn.Linear`, `Glm4vTextMLP`.
pub fn fused_linear(
    x: Tensor<2>,
    norm: Option<Norm>,
    weight: impl Into<Weight<2>>,
    after: After,
) -> Tensor<2> {
    let weight = weight.into();
    if !is_fused(&x, std::iter::once(&weight)) {
        let x = match norm {
            Some(norm) => rms_norm(x, norm.weight, norm.eps),
            None => x,
        };
        return match after {
            After::Nothing => linear(x, weight, None),
            After::Bias(bias) => linear(x, weight, Some(bias)),
            After::Residual(residual) => residual + linear(x, weight, None),
            After::SwiGlu => swiglu(linear(x, weight, None)),
        };
    }
    assert_eq!(
        x.dims()[1],
        weight.dims()[1],
        "linear: width of x and weight"
    );
    let any = || x.clone().into_dispatch();
    let (gamma, eps) = match norm {
        Some(norm) => (norm.weight.into_dispatch(), Some(norm.eps)),
        None => (any(), None),
    };
    let (extra, after) = match after {
        After::Nothing => (any(), Form::Nothing),
        After::Bias(bias) => (bias.into_dispatch(), Form::Bias),
        After::Residual(residual) => (residual.into_dispatch(), Form::Residual),
        After::SwiGlu => (any(), Form::SwiGlu),
    };
    let form = LinearForm { norm: eps, after };
    let x = x.clone().into_dispatch();
    Tensor::from_dispatch(match weight {
        Weight::Float(w) => Dispatch::few_linear(x, gamma, w.into_dispatch(), extra, form),
        Weight::Quantised(q) => {
            let (codes, scales, format) = q.into_parts();
            let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
            Dispatch::few_linear_codes(x, gamma, codes, scales, extra, format, form)
        }
    })
}

/// Definition of [`fused_linear`].
pub fn fused_linear_reference(
    x: Tensor<2>,
    norm: Option<Norm>,
    weight: impl Into<Weight<2>>,
    after: After,
) -> Tensor<2> {
    let x = match norm {
        Some(norm) => rms_norm_reference(x, norm.weight, norm.eps),
        None => x,
    };
    match after {
        After::Nothing => linear_reference(x, weight, None),
        After::Bias(bias) => linear_reference(x, weight, Some(bias)),
        After::Residual(residual) => residual + linear_reference(x, weight, None),
        After::SwiGlu => swiglu_reference(linear_reference(x, weight, None)),
    }
}

/// Experts of one shard: gate_up `[shard, 2 * width, hidden]` and down `[shard, hidden, width]`, of
/// one kind.
pub type Shard = (Weight<3>, Weight<3>);

/// `x + experts(norm(x))`: the second half of a mixture-of-experts layer behind the router.
///
/// # Shapes
/// `x` `[tokens, hidden]`, `ids` and `weights` `[tokens, slots]`, shards as [`moe_experts`] takes
/// them: (gate_up `[shard, 2 * width, hidden]`, down `[shard, hidden, width]`), in order
/// → `[tokens, hidden]`.
///
/// Source: HF `Glm4vMoeTextMoE.forward` and the residual of `Glm4vMoeTextDecoderLayer`.
pub fn fused_experts(
    x: Tensor<2>,
    norm: Norm,
    ids: Tensor<2, Int>,
    weights: Tensor<2>,
    shards: &[Shard],
) -> Tensor<2> {
    let stacks = || shards.iter().flat_map(|(gate_up, down)| [gate_up, down]);
    let alike = shards.iter().all(|pair| {
        matches!(
            pair,
            (Weight::Float(_), Weight::Float(_)) | (Weight::Quantised(_), Weight::Quantised(_))
        )
    });
    let [tokens, slots] = ids.dims();
    if !alike || !is_fused(&x, stacks()) || tokens * slots > FEW_SLOTS {
        let normed = rms_norm(x.clone(), norm.weight, norm.eps);
        return sum(x, shards, |gate_up, down, base| {
            moe_experts(
                normed.clone(),
                ids.clone(),
                weights.clone(),
                gate_up,
                down,
                base,
            )
        });
    }
    let (mut base, mut out) = (0, x.clone());
    for (gate_up, down) in shards {
        let [experts, _, hidden] = gate_up.dims();
        let x = x.clone().into_dispatch();
        let gamma = norm.weight.clone().into_dispatch();
        let (ids, weights) = (ids.clone().into_dispatch(), weights.clone().into_dispatch());
        let (residual, scalars) = (out.into_dispatch(), (norm.eps, base));
        out = Tensor::from_dispatch(match (gate_up.clone(), down.clone()) {
            (Weight::Float(gate_up), Weight::Float(down)) => {
                let (gate_up, down) = (gate_up.into_dispatch(), down.into_dispatch());
                Dispatch::few_experts(x, gamma, ids, weights, gate_up, down, residual, scalars)
            }
            (Weight::Quantised(gate_up), Weight::Quantised(down)) => {
                let width = down.dims()[2];
                let (g, gs, gf) = gate_up.into_parts();
                let (d, ds, df) = down.into_parts();
                Dispatch::few_experts_codes(
                    x,
                    gamma,
                    ids,
                    weights,
                    g.into_dispatch(),
                    gs.into_dispatch(),
                    d.into_dispatch(),
                    ds.into_dispatch(),
                    residual,
                    (gf, hidden, df, width),
                    scalars,
                )
            }
            _ => unreachable!("shards of two kinds run op by op"),
        });
        base += experts;
    }
    out
}

/// Definition of [`fused_experts`].
pub fn fused_experts_reference(
    x: Tensor<2>,
    norm: Norm,
    ids: Tensor<2, Int>,
    weights: Tensor<2>,
    shards: &[Shard],
) -> Tensor<2> {
    let normed = rms_norm_reference(x.clone(), norm.weight, norm.eps);
    sum(x, shards, |gate_up, down, base| {
        moe_experts_reference(
            normed.clone(),
            ids.clone(),
            weights.clone(),
            gate_up,
            down,
            base,
        )
    })
}

/// `x` plus what `part` makes of each shard and its first expert.
fn sum(
    x: Tensor<2>,
    shards: &[Shard],
    part: impl Fn(Weight<3>, Weight<3>, usize) -> Tensor<2>,
) -> Tensor<2> {
    let (mut base, mut out) = (0, x);
    for (gate_up, down) in shards {
        let experts = gate_up.dims()[0];
        out = out + part(gate_up.clone(), down.clone(), base);
        base += experts;
    }
    out
}
