//! Mixture-of-experts feed-forward: router in f32 and the experts, of which the last are the shared
//! ones that every token takes with weight 1.

use crate::adapter::ExpertPart;
use crate::config::MoeConfig;
use crate::piece::Piece;
use crate::{Error, ExpertLora, Loader, Probe, WeightParam};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData, s};
use glmv_kernels::device::{Kind, kind, read, read_int};
use glmv_kernels::{
    After, Norm, RouterConfig, Shard, expert_linear, fused_experts, fused_linear, moe_experts,
    moe_router, rms_norm, swiglu,
};

/// HF `Glm4vMoeTextMoE`. The shared MLP, `num_shared_experts` times as wide as an expert, is held as
/// that many experts behind the routed ones: a sum over columns is a sum over experts.
#[derive(Module, Debug)]
pub struct Moe {
    /// Router weight `[routed experts, hidden]`, always f32.
    pub gate: Param<Tensor<2>>,
    /// `[routed experts]`, f32, not trained.
    pub e_score_correction_bias: Param<Tensor<1>>,
    /// Shards `[experts_i, 2 * width, hidden]`, gate rows first.
    pub gate_up_proj: Vec<WeightParam<3>>,
    /// Shards `[experts_i, hidden, width]`.
    pub down_proj: Vec<WeightParam<3>>,
    /// Of runs of neighbouring experts. A layer with adapters runs its products one by one.
    pub adapters: Vec<ExpertLora>,
    #[module(skip)]
    router: Routing,
}

/// The router's configuration, kept beside the weights.
#[derive(Clone, Copy, Debug)]
struct Routing(RouterConfig);

/// Names and rectangles of one layer's experts in a checkpoint.
struct Stored<'a> {
    loader: &'a Loader<'a>,
    prefix: &'a str,
    hidden: usize,
    width: usize,
    routed: usize,
    shared: usize,
}

impl Stored<'_> {
    fn name(&self, rest: &str) -> String {
        format!("{}.{rest}", self.prefix)
    }

    fn gate_up(&self, e: usize) -> Vec<Piece> {
        let (h, w) = (self.hidden, self.width);
        let both = |prefix: String, shape: [usize; 2], rows: std::ops::Range<usize>| {
            ["gate_proj", "up_proj"]
                .map(|p| Piece::whole(format!("{prefix}.{p}.weight"), shape).rows(rows.clone()))
                .to_vec()
        };
        let fused = self.name("experts.gate_up_proj");
        if let Some(c) = e.checked_sub(self.routed) {
            let prefix = self.name("shared_experts");
            both(prefix, [self.shared * w, h], c * w..(c + 1) * w)
        } else if self.loader.contains(&fused) {
            vec![self.of_fused(fused, e, [2 * w, h])]
        } else {
            both(self.name(&format!("experts.{e}")), [w, h], 0..w)
        }
    }

    fn down(&self, e: usize) -> Vec<Piece> {
        let (h, w) = (self.hidden, self.width);
        let fused = self.name("experts.down_proj");
        vec![if let Some(c) = e.checked_sub(self.routed) {
            let name = self.name("shared_experts.down_proj.weight");
            Piece::whole(name, [h, self.shared * w]).cols(c * w..(c + 1) * w)
        } else if self.loader.contains(&fused) {
            self.of_fused(fused, e, [h, w])
        } else {
            let name = self.name(&format!("experts.{e}.down_proj.weight"));
            Piece::whole(name, [h, w])
        }]
    }

    fn of_fused(&self, name: String, e: usize, [rows, cols]: [usize; 2]) -> Piece {
        Piece {
            name,
            shape: vec![self.routed, rows, cols],
            rows: e * rows..(e + 1) * rows,
            cols: 0..cols,
        }
    }
}

/// Every slot's row times its expert's matrix, over all shards of a stack.
fn product(shards: &[WeightParam<3>], x: &Tensor<2>, ids: &Tensor<2, Int>) -> Tensor<2> {
    let mut base = 0;
    let mut sum: Option<Tensor<2>> = None;
    for shard in shards {
        let y = expert_linear(x.clone(), ids.clone(), shard.val(), base);
        sum = Some(match sum {
            Some(sum) => sum + y,
            None => y,
        });
        base += shard.dims()[0];
    }
    // The loader always gives at least one shard.
    sum.unwrap_or_else(|| x.clone())
}

