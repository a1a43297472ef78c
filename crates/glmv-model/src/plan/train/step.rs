//! Replays whole steps: embedding, layers, head, the way back, and the optimiser. The order is that of
//! `glmv_train::gradients` with and without recompute.

use super::ledger::{Kind, Ledger};
use super::{Step, TrainSettings, Trains};
use crate::config::Config;
use crate::plan::arena::Block;

/// Steps replayed: the second finds the pages of the first.
const STEPS: usize = 2;
/// Most sequences of a step that are replayed: the second finds gradients of the first.
const MOST_SEQUENCES: usize = 2;
/// Pieces of scores, as `glmv-kernels/src/logprobs.rs` cuts them: rows, columns, values.
const SCORE_ROWS: u64 = 512;
const SCORE_COLUMNS: u64 = 8192;
const SCORES: u64 = 1 << 21;

/// What the tower left for its way back.
#[derive(Default)]
struct Kept {
    /// Inputs of the blocks, then of the norm behind them.
    inputs: Vec<Block>,
    /// Input of the projector.
    output: Option<Block>,
    features: Option<Block>,
}

impl<'a> Step<'a> {
    pub(super) fn new(config: &'a Config, settings: &'a TrainSettings) -> Self {
        Step {
            config,
            settings,
            tokens: settings.tokens as u64,
            patches: settings.patches as u64,
            trains: match settings.adapter {
                Some(_) => Trains::NONE,
                None => settings.trains,
            },
            flows: match &settings.adapter {
                Some(adapter) => adapter.flows(),
                None => settings.trains,
            },
            ledger: Ledger::new(settings.buffers),
            kept_as: Kind::Working,
        }
    }

    /// How tensors count that the graph under way keeps.
    pub(super) fn kind(&self) -> Kind {
        self.kept_as
    }

    /// The allocator after some steps.
    pub(super) fn replay(mut self) -> Ledger {
        let text = &self.config.text;
        let positions = self.tokens.next_power_of_two().max(256);
        // One for passes that record gradients, one for those that do not.
        for _ in 0..2 {
            let table = positions * text.rotary_dims as u64;
            self.ledger.take(Kind::Working, "rotary table", table);
        }
        for _ in 0..STEPS {
            for _ in 0..self.settings.batch.clamp(1, MOST_SEQUENCES) {
                self.micro();
            }
            self.ledger.norms();
            self.ledger.clear();
        }
        self.ledger
    }

    fn hidden(&self) -> u64 {
        self.config.text.hidden_size as u64
    }

    fn graph(&mut self, kept_as: Kind) {
        self.kept_as = kept_as;
        self.ledger.record();
    }

    fn end(&mut self) {
        self.kept_as = Kind::Working;
        self.ledger.stop();
        self.ledger.collect();
    }

    /// Whether the tower or the projector have gradients.
    fn sees(&self) -> bool {
        self.patches > 0 && (self.flows.vision || self.flows.projector)
    }

    /// One sequence forward and back.
    fn micro(&mut self) {
        let (layers_again, tower_again) = (self.settings.recompute, self.settings.recompute_vision);
        if !layers_again && !tower_again {
            self.graph(Kind::Saved);
        }
        let (inputs, mut kept) = (self.pass_inputs(), Kept::default());
        if self.patches > 0 {
            self.see(tower_again && self.sees(), &mut kept);
        }
        if !layers_again && tower_again {
            self.graph(Kind::Saved);
        }
        let staged = tower_again && self.sees();
        let x = self.embed(&mut kept, staged || (layers_again && !self.sees()));
        let above = match layers_again {
            true => self.layers_again(x),
            false => self.layers_kept(x),
        };
        if layers_again {
            self.graph(Kind::Working);
            if !tower_again && self.sees() {
                self.see(false, &mut kept);
            }
            let x = self.embed(&mut kept, staged);
            self.ledger.free(x);
            self.ledger
                .touch("gradient of the objective", self.tokens * self.hidden());
        }
        let dfeatures = self.embed_back(above);
        match dfeatures {
            Some(above) if tower_again => {
                self.end();
                self.see_again(above, kept);
            }
            Some(above) => self.see_back(above),
            None => {}
        }
        self.end();
        inputs.into_iter().for_each(|block| self.ledger.free(block));
    }

