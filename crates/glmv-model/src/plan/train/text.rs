//! Replays the decoder's layers in training: forward inside of a graph or outside of one, and back.
//!
//! The order follows `decoder` and the backward steps of `glmv-kernels/src/autodiff`. A layer's
//! forward keeps tensors in the order of its steps, and its way back lets go of them from the last.

use super::Step;
use super::ledger::Kind;
use crate::config::MoeConfig;
use crate::plan::arena::Block;

const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
const O: [&str; 1] = ["self_attn.o_proj"];
/// Both names of what goes into the activation.
const GATE_UP: [&str; 3] = ["mlp.gate_proj", "mlp.up_proj", "mlp.gate_up_proj"];
const DOWN: [&str; 1] = ["mlp.down_proj"];

/// Sizes of one layer, in values.
struct Sizes {
    n: u64,
    h: u64,
    q: u64,
    kv: u64,
    heads: u64,
}

impl Step<'_> {
    fn sizes(&self) -> Sizes {
        let t = &self.config.text;
        Sizes {
            n: self.tokens,
            h: t.hidden_size as u64,
            q: (t.num_heads * t.head_dim) as u64,
            kv: (t.num_kv_heads * t.head_dim) as u64,
            heads: t.num_heads as u64,
        }
    }

    fn moe(&self, layer: usize) -> Option<MoeConfig> {
        let moe = self.config.text.moe.as_ref()?;
        (layer >= moe.first_k_dense_replace).then(|| moe.clone())
    }

    fn has_output_norms(&self) -> bool {
        self.config.text.moe.is_none()
    }

    /// Layer `index` forward: `x` stays the caller's outside of a graph, else the graph has it.
    pub(super) fn layer(&mut self, index: usize, x: Block) -> Block {
        let Sizes { n, h, q, kv, .. } = self.sizes();
        let keeps = self.keeps(self.trains.text, index, &QKV);
        let kind = self.kind();
        let l = &mut self.ledger;
        l.hold(x);
        let normed = l.take(kind, "norm", n * h);
        let value = l.take(kind, "keys and values", n * kv);
        let mut turned = |what, width: u64| {
            let raw = l.take(Kind::Working, what, n * width);
            let turned = l.take(kind, what, n * width);
            l.free(raw);
            turned
        };
        let key = turned("keys and values", kv);
        let query = turned("queries", q);
        l.keep_if(keeps, normed);
        self.adapt(index, &QKV, n);
        let l = &mut self.ledger;
        let attended = l.take(kind, "attention", n * q);
        let out = l.take(kind, "attention output", n * h);
        l.keep_all([query, key, value, attended]);
        self.adapt(index, &O, n);
        let middle = self.sum(out);
        let y = match self.moe(index) {
            Some(moe) => self.experts(index, &moe, middle),
            None => self.dense(index, middle),
        };
        self.ledger.drop_outside(middle);
        match self.moe(index) {
            Some(_) => y,
            None => self.sum(y),
        }
    }

    /// The residual stream plus a sub-layer's output: in its place, or normed first.
    fn sum(&mut self, y: Block) -> Block {
        if !self.has_output_norms() {
            return y;
        }
        let Sizes { n, h, .. } = self.sizes();
        let kind = self.kind();
        let sum = self.ledger.take(kind, "residual", n * h);
        self.ledger.keep(y);
        sum
    }

    fn dense(&mut self, index: usize, x: Block) -> Block {
        let Sizes { n, h, .. } = self.sizes();
        let keeps = [&GATE_UP[..], &DOWN].map(|m| self.keeps(self.trains.text, index, m));
        let kind = self.kind();
        let width = self.config.text.intermediate_size as u64;
        let l = &mut self.ledger;
        l.hold(x);
        let normed = l.take(kind, "norm", n * h);
        let gate_up = l.take(kind, "dense MLP", n * 2 * width);
        l.keep_if(keeps[0], normed);
        self.adapt(index, &GATE_UP, n);
        let l = &mut self.ledger;
        let act = l.take(kind, "dense MLP", n * width);
        l.keep(gate_up);
        let down = l.take(kind, "dense MLP output", n * h);
        l.keep_if(keeps[1], act);
        self.adapt(index, &DOWN, n);
        down
    }

    fn experts(&mut self, index: usize, moe: &MoeConfig, x: Block) -> Block {
        let Sizes { n, h, .. } = self.sizes();
        let (kind, routed) = (self.kind(), moe.num_experts as u64);
        let slots = n * (moe.top_k + moe.num_shared_experts) as u64;
        let trains = self.trains.router;
        let l = &mut self.ledger;
        l.hold(x);
        let normed = l.take(kind, "norm", n * h);
        let logits = l.take(kind, "router", n * routed);
        l.keep_if(trains, normed);
        let ids = l.take(kind, "router", slots);
        let weights = l.take(kind, "router", slots);
        l.keep_all([logits, ids, weights]);
        let normed = l.take(kind, "norm", n * h);
        let plan = plan_of(slots, routed).map(|len| l.take(Kind::Working, "expert plan", len));
        let act = l.take(Kind::Working, "experts", slots * moe.expert_width as u64);
        let y = l.take(Kind::Working, "experts", slots * h);
        let out = l.take(kind, "expert output", n * h);
        l.free_all(plan);
        l.free_all([act, y]);
        l.keep(normed);
        if self.in_parts(index) {
            let keeps = self.keeps_rows(index);
            let normed = self.ledger.take(kind, "norm", n * h);
            self.ledger.keep_if(keeps, normed);
            let change = self.parts(index, [slots, h, moe.expert_width as u64]);
            self.ledger.free(change);
        }
        out
    }

    /// Layer `index` back: the gradient of its output becomes that of its input, in place.
    pub(super) fn layer_back(&mut self, index: usize, above: Block) -> Block {
        let moe = self.moe(index);
        match &moe {
            Some(moe) => self.experts_back(index, moe),
            None => self.dense_back(index),
        }
        let Sizes { n, h, q, kv, heads } = self.sizes();
        let (trains, sandwich) = (self.trains.text, self.has_output_norms());
        let dy = sandwich.then(|| self.norm_back((index, "norm3"), n, h, trains));
        let l = &mut self.ledger;
        l.back(usize::from(sandwich));
        self.adapt_back(index, &O, n);
        self.widen(h * q);
        let l = &mut self.ledger;
        let dattended = l.take(Kind::Working, "gradient of attention", n * q);
        if trains {
            l.gradient((index, "o_proj"), h, q);
        }
        dy.into_iter().for_each(|block| l.free(block));
        let grads = [q, kv, kv].map(|width| {
            l.take(
                Kind::Working,
                "gradient of queries, keys and values",
                n * width,
            )
        });
        let stats = l.take(Kind::Working, "attention statistics", 2 * n * heads);
        l.back(4);
        l.free_all([dattended, stats]);
        let turned = [grads[0], grads[1]]
            .into_iter()
            .zip([q, kv])
            .map(|(grad, width)| {
                let turned = l.take(
                    Kind::Working,
                    "gradient of queries, keys and values",
                    n * width,
                );
                l.free(grad);
                turned
            });
        let turned: Vec<Block> = turned.collect();
        let dnormed = l.take(Kind::Working, "gradient of a norm", n * h);
        for (block, width) in [(turned[0], q), (turned[1], kv), (grads[2], kv)] {
            if trains {
                l.slice_gradient((index, "qkv_proj"), [width, q + 2 * kv, h]);
            }
            // The second and third are added to the first.
            l.touch("gradient of a norm", n * h);
            l.free(block);
        }
        if trains && self.config.text.qkv_bias {
            l.vector((index, "qkv_proj.bias"), n, q + 2 * kv);
        }
        self.adapt_back(index, &QKV, n);
        self.widen(h * q);
        self.ledger.back(1);
        let dx = self.norm_back((index, "norm0"), n, h, trains);
        self.ledger.free_all([dnormed, dx]);
        self.ledger.back(1);
        above
    }

    /// The gradient of a norm's input, and that of its weight.
    pub(super) fn norm_back(
        &mut self,
        key: (usize, &'static str),
        rows: u64,
        width: u64,
        trains: bool,
    ) -> Block {
        let l = &mut self.ledger;
        let dx = l.take(Kind::Working, "gradient of a norm", rows * width);
        let scales = l.take(Kind::Working, "scales of a norm", rows);
        if trains {
            l.vector(key, rows, width);
        }
        l.free(scales);
        dx
    }

    fn dense_back(&mut self, index: usize) {
        let Sizes { n, h, .. } = self.sizes();
        let (trains, sandwich) = (self.trains.text, self.has_output_norms());
        let width = self.config.text.intermediate_size as u64;
        let dy = sandwich.then(|| self.norm_back((index, "norm2"), n, h, trains));
        let l = &mut self.ledger;
        l.back(usize::from(sandwich));
        self.adapt_back(index, &DOWN, n);
        self.widen(h * width);
        let l = &mut self.ledger;
        let dact = l.take(Kind::Working, "gradient of the MLP", n * width);
        if trains {
            l.gradient((index, "down_proj"), h, width);
        }
        dy.into_iter().for_each(|block| l.free(block));
        l.back(1);
        let dgate_up = l.take(Kind::Working, "gradient of the MLP", n * 2 * width);
        l.free(dact);
        l.back(1);
        let dnormed = l.take(Kind::Working, "gradient of a norm", n * h);
        if trains {
            l.gradient((index, "gate_up_proj"), 2 * width, h);
        }
        self.widen(h * 2 * width);
        self.ledger.free(dgate_up);
        self.adapt_back(index, &GATE_UP, n);
        self.ledger.back(1);
        let dx = self.norm_back((index, "norm1"), n, h, trains);
        self.ledger.free_all([dnormed, dx]);
        self.ledger.back(1);
    }

    fn experts_back(&mut self, index: usize, moe: &MoeConfig) {
        let Sizes { n, h, .. } = self.sizes();
        let (routed, width) = (moe.num_experts as u64, moe.expert_width as u64);
        let experts = routed + moe.num_shared_experts as u64;
        let slots = n * (moe.top_k + moe.num_shared_experts) as u64;
        let trains = self.trains;
        let (sizes, counts) = ([slots, h, width], [routed, experts]);
        let (change, [dweights, dnormed]) = match self.in_parts(index) {
            true => {
                let [[dweights, dnormed], fused] = self.parts_back(index, sizes, counts);
                self.ledger.back(1);
                let dx = self.norm_back((index, "norm1"), n, h, trains.text);
                self.ledger.free(dnormed);
                (Some([dweights, dx]), fused)
            }
            false => (None, self.fused_back(index, sizes, counts)),
        };
        self.ledger.back(1);
        change.into_iter().for_each(|b| self.ledger.free_all(b));
        let dx = self.norm_back((index, "norm1"), n, h, trains.text);
        let l = &mut self.ledger;
        l.free_all([dnormed, dx]);
        let dlogits = l.take(Kind::Working, "gradient of the router", n * routed);
        l.free(dweights);
        l.back(3);
        let dnormed = l.take(Kind::Working, "gradient of a norm", n * h);
        if trains.router {
            l.gradient((index, "gate"), routed, h);
        }
        l.free(dlogits);
        l.back(1);
        let dx = self.norm_back((index, "norm1"), n, h, trains.text);
        self.ledger.free_all([dnormed, dx]);
        self.ledger.back(1);
    }

    /// The way back of the fused experts; the gradients of the router's weights and of the rows stay.
    pub(super) fn fused_back(
        &mut self,
        index: usize,
        [slots, h, width]: [u64; 3],
        [routed, experts]: [u64; 2],
    ) -> [Block; 2] {
        let (n, trains) = (self.tokens, self.trains.text);
        let codes = self.widened(experts * 3 * width * h);
        let l = &mut self.ledger;
        let plan = plan_of(slots, routed).map(|len| l.take(Kind::Working, "expert plan", len));
        let wide = [2, 1, 2, 1].map(|parts| {
            l.take(
                Kind::Working,
                "gradient of the experts",
                slots * parts * width,
            )
        });
        let dx = l.take(Kind::Working, "gradient of the experts", slots * h);
        let dnormed = l.take(Kind::Working, "gradient of a norm", n * h);
        l.free(dx);
        let y = l.take(Kind::Working, "gradient of the experts", slots * h);
        let dweights = l.take(Kind::Working, "gradient of the router", slots);
        l.free(y);
        if trains {
            let widest = 2 * width * h;
            l.gradient_split((index, "gate_up_experts"), experts, widest, widest);
            l.gradient_split((index, "down_experts"), experts, width * h, widest);
        }
        l.free_all(wide);
        l.free_all(plan);
        codes.into_iter().for_each(|block| l.free(block));
        [dweights, dnormed]
    }
}

/// Lengths of the integers that sort slots by expert.
fn plan_of(slots: u64, experts: u64) -> [u64; 2] {
    [slots, 2 * (slots / 8 + experts)]
}
