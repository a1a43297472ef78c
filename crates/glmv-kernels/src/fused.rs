//! Decoding in few launches: products of few rows together with the norm before them and with the
//! bias, residual, SwiGLU, rotation or cache write behind them. Other sizes, devices and tracked
//! tensors run the ops one by one.

use crate::backend::KernelOps;
use crate::moe::{moe_experts, moe_experts_reference};
use crate::route::{Op, Route, route};
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
pub(crate) fn is_fused(x: &Tensor<2>, weights: &[DType]) -> bool {
    let [rows, k] = x.dims();
    let group = match weights.contains(&DType::F16) {
        true => 8,
        false => 4,
    };
    rows > 0
        && rows <= FEW_ROWS
        && k.is_multiple_of(group)
        && weights.iter().all(|t| matches!(t, DType::F32 | DType::F16))
        && route(Op::Fused, &x.device()) == Route::Wgsl
}

/// `after(norm(x) · weightᵀ)`.
///
/// # Shapes
/// `x` `[rows, in]` f32, `weight` `[n, in]` f32 or f16 → `[rows, n]`, or half as wide for SwiGLU.
///
/// # Panics
/// If shapes disagree.
///
/// Source: HF `Glm4vRMSNorm`, torch `nn.Linear`, `Glm4vTextMLP`.
pub fn fused_linear(
    x: Tensor<2>,
    norm: Option<Norm>,
    weight: Tensor<2>,
    after: After,
) -> Tensor<2> {
    if !is_fused(&x, &[weight.dtype()]) {
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
    Tensor::from_dispatch(Dispatch::few_linear(
        x.clone().into_dispatch(),
        gamma,
        weight.into_dispatch(),
        extra,
        form,
    ))
}

/// Definition of [`fused_linear`].
pub fn fused_linear_reference(
    x: Tensor<2>,
    norm: Option<Norm>,
    weight: Tensor<2>,
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
    shards: &[(Tensor<3>, Tensor<3>)],
) -> Tensor<2> {
    let types: Vec<DType> = shards.iter().map(|(gate_up, _)| gate_up.dtype()).collect();
    let [tokens, slots] = ids.dims();
    let width = shards.first().map_or(0, |(_, down)| down.dims()[2]);
    if !is_fused(&x, &types) || tokens * slots > FEW_SLOTS || !width.is_multiple_of(8) {
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
        out = Tensor::from_dispatch(Dispatch::few_experts(
            x.clone().into_dispatch(),
            norm.weight.clone().into_dispatch(),
            ids.clone().into_dispatch(),
            weights.clone().into_dispatch(),
            gate_up.clone().into_dispatch(),
            down.clone().into_dispatch(),
            out.into_dispatch(),
            (norm.eps, base),
        ));
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
    shards: &[(Tensor<3>, Tensor<3>)],
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
    shards: &[(Tensor<3>, Tensor<3>)],
    part: impl Fn(Tensor<3>, Tensor<3>, usize) -> Tensor<2>,
) -> Tensor<2> {
    let (mut base, mut out) = (0, x);
    for (gate_up, down) in shards {
        let experts = gate_up.dims()[0];
        out = out + part(gate_up.clone(), down.clone(), base);
        base += experts;
    }
    out
}