    /// Ids, positions and ranges.
    fn pass_inputs(&mut self) -> [Block; 2] {
        [6 * self.tokens, 2 * self.settings.counted as u64]
            .map(|len| self.ledger.take(Kind::Working, "token inputs", len))
    }

    /// Tower and projector forward; `keeps` what [`Step::see_again`] needs. What is frozen is no part of
    /// the graph.
    fn see(&mut self, keeps: bool, kept: &mut Kept) {
        let (layout, kind) = (self.layout(), self.kept_as);
        let tower_keeps = keeps && self.flows.vision;
        let mut paused = None;
        if !self.flows.vision {
            (paused, self.kept_as) = (self.ledger.pause(), Kind::Working);
        }
        let mut x = self.patch_embed();
        for index in 0..=self.blocks() {
            let y = match index < self.blocks() {
                true => self.block(index, x),
                false => self.tower_norm(x),
            };
            match tower_keeps {
                true => {
                    self.ledger.turn(x, Kind::Saved);
                    kept.inputs.push(x);
                }
                false => self.ledger.drop_outside(x),
            }
            x = y;
        }
        if self.flows.projector && !self.flows.vision {
            self.ledger.resume(paused.take());
            self.kept_as = kind;
        }
        kept.features = Some(self.project(x));
        match keeps {
            true => {
                self.ledger.turn(x, Kind::Saved);
                kept.output = Some(x);
            }
            false => self.ledger.drop_outside(x),
        }
        if !self.sees() {
            self.ledger.resume(paused);
            self.kept_as = kind;
        }
        layout.into_iter().for_each(|block| self.ledger.free(block));
    }

    /// Values of one tensor of the tower.
    fn patch_values(&self) -> u64 {
        self.patches * self.config.vision.hidden_size as u64
    }

    /// The whole of tower and projector back, inside of the graph they were recorded in.
    fn see_back(&mut self, above: Block) {
        let mut above = self.project_back(above);
        if self.flows.vision {
            above = self.tower_norm_back(above);
            for index in (0..self.blocks()).rev() {
                above = self.block_back(index, above);
            }
            self.patch_embed_back(above);
        } else {
            self.ledger.free(above);
        }
    }

    /// Tower and projector back, each block run again.
    fn see_again(&mut self, above: Block, mut kept: Kept) {
        if let Some(features) = kept.features.take() {
            self.ledger.free(features);
        }
        let layout = self.layout();
        let Some(output) = kept.output.take() else {
            return self.ledger.free(above);
        };
        self.graph(Kind::Working);
        let features = self.project(output);
        self.ledger.free(features);
        let mut above = self.project_back(above);
        self.end();
        if let Some(input) = kept.inputs.pop() {
            self.graph(Kind::Working);
            let y = self.tower_norm(input);
            self.ledger.free(y);
            above = self.tower_norm_back(above);
            self.end();
        }
        for index in (0..kept.inputs.len()).rev() {
            if let Some(input) = kept.inputs.pop() {
                self.graph(Kind::Working);
                let y = self.block(index, input);
                self.ledger.free(y);
                self.ledger
                    .touch("gradient of the objective", self.patch_values());
                above = self.block_back(index, above);
                self.end();
            }
        }
        match self.flows.vision {
            true => {
                self.graph(Kind::Working);
                let x = self.patch_embed();
                self.ledger.free(x);
                self.patch_embed_back(above);
                self.end();
            }
            false => self.ledger.free(above),
        }
        layout.into_iter().for_each(|block| self.ledger.free(block));
    }

    /// Embedded tokens with the features in their places; the features go unless they are `needed`.
    fn embed(&mut self, kept: &mut Kept, needed: bool) -> Block {
        let (n, h) = (self.tokens, self.hidden());
        let l = &mut self.ledger;
        let x = l.take(self.kept_as, "embedded tokens", n * h);
        let Some(features) = kept.features else {
            return x;
        };
        let spliced = l.take(self.kept_as, "embedded tokens", n * h);
        l.free(x);
        if !needed {
            l.free(features);
            kept.features = None;
        }
        spliced
    }

