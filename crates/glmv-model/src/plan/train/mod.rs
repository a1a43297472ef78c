//! What training needs on the device before anything is loaded: weights, gradients, optimiser state,
//! what the graph keeps, and the allocator's own. Called by `glmv train` before it loads, by
//! `glmv train --plan` and by `glmv bench --train`.
//!
//! Weights and states are sums over shapes, because each has an allocation of its own size. All else is
//! replayed on the allocator's model, two steps long: `text`, `vision` and `step` list the tensors of a
//! step as `glmv-train` makes them.

mod adapter;
mod advice;
mod ledger;
mod step;
mod text;
mod vision;

pub use adapter::AdapterSettings;

use super::weights::{self, Stored, WeightPart};
use super::{
    BufferRules, CacheFormat, Item, LAUNCH_DESCRIPTIONS, Section, Settings, Sharded, WeightFormat,
};
use super::{sharded, weight_items};
use crate::config::Config;
use ledger::{Kind, Ledger, shards};
use serde::Serialize;

/// Parts of the model that learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Trains {
    pub vision: bool,
    pub projector: bool,
    pub text: bool,
    pub router: bool,
}

impl Trains {
    /// Nothing.
    pub const NONE: Trains = Trains {
        vision: false,
        projector: false,
        text: false,
        router: false,
    };

    /// Everything.
    pub const ALL: Trains = Trains {
        vision: true,
        projector: true,
        text: true,
        router: true,
    };
}

/// How the optimiser keeps its two means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum StateFormat {
    #[default]
    #[serde(rename = "f32")]
    F32,
    /// A byte per value and mean, and two f32 scales for every 256 values.
    #[serde(rename = "8bit")]
    Blocks,
}

/// Values of one block of [`StateFormat::Blocks`].
const BLOCK: u64 = 256;
/// Tensors below this many values, and norms and biases, keep f32 states.
const LEAST_BLOCKS: u64 = 4096;

impl StateFormat {
    /// Name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            StateFormat::F32 => "f32",
            StateFormat::Blocks => "8bit",
        }
    }

    /// Bytes of each buffer of the states of a tensor of `len` values.
    fn buffers(self, len: u64, is_vector: bool) -> [u64; 2] {
        match self {
            StateFormat::Blocks if !is_vector && len >= LEAST_BLOCKS => {
                let blocks = len.div_ceil(BLOCK);
                [blocks * 2 * BLOCK, blocks * 8]
            }
            _ => [len * 4; 2],
        }
    }
}

/// Rollouts beside training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RolloutSettings {
    /// Most sequences at once.
    pub sequences: usize,
    /// Most tokens of one, prompt included.
    pub tokens: usize,
    /// Tokens of a cache block.
    pub block: usize,
    pub kv: CacheFormat,
    /// Most bytes of projected pictures that are kept.
    pub feature_bytes: u64,
}

impl RolloutSettings {
    /// Keys and values of all layers, if every sequence is as long as it may be.
    fn cache_bytes(&self, config: &Config) -> u64 {
        let t = &config.text;
        let block = self.block.max(1);
        let tokens = (self.tokens.div_ceil(block) * block * self.sequences) as u64;
        let token = self
            .kv
            .token_bytes(t.num_kv_heads as u64, t.head_dim as u64);
        2 * token * tokens * t.num_layers as u64
    }
}

/// What is to be planned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainSettings {
    /// Tokens of one packed sequence.
    pub tokens: usize,
    /// Counted tokens among them, the most of any sequence.
    pub counted: usize,
    /// Patches of its pictures and videos, the most of any sequence.
    pub patches: usize,
    /// Sequences of a step.
    pub batch: usize,
    /// The decoder keeps the inputs of its layers only.
    pub recompute: bool,
    /// The vision tower keeps the inputs of its blocks only.
    pub recompute_vision: bool,
    /// Of the weights themselves; none with adapters.
    pub trains: Trains,
    /// What learns in place of the weights.
    pub adapter: Option<AdapterSettings>,
    /// Rollouts of the same weights beside the training, in a rewarded run.
    pub rollout: Option<RolloutSettings>,
    pub states: StateFormat,
    /// Packed sequences in host memory at a time.
    pub in_flight: usize,
    /// The device's buffers.
    pub buffers: BufferRules,
}

/// Bytes that training needs, part by part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainPlan {
    pub settings: TrainSettings,
    pub parameters: u64,
    /// Of those, parameters that learn.
    pub trained: u64,
    pub items: Vec<Item>,
    /// Weights above the buffer limit, the largest of each kind.
    pub sharded: Vec<Sharded>,
    /// The largest activation or gradient, if it exceeds the buffer limit.
    pub too_large: Option<Sharded>,
}

impl TrainPlan {
    /// Sections in the order of reports.
    pub const SECTIONS: [Section; 8] = [
        Section::Weights,
        Section::Cache,
        Section::Gradients,
        Section::Optimizer,
        Section::Saved,
        Section::Activations,
        Section::Workspace,
        Section::Data,
    ];

    /// Plans `config` under `settings`.
    pub fn new(config: &Config, settings: &TrainSettings) -> Self {
        let adapter = settings.adapter.as_ref();
        let base = adapter.map_or(WeightFormat::F32, |a| a.base);
        let inference = Settings::new(base, settings.tokens, settings.buffers);
        let stored = weights::stored(config, &inference);
        let learns = |s: &&Stored| settings.learns(s);
        let mut plan = TrainPlan {
            settings: settings.clone(),
            parameters: stored.iter().map(Stored::parameters).sum(),
            trained: stored.iter().filter(learns).map(Stored::parameters).sum(),
            items: weight_items(&stored, &inference),
            sharded: sharded(&stored, settings.buffers.limit),
            too_large: None,
        };
        let states = stored
            .iter()
            .filter(learns)
            .map(|s| settings.state_bytes(s));
        let mut states: u64 = states.sum();
        if let Some(adapter) = adapter {
            plan.parameters += adapter.parameters();
            plan.trained += adapter.parameters();
            plan.items.push(adapter.item());
            states += adapter.state_bytes(settings);
        }
        plan.add_step(config, states);
        plan.add_rollouts(config);
        plan
    }

