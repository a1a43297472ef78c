//! What adapters add to a plan: their factors, gradients and states, and in the replay their tensors
//! beside the product they are added to. The frozen weights lie in the base's format.

use super::ledger::Kind;
use super::vision::TOWER;
use super::{Step, TrainSettings, Trains};
use crate::config::Config;
use crate::plan::arena::Block;
use crate::plan::{Item, Section, WeightFormat};
use crate::{AdapterConfig, AdapterModule, Error, adapter_modules};
use serde::Serialize;

/// An expert's matrices.
const PARTS: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];
/// In the layer of a gradient's key: that of B, beside that of A.
const B: usize = 1 << 40;
/// Most values that a frozen weight of codes is widened to at a time; `autodiff/codes.rs` of
/// glmv-kernels.
const WIDE: u64 = 1 << 24;

/// The adapters of a planned run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterSettings {
    pub rank: u64,
    /// Whether a share of the inputs is dropped, which keeps a copy of them per module.
    pub drops: bool,
    /// Format of the frozen weights of the decoder.
    pub base: WeightFormat,
    /// Modules that have one.
    #[serde(serialize_with = "count")]
    modules: Vec<AdapterModule>,
}

fn count<S: serde::Serializer>(modules: &[AdapterModule], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(modules.len() as u64)
}

impl AdapterSettings {
    /// Adapters as `adapter` wants them beside `config` in the format `base`.
    ///
    /// # Errors
    /// [`Error::Adapter`] for values out of range and targets that meet no module.
    pub fn new(
        config: &Config,
        adapter: &AdapterConfig,
        base: WeightFormat,
    ) -> Result<Self, Error> {
        adapter.check()?;
        let all = adapter_modules(config);
        let modules = adapter.target.choose(&all)?.into_iter().cloned().collect();
        Ok(AdapterSettings {
            rank: adapter.rank as u64,
            drops: adapter.dropout > 0.0,
            base,
            modules,
        })
    }

    /// True if a module below `prefix` has one.
    fn any(&self, prefix: &str) -> bool {
        self.modules.iter().any(|m| m.name.starts_with(prefix))
    }

    /// Outputs and inputs of the module `name`, if it has an adapter.
    fn module(&self, name: &str) -> Option<[u64; 2]> {
        let found = self.modules.iter().find(|m| m.name == name)?;
        Some(found.shape.map(|v| v as u64))
    }

    /// Values of all factors of a module.
    fn values(&self, [out, inner]: [u64; 2]) -> u64 {
        self.rank * (out + inner)
    }

    /// Values of every factor.
    pub(super) fn parameters(&self) -> u64 {
        let shapes = self.modules.iter().map(|m| m.shape.map(|v| v as u64));
        shapes.map(|shape| self.values(shape)).sum()
    }

    /// Their weights as an item of the plan.
    pub(super) fn item(&self) -> Item {
        Item {
            section: Section::Weights,
            name: "adapters".into(),
            format: "f32",
            device_bytes: 4 * self.parameters(),
            host_bytes: 0,
        }
    }

    /// Bytes of the optimiser's states.
    pub(super) fn state_bytes(&self, settings: &TrainSettings) -> u64 {
        let factors = self.modules.iter().flat_map(|m| m.shape);
        let bytes = factors.flat_map(|side| {
            let buffers = settings.states.buffers(side as u64 * self.rank, false);
            buffers.map(|b| b.next_multiple_of(settings.buffers.alignment))
        });
        bytes.sum()
    }

    /// Parts that gradients flow through.
    pub(super) fn flows(&self) -> Trains {
        let vision = self.any("model.visual.blocks.");
        Trains {
            vision,
            projector: vision || self.any("model.visual.merger."),
            text: true,
            router: true,
        }
    }
}

/// The hub's name of a module of the replay.
fn name(layer: usize, module: &str) -> String {
    match layer.checked_sub(TOWER) {
        None => format!("model.language_model.layers.{layer}.{module}"),
        Some(0) => format!("model.visual.merger.{module}"),
        Some(block) => format!("model.visual.blocks.{}.{module}", block - 1),
    }
}

