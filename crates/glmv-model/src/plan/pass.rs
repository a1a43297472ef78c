//! Replays the tensors of a forward pass on the allocator's model: what lives at once decides what
//! the activations need, and the largest of them how large the allocator's pages become.
//!
//! The order follows `vision`, `projector` and `decoder`; tensors are f32 unless named otherwise. A
//! result is allocated before what it was made from is given back.

use super::{Settings, arena::Arena, arena::Block};
use crate::config::{Config, MoeConfig};

/// Width of activations and of device integers.
const WORD: u64 = 4;

/// One forward pass of `batch` rows of `seq` tokens each behind a cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass {
    pub batch: u64,
    pub seq: u64,
}

impl Pass {
    fn tokens(self) -> u64 {
        self.batch * self.seq
    }
}

/// Replays passes of one configuration.
pub(super) struct Replay<'a> {
    config: &'a Config,
    settings: &'a Settings,
    arena: Arena,
    features: Option<Block>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(config: &'a Config, settings: &'a Settings, arena: Arena) -> Self {
        Replay {
            config,
            settings,
            arena,
            features: None,
        }
    }

    /// The allocator after the passes replayed so far.
    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    fn take(&mut self, what: &'static str, elements: u64) -> Block {
        self.arena.take(what, elements * WORD)
    }

    fn free<const N: usize>(&mut self, blocks: [Block; N]) {
        blocks.into_iter().for_each(|b| self.arena.free(b));
    }

    /// Vision tower and projector over `patches` patches; the features stay until the prefill.
    pub(super) fn vision(&mut self, patches: u64) {
        let v = &self.config.vision;
        let (n, d, out) = (patches, v.hidden_size as u64, v.out_hidden_size as u64);
        let pixels = self.take("pixels", n * v.patch_len() as u64);
        // Positions, ranges, and the position table's taps and weights.
        let layout = [2, 2, 16, 16].map(|width| self.take("vision layout", n * width));
        let mut x = self.take("patch embedding", n * d);
        self.free([pixels]);
        for _ in 0..2 {
            let y = self.take("vision embedding", n * d);
            self.free([x]);
            x = y;
        }
        for _ in 0..v.depth {
            x = self.vision_block(x, [n, d, out]);
        }
        let y = self.take("vision norm", n * d);
        self.free([x]);
        self.free(layout);
        self.features = Some(self.projector(y, n / 4, out));
    }

    fn vision_block(&mut self, x: Block, [n, d, out]: [u64; 3]) -> Block {
        let normed = self.take("vision norm", n * d);
        let mut turned = || {
            let raw = self.take("vision query or key", n * d);
            let turned = self.take("vision query or key", n * d);
            self.free([raw]);
            turned
        };
        let (q, k) = (turned(), turned());
        let v = self.take("vision value", n * d);
        let attended = self.take("vision attention", n * d);
        self.free([q, k, v]);
        let projected = self.take("vision projection", n * d);
        self.free([attended, normed]);
        let (sum, normed) = (
            self.take("vision residual", n * d),
            self.take("vision norm", n * d),
        );
        self.free([x, projected]);
        let gate = self.take("vision MLP", n * out);
        let up = self.take("vision MLP", n * out);
        self.free([normed]);
        let act = self.take("vision MLP", n * out);
        self.free([gate, up]);
        let down = self.take("vision MLP output", n * d);
        self.free([act, down]); // the residual sum is made in place
        sum
    }

    fn projector(&mut self, x: Block, rows: u64, out: u64) -> Block {
        let inner = self.config.vision.intermediate_size as u64;
        let one = |s: &mut Self| s.take("projector", rows * out);
        let down = one(self);
        self.free([x]);
        let p = one(self);
        self.free([down]);
        // LayerNorm and GELU in tensor operations: the input, its centred copy and their products.
        let (centred, squared) = (one(self), one(self));
        self.free([p, squared]);
        let (normed, gelu) = (one(self), one(self));
        self.free([centred, normed]);
        let gate = self.take("projector MLP", rows * inner);
        let up = self.take("projector MLP", rows * inner);
        self.free([gelu]);
        let act = self.take("projector MLP", rows * inner);
        self.free([gate, up]);
        let features = one(self);
        self.free([act]);
        features
    }

    /// Decoder over `pass`, then the head for one row per sequence. Keys and values lie outside the
    /// pages, each in an allocation of its own size.
    pub(super) fn text(&mut self, pass: Pass) {
        let t = &self.config.text;
        let (n, h) = (pass.tokens(), t.hidden_size as u64);
        let inputs = self.take("token inputs", n * 8);
        let mut x = self.take("embedded tokens", n * h);
        if let Some(features) = self.features.take() {
            let spliced = self.take("embedded tokens", n * h);
            self.free([x, features]);
            x = spliced;
        }
        for layer in 0..t.num_layers {
            x = self.attention(x, pass);
            let moe = t.moe.as_ref().filter(|m| layer >= m.first_k_dense_replace);
            let y = match moe {
                Some(moe) => self.experts(n, moe),
                None => self.dense(n),
            };
            x = self.residual(x, y, n);
        }
        let normed = self.take("final norm", n * h);
        self.free([x, inputs]);
        let rows = self.take("last rows", pass.batch * h);
        self.free([normed]);
        let logits = self.take("logits", pass.batch * t.vocab_size as u64);
        self.free([rows]);
        // What may pass the filters of a draw.
        let listed = self.take("sampling", pass.batch * t.vocab_size as u64);
        self.free([logits, listed]);
    }

    /// `x` plus a sub-layer's output: in place, or normed first in the dense family.
    fn residual(&mut self, x: Block, y: Block, n: u64) -> Block {
        if self.config.text.moe.is_some() {
            self.free([y]);
            return x;
        }
        let sum = self.take("residual", n * self.config.text.hidden_size as u64);
        self.free([x, y]);
        sum
    }

    /// Norm, attention and residual.
    fn attention(&mut self, x: Block, pass: Pass) -> Block {
        let t = &self.config.text;
        let (n, h) = (pass.tokens(), t.hidden_size as u64);
        let kv = (t.num_kv_heads * t.head_dim) as u64;
        let q = (t.num_heads * t.head_dim) as u64;
        let normed = self.take("norm", n * h);
        let value = self.take("keys and values", n * kv);
        let mut turned = |what, width: u64| {
            let raw = self.take(what, n * width);
            let turned = self.take(what, n * width);
            self.free([raw]);
            turned
        };
        let key = turned("keys and values", kv);
        let query = turned("queries", q);
        self.append([key, value], n * kv);
        let attended = self.take("attention", n * q);
        self.free([query, normed]);
        let out = self.take("attention output", n * h);
        self.free([attended]);
        self.residual(x, out, n)
    }

    /// Puts new keys and values into the cache.
    fn append(&mut self, new: [Block; 2], elements: u64) {
        let half = self.settings.kv != super::CacheFormat::F32;
        let cast = half.then(|| {
            let bytes = elements * 2;
            [0; 2].map(|_| self.arena.take("keys and values", bytes))
        });
        if cast.is_some() {
            self.free(new);
        }
        self.free(cast.unwrap_or(new));
    }

    fn dense(&mut self, n: u64) -> Block {
        let t = &self.config.text;
        let (h, width) = (t.hidden_size as u64, t.intermediate_size as u64);
        let normed = self.take("norm", n * h);
        let gate_up = self.take("dense MLP", n * 2 * width);
        self.free([normed]);
        let act = self.take("dense MLP", n * width);
        self.free([gate_up]);
        let down = self.take("dense MLP output", n * h);
        self.free([act]);
        down
    }

    fn experts(&mut self, n: u64, moe: &MoeConfig) -> Block {
        let h = self.config.text.hidden_size as u64;
        let experts = moe.num_experts as u64;
        let slots = n * (moe.top_k + moe.num_shared_experts) as u64;
        let normed = self.take("norm", n * h);
        let logits = self.take("router", n * experts);
        self.free([normed]);
        let chosen = [(); 2].map(|()| self.take("router", slots));
        self.free([logits]);
        let normed = self.take("norm", n * h);
        let plan = [slots, 2 * (slots + experts)].map(|len| self.take("expert plan", len));
        let act = self.take("experts", slots * moe.expert_width as u64);
        let y = self.take("experts", slots * h);
        let out = self.take("expert output", n * h);
        self.free(chosen);
        self.free(plan);
        self.free([act, y, normed]);
        out
    }
}