    /// Bytes on the device.
    pub fn device_bytes(&self) -> u64 {
        self.items.iter().map(|i| i.device_bytes).sum()
    }

    /// Bytes in host memory.
    pub fn host_bytes(&self) -> u64 {
        self.items.iter().map(|i| i.host_bytes).sum()
    }

    /// Bytes of one section, on the device or on the host.
    pub fn section_bytes(&self, section: Section) -> u64 {
        let of = self.items.iter().filter(|i| i.section == section);
        of.map(|i| i.device_bytes + i.host_bytes).sum()
    }

    /// True if the device's `available` bytes and its buffers hold the plan.
    pub fn fits(&self, available: u64) -> bool {
        let splits = self.sharded.iter().all(|s| s.shards.is_some());
        self.device_bytes() <= available && self.too_large.is_none() && splits
    }

    /// The cache, and the weights of the rollouts: those that learn are there twice while the rollouts
    /// hold what they were.
    fn add_rollouts(&mut self, config: &Config) {
        let Some(rollout) = &self.settings.rollout else {
            return;
        };
        let (cache, kv) = (rollout.cache_bytes(config), rollout.kv.name());
        let (features, trained) = (rollout.feature_bytes, 4 * self.trained);
        let mut add = |section, name: &str, format, device_bytes| {
            self.items.push(Item {
                section,
                name: name.to_string(),
                format,
                device_bytes,
                host_bytes: 0,
            });
        };
        add(Section::Weights, "of the rollouts", "f32", trained);
        add(Section::Cache, "keys and values, at most", kv, cache);
        add(
            Section::Cache,
            "pictures' features, at most",
            "f32",
            features,
        );
    }

    fn add_step(&mut self, config: &Config, states: u64) {
        let settings = self.settings.clone();
        let ledger = Step::new(config, &settings).replay();
        let arena = ledger.arena();
        let mut add = |section, name: &str, format, device_bytes, host_bytes| {
            self.items.push(Item {
                section,
                name: name.to_string(),
                format,
                device_bytes,
                host_bytes,
            });
        };
        let at_peak = |kind| ledger.at_peak(kind);
        let gradients = at_peak(Kind::Gradient);
        add(
            Section::Gradients,
            "of the weights, at the peak",
            "f32",
            gradients,
            0,
        );
        add(
            Section::Optimizer,
            "two means",
            settings.states.name(),
            states,
            0,
        );
        add(
            Section::Saved,
            "for the way back",
            "f32",
            at_peak(Kind::Saved),
            0,
        );
        add(
            Section::Activations,
            "at work",
            "f32",
            at_peak(Kind::Working),
            0,
        );
        if settings.buffers.paged {
            let unused = arena.peak_reserved().saturating_sub(arena.peak_live());
            add(Section::Workspace, "unused parts of pages", "-", unused, 0);
            let launches = LAUNCH_DESCRIPTIONS;
            add(Section::Workspace, "launch descriptions", "-", launches, 0);
        }
        let patches = settings.patches * config.vision.patch_len();
        let pack = 4 * (patches + 2 * settings.tokens) as u64;
        let data = settings.in_flight as u64 * pack;
        add(Section::Data, "sequences made ahead", "-", 0, data);
        let (bytes, what) = arena.largest();
        if bytes > settings.buffers.limit {
            self.too_large = Some(Sharded {
                name: what.to_string(),
                bytes,
                shards: None,
            });
        }
    }
}

impl TrainSettings {
    /// True if a weight has a gradient.
    fn learns(&self, stored: &Stored) -> bool {
        if self.adapter.is_some() {
            return false;
        }
        let trains = self.trains;
        match stored.part {
            WeightPart::Vision => trains.vision && self.patches > 0,
            WeightPart::Projector => trains.projector && self.patches > 0,
            // The correction bias is never learnt.
            WeightPart::Router => trains.router && !stored.name.ends_with("gate.bias"),
            WeightPart::Embedding
            | WeightPart::Attention
            | WeightPart::Mlp
            | WeightPart::Experts
            | WeightPart::Shared
            | WeightPart::Norms
            | WeightPart::Head => trains.text,
        }
    }

    /// Bytes of a weight's optimiser state, each buffer an allocation of its own.
    fn state_bytes(&self, stored: &Stored) -> u64 {
        let unit = stored.unit_rows * stored.cols;
        let shards = shards(stored.units, unit * 4, self.buffers.limit);
        let is_vector = stored.units == 1 && stored.unit_rows == 1;
        let bytes = shards.into_iter().flat_map(|units| {
            let buffers = self.states.buffers(units * unit, is_vector);
            buffers.map(|b| b.next_multiple_of(self.buffers.alignment))
        });
        bytes.sum()
    }
}

/// Replays the steps of one configuration.
struct Step<'a> {
    config: &'a Config,
    settings: &'a TrainSettings,
    tokens: u64,
    patches: u64,
    /// Parts whose weights have gradients.
    trains: Trains,
    /// Parts that gradients flow through.
    flows: Trains,
    ledger: Ledger,
    /// What the tensors of the graph under way are counted as.
    kept_as: Kind,
}

#[cfg(test)]
mod tests;