impl Step<'_> {
    fn adapter(&self, layer: usize, module: &'static str) -> Option<[u64; 2]> {
        let adapter = self.settings.adapter.as_ref()?;
        adapter.module(&name(layer, module))
    }

    /// Whether a product keeps its input: for its own weight, or as it is for an adapter's.
    pub(super) fn keeps(&self, trains: bool, layer: usize, modules: &[&'static str]) -> bool {
        let Some(adapter) = &self.settings.adapter else {
            return trains;
        };
        let adapted = |module: &&'static str| self.adapter(layer, module).is_some();
        trains || (!adapter.drops && modules.iter().any(adapted))
    }

    /// What adapters do beside a product of `n` rows; undone by [`Step::adapt_back`].
    pub(super) fn adapt(&mut self, layer: usize, modules: &[&'static str], n: u64) {
        for module in modules {
            if let Some(shape) = self.adapter(layer, module) {
                self.beside(shape, n);
            }
        }
    }

    /// The way back of [`Step::adapt`], from the last module.
    pub(super) fn adapt_back(&mut self, layer: usize, modules: &[&'static str], n: u64) {
        for module in modules.iter().rev() {
            if let Some(shape) = self.adapter(layer, module) {
                self.beside_back((layer, module), shape, n, 1);
            }
        }
    }

    /// One adapter over `n` rows: the inputs less what is dropped, and the low rows.
    fn beside(&mut self, [out, inner]: [u64; 2], n: u64) {
        let kind = self.kind();
        let Some(adapter) = &self.settings.adapter else {
            return;
        };
        let (rank, drops, l) = (adapter.rank, adapter.drops, &mut self.ledger);
        // The factors of the inputs, and their product with them.
        let dropped = drops.then(|| l.take(kind, "dropped inputs", 2 * n * inner));
        let low = l.take(kind, "adapters", n * rank);
        dropped.into_iter().for_each(|block| l.keep(block));
        l.touch("adapters", n * out);
        l.keep(low);
    }

    /// Its way back; `stacked` factors lie in one tensor.
    fn beside_back(
        &mut self,
        key: (usize, &'static str),
        [out, inner]: [u64; 2],
        n: u64,
        stacked: u64,
    ) {
        let Some(adapter) = &self.settings.adapter else {
            return;
        };
        let (rank, drops, l) = (adapter.rank, adapter.drops, &mut self.ledger);
        let what = "gradient of adapters";
        let scaled = l.take(Kind::Working, what, n * out);
        let low = l.take(Kind::Working, what, n * rank);
        l.gradient((key.0 | B, key.1), stacked, out * rank);
        l.free(scaled);
        l.touch(what, n * inner);
        l.gradient(key, stacked, rank * inner);
        l.free(low);
        l.back(1 + usize::from(drops));
    }

    /// How many experts of a layer have an adapter at one of their matrices, and its shape.
    fn stack(&self, layer: usize, part: &str) -> Option<(u64, [u64; 2])> {
        let adapter = self.settings.adapter.as_ref()?;
        let prefix = name(layer, "mlp.");
        let of_expert = |m: &&AdapterModule| {
            let rest = m.name.strip_prefix(&prefix).unwrap_or_default();
            rest.contains("experts.") && rest.ends_with(part)
        };
        let mut found = adapter.modules.iter().filter(of_expert);
        let shape = found.next()?.shape.map(|v| v as u64);
        Some((1 + found.count() as u64, shape))
    }

    /// True if a layer's experts run product by product beside their fused pass, because an adapter
    /// stands beside one of them.
    pub(super) fn in_parts(&self, layer: usize) -> bool {
        PARTS.iter().any(|part| self.stack(layer, part).is_some())
    }

    /// True if the activations themselves change.
    fn bends(&self, layer: usize) -> bool {
        PARTS[..2].iter().any(|p| self.stack(layer, p).is_some())
    }

    /// What adapters change in the output of a layer's experts, of `slots` rows; undone by
    /// [`Step::parts_back`].
    pub(super) fn parts(&mut self, layer: usize, [slots, h, width]: [u64; 3]) -> Block {
        let (kind, what) = (self.kind(), "experts");
        let bends = self.bends(layer);
        let pre = self.ledger.take(kind, what, 2 * slots * width);
        for part in &PARTS[..2] {
            if let Some((_, shape)) = self.stack(layer, part) {
                self.beside(shape, slots);
            }
        }
        let l = &mut self.ledger;
        let mut act = l.take(kind, what, slots * width);
        let mut y = None;
        if bends {
            l.touch(what, 2 * slots * width);
            let bent = l.take(kind, what, 2 * slots * width);
            l.keep(pre);
            let next = l.take(kind, what, slots * width);
            l.keep(bent);
            let difference = l.take(kind, what, slots * width);
            l.free(act);
            act = next;
            let weighted = l.take(Kind::Working, what, slots * width);
            l.keep(difference);
            y = Some(l.take(kind, what, slots * h));
            l.free(weighted);
        } else {
            l.keep(pre);
        }
        let adapted = self.stack(layer, PARTS[2]);
        let weighted = self.ledger.take(kind, what, slots * width);
        self.ledger.keep_if(adapted.is_some(), act);
        if let Some((_, shape)) = adapted {
            self.beside(shape, slots);
        }
        let keeps = self.keeps_stack(layer, PARTS[2]);
        let tokens = self.tokens;
        let l = &mut self.ledger;
        l.keep_if(keeps, weighted);
        let y = y.unwrap_or_else(|| l.take(kind, what, slots * h));
        let out = l.take(kind, "expert output", tokens * h);
        l.free(y);
        out
    }

    /// The way back of the experts and of what adapters change in them: the gradients of the router's
    /// weights and of the rows stay, of the change first. The fused pass has a deeper place in the graph
    /// than the first product of the change, so that it goes back while gradients of the change are there.
    pub(super) fn parts_back(
        &mut self,
        layer: usize,
        [slots, h, width]: [u64; 3],
        counts: [u64; 2],
    ) -> [[Block; 2]; 2] {
        let what = "gradient of the experts";
        let experts = counts[1];
        let bends = self.bends(layer);
        let dweights = self
            .ledger
            .take(Kind::Working, "gradient of the router", slots);
        let dy = self.ledger.take(Kind::Working, what, slots * h);
        self.ledger.touch(what, slots * h);
        self.ledger.back(1);
        if let Some((count, shape)) = self.stack(layer, PARTS[2]) {
            self.beside_back((layer, PARTS[2]), shape, slots, count);
        }
        // Through the router's weights.
        let dact = self.ledger.take(Kind::Working, what, slots * width);
        self.ledger.touch(what, slots * width);
        self.ledger.back(1);
        let (dpre, spread) = match bends {
            true => self.bent_back([slots, width, experts * h * width], dy, dact),
            false => {
                self.ledger.free(dy);
                let dpre = self.ledger.take(Kind::Working, what, 2 * slots * width);
                self.ledger.free(dact);
                (dpre, None)
            }
        };
        let fused = self.fused_back(layer, [slots, h, width], counts);
        self.ledger.back(1);
        for part in PARTS[..2].iter().rev() {
            if let Some((count, shape)) = self.stack(layer, part) {
                self.beside_back((layer, part), shape, slots, count);
            }
        }
        spread.into_iter().for_each(|b| self.ledger.free_all(b));
        self.widen(experts * 2 * h * width);
        let rows = self.ledger.take(Kind::Working, what, slots * h);
        let dnormed = self.ledger.take(Kind::Working, what, self.tokens * h);
        self.ledger.free_all([dpre, rows]);
        [[dweights, dnormed], fused]
    }

    /// Back to the gradients of the activations with what is added, and less those without; both
    /// gradients that come in go. `down` are the values of a layer's matrices.
    fn bent_back(
        &mut self,
        [slots, width, down]: [u64; 3],
        dy: Block,
        dact: Block,
    ) -> (Block, Option<[Block; 2]>) {
        let what = "gradient of the experts";
        let through = self.ledger.take(Kind::Working, what, slots * width);
        self.widen(down);
        let l = &mut self.ledger;
        l.free(dy);
        let other = l.take(Kind::Working, what, slots * width);
        l.touch(what, slots * width);
        l.free(through);
        l.back(1);
        let bent = l.take(Kind::Working, what, 2 * slots * width);
        l.free(dact);
        l.back(1);
        let dpre = l.take(Kind::Working, what, 2 * slots * width);
        l.free(other);
        let halves = l.take(Kind::Working, what, 2 * slots * width);
        (dpre, Some([bent, halves]))
    }

    fn keeps_stack(&self, layer: usize, part: &str) -> bool {
        let drops = self.settings.adapter.as_ref().is_some_and(|a| a.drops);
        !drops && self.stack(layer, part).is_some()
    }

    /// Whether the experts keep their rows for the adapters at gate and up.
    pub(super) fn keeps_rows(&self, layer: usize) -> bool {
        PARTS[..2].iter().any(|part| self.keeps_stack(layer, part))
    }

    /// A frozen weight of codes, widened some rows at a time for its way back.
    pub(super) fn widen(&mut self, values: u64) {
        let wide = self.widened(values);
        wide.into_iter().for_each(|block| self.ledger.free(block));
    }

    /// The same, for as long as the caller needs it.
    pub(super) fn widened(&mut self, values: u64) -> Option<Block> {
        let coded = |format| matches!(format, WeightFormat::Q8 | WeightFormat::Q4);
        let adapter = self.settings.adapter.as_ref();
        let wanted = adapter.is_some_and(|a| coded(a.base));
        let l = &mut self.ledger;
        wanted.then(|| l.take(Kind::Working, "widened codes", values.min(WIDE)))
    }
}