impl Moe {
    pub(super) fn load(
        loader: &Loader<'_>,
        layer: usize,
        config: &MoeConfig,
        hidden: usize,
        prefix: &str,
    ) -> Result<Self, Error> {
        let (routed, width) = (config.num_experts, config.expert_width);
        let shared = config.num_shared_experts;
        let stored = Stored {
            loader,
            prefix,
            hidden,
            width,
            routed,
            shared,
        };
        let experts = routed + shared;
        let widest = [[2 * width, hidden], [hidden, width]];
        let stack = |part: &str, pieces: &dyn Fn(usize) -> Vec<Piece>, rows, cols| {
            let loader = loader.of_experts(layer);
            loader.stack(&stored.name(part), pieces, [experts, rows, cols], &widest)
        };
        let gate_up = |e: usize| stored.gate_up(e);
        let gate_up_proj = stack("experts.gate_up_proj", &gate_up, 2 * width, hidden)?;
        let down_proj = stack("experts.down_proj", &|e| stored.down(e), hidden, width)?;
        let bias = loader.f32(&stored.name("gate.e_score_correction_bias"), [routed])?;
        let router = RouterConfig {
            top_k: config.top_k,
            n_group: config.n_group,
            topk_group: config.topk_group,
            normalise: config.norm_topk_prob,
            scale: config.routed_scaling_factor,
            shared,
        };
        Ok(Moe {
            gate: loader.f32(&stored.name("gate.weight"), [routed, hidden])?,
            e_score_correction_bias: bias.set_require_grad(false),
            gate_up_proj,
            down_proj,
            adapters: Vec::new(),
            router: Routing(router),
        })
    }

    /// How the router chooses.
    pub fn router(&self) -> RouterConfig {
        self.router.0
    }

    /// Chosen experts and their weights, then the shared experts with weight 1; the norm, if there is
    /// one, is that of the input.
    ///
    /// # Shapes
    /// `x` `[tokens, hidden]` → ids, weights `[tokens, top_k + shared]`.
    pub fn route(&self, x: Tensor<2>, norm: Option<Norm>) -> (Tensor<2, Int>, Tensor<2>) {
        self.choose(self.scores(x, norm))
    }

    /// Router logits `[tokens, routed experts]`.
    fn scores(&self, x: Tensor<2>, norm: Option<Norm>) -> Tensor<2> {
        fused_linear(x, norm, self.gate.val(), After::Nothing)
    }

    fn choose(&self, logits: Tensor<2>) -> (Tensor<2, Int>, Tensor<2>) {
        moe_router(logits, self.e_score_correction_bias.val(), self.router.0)
    }

    /// Sum of the weighted experts in `ids`.
    ///
    /// # Shapes
    /// `x` `[tokens, hidden]`, `ids` and `weights` `[tokens, any]` → `[tokens, hidden]`.
    pub fn experts(&self, x: Tensor<2>, ids: Tensor<2, Int>, weights: Tensor<2>) -> Tensor<2> {
        let change = self.change(&x, &ids, &weights);
        let mut base = 0;
        let mut sum: Option<Tensor<2>> = None;
        for (gate_up, down) in self.shards() {
            let shard = gate_up.dims()[0];
            let y = moe_experts(x.clone(), ids.clone(), weights.clone(), gate_up, down, base);
            sum = Some(match sum {
                Some(sum) => sum + y,
                None => y,
            });
            base += shard;
        }
        // The loader always gives at least one shard.
        let sum = sum.unwrap_or(x);
        match change {
            Some(change) => sum + change,
            None => sum,
        }
    }

    /// What the adapters change in [`Moe::experts`]. It is added to what the experts give without them, so
    /// that adapters whose B is zero change no bit, whatever kernels those are; the price is a second pass
    /// over the experts of the layer. `down` is linear: it takes the difference of the activations.
    fn change(
        &self,
        x: &Tensor<2>,
        ids: &Tensor<2, Int>,
        weights: &Tensor<2>,
    ) -> Option<Tensor<2>> {
        if self.adapters.is_empty() {
            return None;
        }
        let [tokens, slots] = ids.dims();
        let pre = product(&self.gate_up_proj, x, ids);
        let half = pre.dims()[1] / 2;
        let gate = self.delta(ExpertPart::Gate, x, ids);
        let up = self.delta(ExpertPart::Up, x, ids);
        let act = swiglu(pre.clone());
        // The router's weights go in before the products: they are linear, and narrower there.
        let share = weights.clone().reshape([tokens * slots, 1]);
        let (act, through) = match (gate, up) {
            (None, None) => (act, None),
            (gate, up) => {
                let zeros = || Tensor::zeros([tokens * slots, half], &pre.device());
                let both = [gate, up].map(|part| part.unwrap_or_else(zeros));
                let adapted = swiglu(pre + Tensor::cat(both.into(), 1));
                let difference = (adapted.clone() - act) * share.clone();
                (adapted, Some(product(&self.down_proj, &difference, ids)))
            }
        };
        let own = self.delta(ExpertPart::Down, &(act * share), ids);
        let y = through.into_iter().chain(own).reduce(|sum, y| sum + y)?;
        let hidden = y.dims()[1];
        let sum = y.reshape([tokens, slots, hidden]).sum_dim(1);
        Some(sum.reshape([tokens, hidden]))
    }

