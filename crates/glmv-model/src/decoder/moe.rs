//! Mixture-of-experts feed-forward: router in f32, routed experts, one shared MLP.

use crate::config::MoeConfig;
use crate::vision::Mlp;
use crate::{Error, Loader, Probe};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use glmv_kernels::{RouterConfig, linear, moe_experts, moe_router};

/// HF `Glm4vMoeTextMoE`.
#[derive(Module, Debug)]
pub struct Moe {
    /// Router weight `[experts, hidden]`, always f32.
    pub gate: Param<Tensor<2>>,
    /// `[experts]`, f32, not trained.
    pub e_score_correction_bias: Param<Tensor<1>>,
    /// Shards `[experts_i, 2 * width, hidden]`, gate rows first.
    pub gate_up_proj: Vec<Param<Tensor<3>>>,
    /// Shards `[experts_i, hidden, width]`.
    pub down_proj: Vec<Param<Tensor<3>>>,
    pub shared_experts: Option<Mlp>,
    #[module(skip)]
    router: Routing,
}

/// The router's configuration, kept beside the weights.
#[derive(Clone, Copy, Debug)]
struct Routing(RouterConfig);

impl Moe {
    pub(super) fn load(
        loader: &Loader<'_>,
        config: &MoeConfig,
        hidden: usize,
        prefix: &str,
    ) -> Result<Self, Error> {
        let (experts, width) = (config.num_experts, config.expert_width);
        let name = |rest: &str| format!("{prefix}.{rest}");
        let widest = 2 * width * hidden;
        let gate_up = |e: usize| {
            vec![
                name(&format!("experts.{e}.gate_proj.weight")),
                name(&format!("experts.{e}.up_proj.weight")),
            ]
        };
        let down = |e: usize| vec![name(&format!("experts.{e}.down_proj.weight"))];
        let fused = name("experts.gate_up_proj");
        let gate_up_proj = loader.stack(&fused, &gate_up, [experts, 2 * width, hidden], widest)?;
        let fused = name("experts.down_proj");
        let down_proj = loader.stack(&fused, &down, [experts, hidden, width], widest)?;
        let bias = loader.f32(&name("gate.e_score_correction_bias"), [experts])?;
        let shared = width * config.num_shared_experts;
        let shared_experts = match shared {
            0 => None,
            _ => Some(Mlp::load(loader, &name("shared_experts"), hidden, shared)?),
        };
        let router = RouterConfig {
            top_k: config.top_k,
            n_group: config.n_group,
            topk_group: config.topk_group,
            normalise: config.norm_topk_prob,
            scale: config.routed_scaling_factor,
        };
        Ok(Moe {
            gate: loader.f32(&name("gate.weight"), [experts, hidden])?,
            e_score_correction_bias: bias.set_require_grad(false),
            gate_up_proj,
            down_proj,
            shared_experts,
            router: Routing(router),
        })
    }

    /// Chosen experts and their weights.
    ///
    /// # Shapes
    /// `x` `[tokens, hidden]` → ids, weights `[tokens, top_k]`.
    pub fn route(&self, x: Tensor<2>) -> (Tensor<2, Int>, Tensor<2>) {
        let logits = linear(x, self.gate.val(), None);
        moe_router(logits, self.e_score_correction_bias.val(), self.router.0)
    }

    /// Sum of the weighted routed experts.
    ///
    /// # Shapes
    /// `x` `[tokens, hidden]` → `[tokens, hidden]`.
    pub fn routed(&self, x: Tensor<2>, ids: Tensor<2, Int>, weights: Tensor<2>) -> Tensor<2> {
        let mut base = 0;
        let mut sum: Option<Tensor<2>> = None;
        for (gate_up, down) in self.gate_up_proj.iter().zip(&self.down_proj) {
            let (gate_up, down) = (gate_up.val(), down.val());
            let shard = gate_up.dims()[0];
            let y = moe_experts(x.clone(), ids.clone(), weights.clone(), gate_up, down, base);
            sum = Some(match sum {
                Some(sum) => sum + y,
                None => y,
            });
            base += shard;
        }
        // The loader always gives at least one shard.
        sum.unwrap_or(x)
    }

    /// Routed experts plus the shared one.
    ///
    /// # Shapes
    /// `x` `[tokens, hidden]` → `[tokens, hidden]`.
    ///
    /// Source: HF `Glm4vMoeTextMoE.forward`.
    pub fn forward(&self, x: Tensor<2>, probe: &mut Probe) -> Tensor<2> {
        let (ids, weights) = self.route(x.clone());
        let routed = self.routed(x.clone(), ids, weights.clone());
        probe.record(|| "topk_weights".into(), &weights);
        probe.record(|| "routed_output".into(), &routed);
        match &self.shared_experts {
            Some(shared) => routed + shared.forward(x),
            None => routed,
        }
    }
}
