//! Our kernels in somebody else's Burn module: a sparse feed-forward block whose experts run in the
//! fused expert dispatch, trained through its hand-written backward. A crate that wants this needs
//! `glmv-kernels` and `burn` only, neither model nor engine.
//!
//!     cargo run --example custom_kernel

use anyhow::{Result, ensure};
use burn::module::{Module, Param};
use burn::tensor::{Device, Distribution, Int, Tensor};
use glmv::kernels::device::{Choice, read, select};
use glmv::kernels::{
    Op, RouterConfig, moe_experts, moe_experts_reference, moe_router, rms_norm, route,
};

/// `x + experts(norm(x))`, each token through 2 of 16 experts.
#[derive(Module, Debug)]
struct SparseBlock {
    norm: Param<Tensor<1>>,
    router: Param<Tensor<2>>,
    /// `[experts, 2 * width, hidden]`, gate rows first.
    gate_up: Param<Tensor<3>>,
    /// `[experts, hidden, width]`.
    down: Param<Tensor<3>>,
}

impl SparseBlock {
    fn new(hidden: usize, width: usize, device: &Device) -> Self {
        let random = Distribution::Normal(0.0, 0.1);
        SparseBlock {
            norm: Param::from_tensor(Tensor::ones([hidden], device)),
            router: Param::from_tensor(Tensor::random([16, hidden], random, device)),
            gate_up: Param::from_tensor(Tensor::random([16, 2 * width, hidden], random, device)),
            down: Param::from_tensor(Tensor::random([16, hidden, width], random, device)),
        }
    }

    /// Normed input, chosen experts and their weights: `[tokens, hidden]`, 2 x `[tokens, 2]`.
    fn choose(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2, Int>, Tensor<2>) {
        let x = rms_norm(x, self.norm.val(), 1e-5);
        let config = RouterConfig {
            top_k: 2,
            n_group: 1,
            topk_group: 1,
            normalise: true,
            scale: 1.0,
            shared: 0,
        };
        let logits = x.clone().matmul(self.router.val().transpose());
        let (ids, weights) = moe_router(logits, Tensor::zeros([16], &x.device()), config);
        (x, ids, weights)
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let (normed, ids, weights) = self.choose(x.clone());
        x + moe_experts(normed, ids, weights, self.gate_up.val(), self.down.val(), 0)
    }
}

fn main() -> Result<()> {
    let device = select(Choice::Auto)?.device.autodiff();
    println!("expert dispatch: {:?}", route(Op::MoeExperts, &device));
    let block = SparseBlock::new(64, 32, &device);
    let x = Tensor::random([10, 64], Distribution::Normal(0.0, 1.0), &device);

    let y = block.forward(x.clone());
    let grads = y.clone().powi_scalar(2).mean().backward();
    let grad = block.gate_up.val().grad(&grads);
    println!("gradient of the experts: {:?}", grad.map(|g| g.dims()));

    // The same sum by its definition, in plain tensor operations.
    let (normed, ids, weights) = block.choose(x.clone());
    let (gate_up, down) = (block.gate_up.val(), block.down.val());
    let twin = x + moe_experts_reference(normed, ids, weights, gate_up, down, 0);
    let worst = read(y)?.into_iter().zip(read(twin)?);
    let worst = worst.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("largest difference to the definition: {worst:e}");
    ensure!(worst < 1e-4, "the kernel does not compute its definition");
    Ok(())
}
