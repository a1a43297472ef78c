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

    /// True if a layer's experts run product by product, because something stands beside one of them.
    pub(super) fn in_parts(&self, layer: usize) -> bool {
        PARTS.iter().any(|part| self.stack(layer, part).is_some())
    }

    /// The products of a layer's experts with what stands beside them, of `slots` rows; undone by
    /// [`Step::parts_back`].
    pub(super) fn parts(&mut self, layer: usize, [slots, h, width]: [u64; 3]) {
        let kind = self.kind();
        let what = "experts";
        let pre = self.ledger.take(kind, what, 2 * slots * width);
        for part in &PARTS[..2] {
            if let Some((_, shape)) = self.stack(layer, part) {
                self.beside(shape, slots);
            }
        }
        self.ledger.touch(what, 2 * slots * width);
        let act = self.ledger.take(kind, what, slots * width);
        self.ledger.keep(pre);
        let y = self.ledger.take(kind, what, slots * h);
        if let Some((_, shape)) = self.stack(layer, PARTS[2]) {
            self.beside(shape, slots);
        }
        let keeps = self.keeps_stack(layer, PARTS[2]);
        let l = &mut self.ledger;
        l.keep_if(keeps, act);
        l.touch(what, slots * h);
        l.keep(y);
    }

    /// The way back; the gradients of the router's weights and of the rows stay.
    pub(super) fn parts_back(&mut self, layer: usize, [slots, h, width]: [u64; 3]) -> [Block; 2] {
        let what = "gradient of the experts";
        let moe = self.config.text.moe.as_ref();
        let experts = moe.map_or(0, |m| (m.num_experts + m.num_shared_experts) as u64);
        let wide = self.ledger.take(Kind::Working, what, slots * h);
        let dy = self.ledger.take(Kind::Working, what, slots * h);
        self.ledger.touch(what, slots * h);
        let dweights = self
            .ledger
            .take(Kind::Working, "gradient of the router", slots);
        self.ledger.free(wide);
        self.ledger.back(2);
        if let Some((count, shape)) = self.stack(layer, PARTS[2]) {
            self.beside_back((layer, PARTS[2]), shape, slots, count);
        }
        let dact = self.ledger.take(Kind::Working, what, slots * width);
        self.widen(experts * h * width);
        self.ledger.free(dy);
        let dpre = self.ledger.take(Kind::Working, what, 2 * slots * width);
        self.ledger.free(dact);
        self.ledger.back(1);
        for part in PARTS[..2].iter().rev() {
            if let Some((count, shape)) = self.stack(layer, part) {
                self.beside_back((layer, part), shape, slots, count);
            }
        }
        self.widen(experts * 2 * h * width);
        let rows = self.ledger.take(Kind::Working, what, slots * h);
        let dnormed = self.ledger.take(Kind::Working, what, self.tokens * h);
        self.ledger.free_all([dpre, rows]);
        [dweights, dnormed]
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
        let coded = |format| matches!(format, WeightFormat::Q8 | WeightFormat::Q4);
        let adapter = self.settings.adapter.as_ref();
        if adapter.is_some_and(|a| coded(a.base)) {
            self.ledger.touch("widened codes", values.min(WIDE));
        }
    }
}
