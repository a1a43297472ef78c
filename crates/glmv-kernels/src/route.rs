//! Which implementation of an op runs: the only place that decides. Called by every op's public
//! function and by `glmv doctor`, which reports the decision.

use burn::tensor::{Device, Tensor};
use std::cell::{Cell, RefCell};
use std::sync::OnceLock;

/// One operation of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    RmsNorm,
    SwiGlu,
    Rope,
    PosEmbed,
    Splice,
    Embed,
    Linear,
    KvWrite,
    Attention,
    MoeRouter,
    MoeExperts,
    TokenLogprobs,
    /// The fused launches of decoding.
    Fused,
    /// A step of the optimiser.
    AdamW,
    /// The choice of tokens.
    Sample,
}

impl Op {
    /// Every operation, in the order they run in a forward pass.
    pub const ALL: [Op; 15] = [
        Op::PosEmbed,
        Op::Embed,
        Op::Splice,
        Op::RmsNorm,
        Op::Linear,
        Op::Rope,
        Op::KvWrite,
        Op::Attention,
        Op::SwiGlu,
        Op::MoeRouter,
        Op::MoeExperts,
        Op::TokenLogprobs,
        Op::Fused,
        Op::AdamW,
        Op::Sample,
    ];

    /// Name in `GLMV_KERNELS`, in `glmv doctor` and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Op::RmsNorm => "rms_norm",
            Op::SwiGlu => "swiglu",
            Op::Rope => "rope",
            Op::PosEmbed => "pos_embed",
            Op::Splice => "splice",
            Op::Embed => "embed",
            Op::Linear => "linear",
            Op::KvWrite => "kv_write",
            Op::Attention => "attention",
            Op::MoeRouter => "moe_router",
            Op::MoeExperts => "moe_experts",
            Op::TokenLogprobs => "token_logprobs",
            Op::Fused => "fused",
            Op::AdamW => "adamw",
            Op::Sample => "sample",
        }
    }

    /// True where a hand-written backward exists, so that training runs the same kernel.
    pub fn has_backward(self) -> bool {
        !matches!(self, Op::KvWrite | Op::Fused | Op::AdamW | Op::Sample)
    }
}

/// The implementation that serves an op on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Our WGSL kernel through wgpu (Vulkan, Metal, DX12).
    Wgsl,
    /// Native Rust on the Flex CPU device.
    Native,
    /// The composition of tensor operations that defines the op.
    Twin,
}

impl Route {
    /// Lower-case name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Route::Wgsl => "wgsl",
            Route::Native => "native",
            Route::Twin => "twin",
        }
    }
}

/// Chooses the implementation of `op` for tensors on `device`, and says why.
///
/// Source: the routing rule of `ARCHITECTURE.md`. Never opens a device.
pub fn route_with_reason(op: Op, device: &Device) -> (Route, &'static str) {
    if forced_to_twin(op) {
        return (Route::Twin, "GLMV_KERNELS asks for the twin");
    }
    if device.is_autodiff() && !op.has_backward() {
        return (Route::Twin, "differentiated through its tensor operations");
    }
    match crate::device::kind(device) {
        crate::device::Kind::Wgpu => (Route::Wgsl, "wgpu device with the WGSL compiler"),
        crate::device::Kind::Flex => (Route::Native, "CPU device"),
        crate::device::Kind::Other => (Route::Twin, "neither a wgpu nor the Flex CPU device"),
    }
}

/// Chooses the implementation of `op` for tensors on `device`; see [`route_with_reason`].
pub fn route(op: Op, device: &Device) -> Route {
    route_with_reason(op, device).0
}

thread_local! {
    static TWINS: RefCell<Vec<Op>> = const { RefCell::new(Vec::new()) };
    static BROKEN: Cell<Option<Op>> = const { Cell::new(None) };
}

/// Runs `f` with `ops` as their twins on this thread, beside those that `GLMV_KERNELS` names: to
/// find the kernel that makes a difference.
pub fn with_twins<R>(ops: &[Op], f: impl FnOnce() -> R) -> R {
    struct Leave(Vec<Op>);
    impl Drop for Leave {
        fn drop(&mut self) {
            TWINS.set(std::mem::take(&mut self.0));
        }
    }
    let _leave = Leave(TWINS.replace(ops.to_vec()));
    f()
}

/// Runs `f` with the results of `op`'s kernel made wrong by a hundredth on this thread; its twin stays
/// right. The control of checks that must find a broken kernel; served by the ops that call
/// [`perhaps_broken`].
#[doc(hidden)]
pub fn with_broken<R>(op: Op, f: impl FnOnce() -> R) -> R {
    struct Leave(Option<Op>);
    impl Drop for Leave {
        fn drop(&mut self) {
            BROKEN.set(self.0);
        }
    }
    let _leave = Leave(BROKEN.replace(Some(op)));
    f()
}

/// What the kernel of `op` gave, or something else inside of [`with_broken`].
pub(crate) fn perhaps_broken<const D: usize>(op: Op, result: Tensor<D>) -> Tensor<D> {
    match BROKEN.get() == Some(op) {
        true => result * 1.01,
        false => result,
    }
}

fn forced_to_twin(op: Op) -> bool {
    static FORCED: OnceLock<Vec<Op>> = OnceLock::new();
    if TWINS.with_borrow(|twins| twins.contains(&op)) {
        return true;
    }
    FORCED
        .get_or_init(|| parse(std::env::var("GLMV_KERNELS").ok().as_deref()))
        .contains(&op)
}

/// Ops that `GLMV_KERNELS` sends to their twins: `twin` is all, `twin:rope,attention` some.
fn parse(value: Option<&str>) -> Vec<Op> {
    let Some(rest) = value.and_then(|v| v.strip_prefix("twin")) else {
        return Vec::new();
    };
    match rest.strip_prefix(':') {
        None => Op::ALL.to_vec(),
        Some(names) => Op::ALL
            .into_iter()
            .filter(|op| names.split(',').any(|n| n.trim() == op.name()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_variable_selects_ops() {
        assert_eq!(parse(None), vec![]);
        assert_eq!(parse(Some("wgsl")), vec![]);
        assert_eq!(parse(Some("twin")).len(), Op::ALL.len());
        assert_eq!(
            parse(Some("twin:rope, attention")),
            vec![Op::Rope, Op::Attention]
        );
    }

    #[test]
    fn autodiff_uses_the_twin_unless_a_backward_exists() {
        let device = Device::flex().autodiff();
        assert_eq!(route(Op::KvWrite, &device), Route::Twin);
        assert_eq!(route(Op::Rope, &device), Route::Native);
    }
}