    /// The gradient of the features, if they have one; that of the embedding is added up.
    fn embed_back(&mut self, above: Block) -> Option<Block> {
        let (n, h) = (self.tokens, self.hidden());
        let vocab = self.config.text.vocab_size as u64;
        let (sees, trains) = (self.sees(), self.trains.text);
        let out = self.config.vision.out_hidden_size as u64;
        let l = &mut self.ledger;
        let features = sees.then(|| {
            l.take(
                Kind::Working,
                "gradient of the features",
                self.patches / 4 * out,
            )
        });
        let embeds = match self.patches > 0 {
            true => {
                let embeds = l.take(Kind::Working, "gradient of the embeddings", n * h);
                l.free(above);
                embeds
            }
            false => above,
        };
        if trains {
            let name = match self.config.tie_word_embeddings {
                true => "lm_head",
                false => "embed_tokens",
            };
            l.gradient((0, name), vocab, h);
        }
        l.free(embeds);
        features
    }

    /// All layers in the graph under way; the gradient of their input.
    fn layers_kept(&mut self, x: Block) -> Block {
        let layers = self.config.text.num_layers;
        let last = (0..layers).fold(x, |x, index| self.layer(index, x));
        let above = self.head(last);
        (0..layers)
            .rev()
            .fold(above, |above, index| self.layer_back(index, above))
    }

    /// The same with each layer run twice.
    fn layers_again(&mut self, x: Block) -> Block {
        let (n, h, layers) = (self.tokens, self.hidden(), self.config.text.num_layers);
        let mut inputs = vec![x];
        for index in 0..layers {
            let x = self.layer(index, inputs[index]);
            self.ledger.turn(inputs[index], Kind::Saved);
            inputs.push(x);
        }
        let last = inputs.pop().unwrap_or(x);
        self.graph(Kind::Working);
        let mut above = self.head(last);
        self.end();
        for (index, input) in inputs.into_iter().enumerate().rev() {
            self.graph(Kind::Working);
            let y = self.layer(index, input);
            self.ledger.free(y);
            let dy = self
                .ledger
                .take(Kind::Working, "gradient of the objective", n * h);
            self.ledger.free(above);
            above = self.layer_back(index, dy);
            self.end();
        }
        above
    }

    /// The scores of the counted tokens and back; takes the last layer's output, and gives its
    /// gradient.
    fn head(&mut self, x: Block) -> Block {
        let (n, h, c) = (
            self.tokens,
            self.hidden(),
            self.settings.counted.max(1) as u64,
        );
        let (trains, kind) = (self.trains.text, self.kept_as);
        let vocab = self.config.text.vocab_size as u64;
        let rows = c.min(SCORE_ROWS);
        let columns = (SCORES / rows).min(SCORE_COLUMNS).min(vocab);
        let l = &mut self.ledger;
        let picked = l.take(kind, "rows that are scored", c * h);
        l.free(x);
        let normed = l.take(kind, "rows that are scored", c * h);
        l.touch("scores", rows * columns);
        // Scores again, their gradients, those of the rows, and of a piece of the head.
        let dnormed = l.take(Kind::Working, "gradient of scored rows", c * h);
        if trains {
            l.gradient((0, "lm_head"), vocab, h);
        }
        self.widen(columns * h);
        let l = &mut self.ledger;
        let scores = l.take(Kind::Working, "scores", rows * columns);
        // Their gradients take their place; a frozen head needs nothing beside them.
        let dscores = match trains {
            true => {
                let dscores = l.take(Kind::Working, "scores", rows * columns);
                l.free(scores);
                dscores
            }
            false => scores,
        };
        let pieces = match trains {
            true => 1 + usize::from(c > SCORE_ROWS),
            false => 0,
        };
        let parts = (0..pieces).map(|_| l.take(Kind::Working, "piece of the head", columns * h));
        let parts: Vec<Block> = parts.collect();
        l.touch("gradient of scored rows", rows * h);
        l.free(dscores);
        parts.into_iter().for_each(|block| l.free(block));
        if c > SCORE_ROWS {
            l.touch("gradient of scored rows", c * h);
        }
        l.free(normed);
        let dpicked = self.norm_back((0, "norm"), c, h, trains);
        let l = &mut self.ledger;
        l.free_all([picked, dnormed]);
        let above = l.take(Kind::Working, "gradient of the last layer", n * h);
        l.free(dpicked);
        above
    }
}