    /// What the adapters of one of the matrices add to each slot.
    fn delta(&self, part: ExpertPart, x: &Tensor<2>, ids: &Tensor<2, Int>) -> Option<Tensor<2>> {
        let own = self.adapters.iter().filter(|stack| stack.part() == part);
        let deltas = own.map(|stack| stack.delta(x.clone(), ids.clone()));
        deltas.reduce(|sum, delta| sum + delta)
    }

    fn shards(&self) -> Vec<Shard> {
        let both = self.gate_up_proj.iter().zip(&self.down_proj);
        both.map(|(gate_up, down)| (gate_up.val(), down.val()))
            .collect()
    }

    /// `x` plus the routed and the shared experts' output for `norm(x)`.
    ///
    /// # Shapes
    /// `x` `[tokens, hidden]` → `[tokens, hidden]`.
    ///
    /// # Errors
    /// A failed read of the activations, where the experts lie on the host.
    ///
    /// Source: HF `Glm4vMoeTextMoE.forward`, `Glm4vMoeTextDecoderLayer.forward`.
    pub fn forward(&self, x: Tensor<2>, norm: Norm, probe: &mut Probe) -> Result<Tensor<2>, Error> {
        let logits = self.scores(x.clone(), Some(norm.clone()));
        let (ids, weights) = self.choose(logits.clone());
        probe.record_routing(&logits, &ids, self.router.0.top_k);
        if probe.is_on() && self.host(&x.device()).is_none() {
            let chosen = s![.., 0..self.router.0.top_k];
            let weights = weights.clone().slice(chosen);
            let normed = rms_norm(x.clone(), norm.weight.clone(), norm.eps);
            let routed = self.experts(normed, ids.clone().slice(chosen), weights.clone());
            probe.record(|| "topk_weights".into(), &weights);
            probe.record(|| "routed_output".into(), &routed);
        }
        match self.host(&x.device()) {
            Some(host) => {
                let normed = rms_norm(x.clone(), norm.weight, norm.eps);
                Ok(x + self.on_host(&host, normed, ids, weights)?)
            }
            None if self.adapters.is_empty() => {
                Ok(fused_experts(x, norm, ids, weights, &self.shards()))
            }
            None => {
                let (rows, own) = (x.clone(), norm.clone());
                let y = fused_experts(rows, own, ids.clone(), weights.clone(), &self.shards());
                let normed = rms_norm(x, norm.weight, norm.eps);
                Ok(match self.change(&normed, &ids, &weights) {
                    Some(change) => y + change,
                    None => y,
                })
            }
        }
    }

    /// Where the experts lie, if that is not where the activations are.
    fn host(&self, activations: &Device) -> Option<Device> {
        let (experts, _) = self.shards().into_iter().next()?;
        let experts = experts.device();
        (kind(&experts) == Kind::Flex && kind(activations) != Kind::Flex).then_some(experts)
    }

    /// [`Moe::experts`] in host memory: activations and choices cross to the host, their output back.
    fn on_host(
        &self,
        host: &Device,
        x: Tensor<2>,
        ids: Tensor<2, Int>,
        weights: Tensor<2>,
    ) -> Result<Tensor<2>, Error> {
        let (device, shape, chosen) = (x.device(), x.dims(), ids.dims());
        let ids = TensorData::new(read_int(ids)?, chosen);
        let weights = TensorData::new(read(weights)?, chosen);
        let x = TensorData::new(read(x)?, shape);
        let y = self.experts(
            Tensor::from_data(x, host),
            Tensor::from_data(ids, host),
            Tensor::from_data(weights, host),
        );
        Ok(Tensor::from_data(TensorData::new(read(y)?, shape), &device))
    }
}
