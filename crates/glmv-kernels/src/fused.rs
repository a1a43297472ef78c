//! Decoding in few launches: products of few rows together with the norm before them and with the
//! bias, residual, SwiGLU, rotation or cache write behind them. Other sizes, devices and tracked
//! tensors run the ops one by one.

use crate::backend::KernelOps;
use crate::backend_codes::CodesOps;
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

/// True where the fused kernels run: wgpu, few rows, rows of whole vectors.
pub(crate) fn is_fused<'a, const D: usize>(
    x: &Tensor<2>,
    weights: impl IntoIterator<Item = &'a Weight<D>>,
) -> bool {
    let [rows, k] = x.dims();
    rows > 0
        && rows <= FEW_ROWS
        && weights.into_iter().all(|w| match w {
            Weight::Float(t) => match t.dtype() {
                DType::F32 => k.is_multiple_of(4),
                DType::F16 => k.is_multiple_of(8),
                _ => false,
            },
            Weight::Quantised(_) => k.is_multiple_of(4),
        })
        && route(Op::Fused, &x.device()) == Route::Wgsl
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
    if !is_fused(&x, [&weight]) {
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
    let rows = x.clone().into_dispatch();
    Tensor::from_dispatch(match weight {
        Weight::Float(weight) => {
            Dispatch::few_linear(rows, gamma, weight.into_dispatch(), extra, form)
        }
        Weight::Quantised(q) => {
            let (codes, scales, format) = q.into_parts();
            let (codes, scales) = (codes.into_dispatch(), scales.into_dispatch());
            Dispatch::few_linear_codes(rows, gamma, codes, scales, extra, (form, format))
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
    shards: &[(Weight<3>, Weight<3>)],
) -> Tensor<2> {
    let [tokens, slots] = ids.dims();
    let width = shards.first().map_or(0, |(_, down)| down.dims()[2]);
    let gate_ups = shards.iter().map(|(gate_up, _)| gate_up);
    if !is_fused(&x, gate_ups) || tokens * slots > FEW_SLOTS || !width.is_multiple_of(8) {
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
        let experts = gate_up.dims()[0];
        let (x, gamma) = (x.clone().into_dispatch(), norm.weight.clone());
        let (gamma, ids) = (gamma.into_dispatch(), ids.clone().into_dispatch());
        let (weights, residual) = (weights.clone().into_dispatch(), out.into_dispatch());
        out = Tensor::from_dispatch(match (gate_up.clone(), down.clone()) {
            (Weight::Quantised(gate_up), Weight::Quantised(down)) => {
                let (gate_up, gate_up_scales, first) = gate_up.into_parts();
                let (down, down_scales, second) = down.into_parts();
                Dispatch::few_experts_codes(
                    x,
                    gamma,
                    ids,
                    weights,
                    gate_up.into_dispatch(),
                    gate_up_scales.into_dispatch(),
                    down.into_dispatch(),
                    down_scales.into_dispatch(),
                    residual,
                    (norm.eps, base, [first, second]),
                )
            }
            (gate_up, down) => Dispatch::few_experts(
                x,
                gamma,
                ids,
                weights,
                gate_up.into_float().into_dispatch(),
                down.into_float().into_dispatch(),
                residual,
                (norm.eps, base),
            ),
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
    shards: &[(Weight<3>, Weight<3>)],
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
    shards: &[(Weight<3>, Weight<3>)],
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
