//! Replays the vision tower and the projector in training, as `text` does the decoder. Blocks of the
//! tower have numbers from [`TOWER`] on, so that their gradients have names of their own.

use super::Step;
use super::ledger::Kind;
use crate::plan::arena::Block;

/// First number of the tower's blocks.
pub(super) const TOWER: usize = 1 << 20;

const QKV: [&str; 1] = ["attn.qkv"];
const PROJ: [&str; 1] = ["attn.proj"];
const GATE_UP: [&str; 2] = ["mlp.gate_proj", "mlp.up_proj"];
const DOWN: [&str; 1] = ["mlp.down_proj"];
/// Of the merger.
const MERGER: [&str; 1] = ["proj"];
const MERGER_GATE_UP: [&str; 2] = ["gate_proj", "up_proj"];
const MERGER_DOWN: [&str; 1] = ["down_proj"];

/// Sizes of the tower, in values.
struct Sizes {
    /// Patches.
    n: u64,
    d: u64,
    out: u64,
    /// Inner width of the merger.
    inner: u64,
    patch: u64,
}

impl Step<'_> {
    fn tower(&self) -> Sizes {
        let v = &self.config.vision;
        Sizes {
            n: self.patches,
            d: v.hidden_size as u64,
            out: v.out_hidden_size as u64,
            inner: v.intermediate_size as u64,
            patch: v.patch_len() as u64,
        }
    }

    /// Blocks of the tower.
    pub(super) fn blocks(&self) -> usize {
        self.config.vision.depth
    }

    /// Positions, ranges, and the position table's taps and weights, which last for a pass.
    pub(super) fn layout(&mut self) -> Vec<Block> {
        let n = self.patches;
        let widths = [2, 2, 16, 16];
        let mut take = |width| self.ledger.take(Kind::Working, "vision layout", n * width);
        widths.map(&mut take).to_vec()
    }

    /// Patches to the first block's input.
    pub(super) fn patch_embed(&mut self) -> Block {
        let Sizes { n, d, patch, .. } = self.tower();
        let (kind, trains) = (self.kind(), self.trains.vision);
        let l = &mut self.ledger;
        let pixels = l.take(kind, "pixels", n * patch);
        let x = l.take(kind, "patch embedding", n * d);
        l.keep_if(trains, pixels);
        let normed = l.take(Kind::Working, "vision embedding", n * d);
        l.keep_if(trains, x);
        let y = l.take(kind, "vision embedding", n * d);
        l.free(normed);
        y
    }

    pub(super) fn patch_embed_back(&mut self, above: Block) {
        let Sizes { n, d, patch, .. } = self.tower();
        let side = self.config.vision.grid_side as u64;
        if !self.trains.vision {
            self.ledger.back(2);
            return self.ledger.free(above);
        }
        let l = &mut self.ledger;
        l.gradient((TOWER, "position_embedding"), side * side, d);
        let dx = self.norm_back((TOWER, "post_conv_layernorm"), n, d, true);
        let l = &mut self.ledger;
        l.back(1);
        l.gradient((TOWER, "patch_embed"), d, patch);
        l.vector((TOWER, "patch_embed.bias"), n, d);
        l.back(1);
        l.free_all([dx, above]);
    }

    /// One block; `x` stays the caller's outside of a graph, else the graph has it.
    pub(super) fn block(&mut self, index: usize, x: Block) -> Block {
        let Sizes { n, d, out, .. } = self.tower();
        let (kind, layer) = (self.kind(), TOWER + 1 + index);
        let keeps = [&QKV[..], &GATE_UP, &DOWN].map(|m| self.keeps(self.trains.vision, layer, m));
        let l = &mut self.ledger;
        l.hold(x);
        let normed = l.take(kind, "vision norm", n * d);
        let mut turned = || {
            let raw = l.take(Kind::Working, "vision query or key", n * d);
            let turned = l.take(kind, "vision query or key", n * d);
            l.free(raw);
            turned
        };
        let (q, k) = (turned(), turned());
        let v = l.take(kind, "vision value", n * d);
        l.keep_if(keeps[0], normed);
        self.adapt(layer, &QKV, n);
        let l = &mut self.ledger;
        let attended = l.take(kind, "vision attention", n * d);
        let sum = l.take(kind, "vision residual", n * d);
        l.keep_all([q, k, v, attended]);
        self.adapt(layer, &PROJ, n);
        let l = &mut self.ledger;
        l.hold(sum);
        let normed = l.take(kind, "vision norm", n * d);
        let gate = l.take(kind, "vision MLP", n * out);
        let up = l.take(kind, "vision MLP", n * out);
        l.keep_if(keeps[1], normed);
        self.adapt(layer, &GATE_UP, n);
        let l = &mut self.ledger;
        let act = l.take(kind, "vision MLP", n * out);
        l.keep_all([gate, up]);
        let y = l.take(kind, "vision MLP output", n * d);
        l.keep_if(keeps[2], act);
        self.adapt(layer, &DOWN, n);
        self.ledger.drop_outside(sum);
        y
    }

    pub(super) fn block_back(&mut self, index: usize, above: Block) -> Block {
        let Sizes { n, d, out, .. } = self.tower();
        let layer = TOWER + 1 + index;
        let (grad, trains) = ("gradient of a vision block", self.trains.vision);
        self.adapt_back(layer, &DOWN, n);
        let l = &mut self.ledger;
        let dact = l.take(Kind::Working, grad, n * out);
        if trains {
            l.gradient((layer, "down_proj"), d, out);
        }
        l.back(1);
        let both = [0; 2].map(|_| l.take(Kind::Working, grad, n * out));
        l.free(dact);
        l.back(2);
        let dnormed = l.take(Kind::Working, grad, n * d);
        if trains {
            l.gradient((layer, "gate_proj"), out, d);
            l.gradient((layer, "up_proj"), out, d);
        }
        l.touch(grad, n * d);
        l.free_all(both);
        self.adapt_back(layer, &GATE_UP, n);
        self.ledger.back(1);
        let dx = self.norm_back((layer, "norm2"), n, d, trains);
        let l = &mut self.ledger;
        l.free_all([dnormed, dx]);
        l.back(1);
        self.adapt_back(layer, &PROJ, n);
        let l = &mut self.ledger;
        let dattended = l.take(Kind::Working, grad, n * d);
        if trains {
            l.gradient((layer, "proj"), d, d);
        }
        let heads = self.config.vision.num_heads as u64;
        let l = &mut self.ledger;
        let grads = [0; 3].map(|_| l.take(Kind::Working, grad, n * d));
        let stats = l.take(Kind::Working, "attention statistics", 2 * n * heads);
        l.back(4);
        l.free_all([dattended, stats]);
        l.touch(grad, n * d);
        let dnormed = l.take(Kind::Working, grad, n * d);
        for block in grads {
            if trains {
                l.slice_gradient((layer, "qkv"), [d, 3 * d, d]);
            }
            l.touch(grad, n * d);
            l.free(block);
        }
        self.adapt_back(layer, &QKV, n);
        self.ledger.back(1);
        let dx = self.norm_back((layer, "norm1"), n, d, trains);
        self.ledger.free_all([dnormed, dx]);
        self.ledger.back(1);
        above
    }

    /// The norm behind the last block, as [`Step::block`].
    pub(super) fn tower_norm(&mut self, x: Block) -> Block {
        let Sizes { n, d, .. } = self.tower();
        let kind = self.kind();
        self.ledger.hold(x);
        self.ledger.take(kind, "vision norm", n * d)
    }

    pub(super) fn tower_norm_back(&mut self, above: Block) -> Block {
        let Sizes { n, d, .. } = self.tower();
        let trains = self.trains.vision;
        let dx = self.norm_back((TOWER, "post_layernorm"), n, d, trains);
        self.ledger.free(above);
        self.ledger.back(1);
        dx
    }

    /// Downsample and merger, as [`Step::block`]; LayerNorm and GELU are tensor operations.
    pub(super) fn project(&mut self, x: Block) -> Block {
        let Sizes { n, out, inner, .. } = self.tower();
        let rows = n / 4;
        let (kind, trains) = (self.kind(), self.trains.projector);
        let modules = [&MERGER[..], &MERGER_GATE_UP, &MERGER_DOWN];
        let keeps = modules.map(|m| self.keeps(trains, TOWER, m));
        let what = "projector";
        let l = &mut self.ledger;
        let down = l.take(kind, what, rows * out);
        l.hold_if(trains, x);
        let y = l.take(kind, what, rows * out);
        l.keep_if(keeps[0], down);
        self.adapt(TOWER, &MERGER, rows);
        let l = &mut self.ledger;
        let centred = l.take(kind, what, rows * out);
        l.free(y);
        l.touch(what, rows * out);
        let normed = l.take(kind, what, rows * out);
        l.keep(centred);
        let scaled = l.take(kind, what, rows * out);
        l.keep_if(trains, normed);
        let root = l.take(kind, what, rows * out);
        let half = l.take(kind, what, rows * out);
        let gelu = l.take(kind, what, rows * out);
        l.keep_all([scaled, root, half]);
        let gate = l.take(kind, what, rows * inner);
        let up = l.take(kind, what, rows * inner);
        l.keep_if(keeps[1], gelu);
        self.adapt(TOWER, &MERGER_GATE_UP, rows);
        let l = &mut self.ledger;
        let act = l.take(kind, what, rows * inner);
        l.keep_all([gate, up]);
        let features = l.take(Kind::Working, what, rows * out);
        l.keep_if(keeps[2], act);
        self.adapt(TOWER, &MERGER_DOWN, rows);
        features
    }

    pub(super) fn project_back(&mut self, above: Block) -> Block {
        let Sizes {
            n, d, out, inner, ..
        } = self.tower();
        let (rows, trains, what) = (n / 4, self.trains.projector, "gradient of the projector");
        self.adapt_back(TOWER, &MERGER_DOWN, rows);
        let l = &mut self.ledger;
        let grad = |l: &mut super::ledger::Ledger, name, of: [u64; 2]| {
            if trains {
                l.gradient((TOWER, name), of[0], of[1]);
            }
        };
        let dact = l.take(Kind::Working, what, rows * inner);
        grad(l, "merger.down_proj", [out, inner]);
        l.free(above);
        l.back(1);
        let both = [0; 2].map(|_| l.take(Kind::Working, what, rows * inner));
        l.free(dact);
        l.back(2);
        let dx = l.take(Kind::Working, what, rows * out);
        grad(l, "merger.gate_proj", [inner, out]);
        grad(l, "merger.up_proj", [inner, out]);
        l.touch(what, rows * out);
        l.free_all(both);
        self.adapt_back(TOWER, &MERGER_GATE_UP, rows);
        let l = &mut self.ledger;
        l.back(1);
        // GELU and LayerNorm, in some temporaries each.
        for kept in [3, 2] {
            let parts = [0; 3].map(|_| l.take(Kind::Working, what, rows * out));
            l.free_all(parts);
            l.back(kept);
        }
        let below = l.take(Kind::Working, what, rows * out);
        grad(l, "merger.proj", [out, out]);
        l.free(dx);
        self.adapt_back(TOWER, &MERGER, rows);
        let l = &mut self.ledger;
        l.back(1);
        let dx = l.take(Kind::Working, what, n * d);
        grad(l, "downsample", [out, 4 * d]);
        l.free(below);
        l.back(1);
        dx
    }
}
