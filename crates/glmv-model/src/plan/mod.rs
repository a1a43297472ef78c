//! What a model needs on the device before anything is loaded: weights by part, KV cache,
//! activations and workspace, for any configuration. Called by `glmv inspect --plan`, by `glmv run`
//! before it loads, and by `glmv bench`.
//!
//! A [`Plan`] is a list of [`Item`]s, each in one [`Section`]; what training adds (gradients,
//! optimiser state, saved activations) is further sections of the same list. Figures are those of
//! the runtime's allocator, whose rounding `arena` models.

mod advice;
mod arena;
mod format;
mod pass;
mod train;
mod weights;

pub use advice::{Advice, Change};
pub use format::{CacheFormat, WeightFormat};
pub use train::{AdapterSettings, RolloutSettings, StateFormat, TrainPlan, TrainSettings, Trains};
pub use weights::{Stored, WeightPart};

use crate::config::Config;
use arena::Arena;
use pass::{Pass, Replay};
use serde::Serialize;

/// What is to be planned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Form of the decoder's matrices, experts, embedding and head.
    pub weights: WeightFormat,
    /// Form of the vision tower's and projector's matrices.
    pub vision: WeightFormat,
    /// Form of the KV cache.
    pub kv: CacheFormat,
    /// Tokens per sequence that the cache holds.
    pub ctx: usize,
    /// Sequences at once.
    pub batch: usize,
    /// Tokens of one cache block: a sequence takes whole blocks.
    pub block: usize,
    /// Most tokens of one prefill pass, per sequence.
    pub chunk: usize,
    /// Width and height in pixels of one picture (multiples of the merged patch's side are used).
    pub image: Option<[usize; 2]>,
    /// Last decoder layers whose experts stay in host memory.
    pub experts_on_host: usize,
    /// The device's buffers.
    pub buffers: BufferRules,
}

/// What the device says about its buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BufferRules {
    /// Largest buffer in bytes.
    pub limit: u64,
    /// Alignment of a buffer's slices in bytes.
    pub alignment: u64,
    /// True for the runtime's page allocator (wgpu); false where a tensor is exactly its size.
    pub paged: bool,
}

impl BufferRules {
    /// An adapter whose buffers hold `limit` bytes, with the alignment that most have at most.
    pub fn adapter(limit: u64) -> Self {
        BufferRules {
            limit,
            alignment: 256,
            paged: true,
        }
    }

    /// Host memory: no limit, no rounding.
    pub fn host() -> Self {
        BufferRules {
            limit: u64::MAX,
            alignment: 1,
            paged: false,
        }
    }
}

impl Settings {
    /// One sequence of `ctx` tokens with `weights`; the cache in f16 if the weights are narrower
    /// than f32, the tower no narrower than f16.
    pub fn new(weights: WeightFormat, ctx: usize, buffers: BufferRules) -> Self {
        let wide = weights == WeightFormat::F32;
        Settings {
            weights,
            vision: if wide {
                WeightFormat::F32
            } else {
                WeightFormat::F16
            },
            kv: if wide {
                CacheFormat::F32
            } else {
                CacheFormat::F16
            },
            ctx,
            batch: 1,
            block: 16,
            chunk: 512,
            image: None,
            experts_on_host: 0,
            buffers,
        }
    }

    /// Tokens that the cache has room for, over all sequences.
    fn cache_tokens(&self) -> u64 {
        let block = self.block.max(1);
        (self.ctx.div_ceil(block) * block * self.batch) as u64
    }
}

/// What an [`Item`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Section {
    Weights,
    Cache,
    /// Training: sums of gradients.
    Gradients,
    /// Training: the optimiser's means.
    Optimizer,
    /// Training: what the forward pass keeps for the backward pass.
    Saved,
    Activations,
    /// The allocator's own: unused parts of pages, launch descriptions, staging.
    Workspace,
    /// Training: samples in host memory.
    Data,
}

impl Section {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Section::Weights => "weights",
            Section::Cache => "KV cache",
            Section::Gradients => "gradients",
            Section::Optimizer => "optimiser state",
            Section::Saved => "saved activations",
            Section::Activations => "activations",
            Section::Workspace => "workspace",
            Section::Data => "data in flight",
        }
    }
}

/// One row of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    pub section: Section,
    pub name: String,
    /// Form of the values.
    pub format: &'static str,
    pub device_bytes: u64,
    pub host_bytes: u64,
}

/// A tensor that one buffer does not hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sharded {
    pub name: String,
    pub bytes: u64,
    /// Buffers it is split over; `None` if it cannot be split.
    pub shards: Option<u64>,
}

/// Bytes that a model needs, part by part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    pub settings: Settings,
    pub parameters: u64,
    pub items: Vec<Item>,
    /// Weights above the buffer limit, the largest of each kind.
    pub sharded: Vec<Sharded>,
    /// The largest activation, which cannot be split, if it exceeds the buffer limit.
    pub too_large: Option<Sharded>,
}

/// What the runtime keeps for launches: up to 512 descriptions, measured at 1 to 2 KiB each.
const LAUNCH_DESCRIPTIONS: u64 = 512 * (2 << 10);
/// Decode steps replayed: enough for pages to settle.
const DECODE_STEPS: usize = 2;

impl Plan {
    /// Plans `config` under `settings`.
    pub fn new(config: &Config, settings: &Settings) -> Self {
        let stored = weights::stored(config, settings);
        let mut plan = Plan {
            settings: settings.clone(),
            parameters: stored.iter().map(Stored::parameters).sum(),
            items: weight_items(&stored, settings),
            sharded: sharded(&stored, settings.buffers.limit),
            too_large: None,
        };
        plan.add_passes(config, settings);
        plan
    }

    /// Bytes on the device.
    pub fn device_bytes(&self) -> u64 {
        self.items.iter().map(|i| i.device_bytes).sum()
    }

    /// Bytes in host memory: the experts that stay there.
    pub fn host_bytes(&self) -> u64 {
        self.items.iter().map(|i| i.host_bytes).sum()
    }

    /// Bytes of one section on the device.
    pub fn section_bytes(&self, section: Section) -> u64 {
        let of = self.items.iter().filter(|i| i.section == section);
        of.map(|i| i.device_bytes).sum()
    }

    fn add_passes(&mut self, config: &Config, settings: &Settings) {
        let buffers = settings.buffers;
        let mut replay = Replay::new(
            config,
            settings,
            Arena::new(buffers.limit, buffers.alignment),
        );
        let batch = settings.batch.max(1) as u64;
        let vision = settings.image.map(|size| {
            replay.vision(patches(config, size));
            replay.arena().peak_live()
        });
        let chunk = settings.chunk.clamp(1, settings.ctx.max(1)) as u64;
        let seq = chunk.min(settings.ctx.max(1) as u64);
        replay.text(Pass { batch, seq });
        for _ in 0..DECODE_STEPS {
            replay.text(Pass { batch, seq: 1 });
        }
        let live = replay.arena().peak_live();
        let cache = cache_bytes(config, settings);
        self.add(Section::Cache, "keys and values", settings.kv.name(), cache);
        let rope = rope_table(config, settings);
        let name = match vision {
            Some(bytes) if bytes >= live => "picture",
            _ => "prefill pass",
        };
        self.add(Section::Activations, name, "f32", live);
        self.add(Section::Activations, "rotary table", "f32", rope);
        if buffers.paged {
            // With a picture the device takes one page more than the replay: measured.
            let more = settings.image.map_or(0, |_| replay.arena().page_bytes());
            let unused = (replay.arena().peak_reserved() + more).saturating_sub(live);
            self.add(Section::Workspace, "unused parts of pages", "-", unused);
            let launches = LAUNCH_DESCRIPTIONS;
            self.add(Section::Workspace, "launch descriptions", "-", launches);
            let staged = batch * config.text.vocab_size as u64 * 4;
            self.add(Section::Workspace, "staging of logits", "-", staged);
        }
        let (bytes, what) = replay.arena().largest();
        if bytes > buffers.limit {
            self.too_large = Some(Sharded {
                name: what.to_string(),
                bytes,
                shards: None,
            });
        }
    }

    fn add(&mut self, section: Section, name: &str, format: &'static str, device_bytes: u64) {
        self.items.push(Item {
            section,
            name: name.to_string(),
            format,
            device_bytes,
            host_bytes: 0,
        });
    }
}

/// Keys and values of all layers.
fn cache_bytes(config: &Config, settings: &Settings) -> u64 {
    let t = &config.text;
    let (heads, head_dim) = (t.num_kv_heads as u64, t.head_dim as u64);
    let layer = 2 * settings.kv.token_bytes(heads, head_dim) * settings.cache_tokens();
    layer * t.num_layers as u64
}

/// Patches of a picture of `[width, height]` pixels, sides rounded to merged patches.
pub fn patches(config: &Config, [width, height]: [usize; 2]) -> u64 {
    let v = &config.vision;
    let unit = v.patch_size * v.spatial_merge_size;
    let side = |pixels: usize| (pixels + unit / 2).max(unit) / unit * v.spatial_merge_size;
    (side(width) * side(height)) as u64
}

/// The cos/sin table, whose length is a power of two of at least 256 positions.
fn rope_table(config: &Config, settings: &Settings) -> u64 {
    let positions = settings.ctx.next_power_of_two().max(256);
    (positions * config.text.rotary_dims * 4) as u64
}

fn weight_items(stored: &[Stored], settings: &Settings) -> Vec<Item> {
    let align = settings.buffers.alignment;
    let mut items: Vec<(WeightPart, Item)> = Vec::new();
    for s in stored {
        let bytes: u64 = s.buffers().iter().map(|b| b.next_multiple_of(align)).sum();
        let (device, host) = if s.on_host { (0, bytes) } else { (bytes, 0) };
        let same = |(part, item): &&mut (WeightPart, Item)| {
            *part == s.part && item.format == s.format.name()
        };
        match items.iter_mut().find(same) {
            Some((_, item)) => {
                item.device_bytes += device;
                item.host_bytes += host;
            }
            None => {
                let item = Item {
                    section: Section::Weights,
                    name: s.part.name().to_string(),
                    format: s.format.name(),
                    device_bytes: device,
                    host_bytes: host,
                };
                items.push((s.part, item));
            }
        }
    }
    items.sort_by_key(|(part, _)| *part);
    items.into_iter().map(|(_, item)| item).collect()
}

/// The largest weight above `limit` of each part.
fn sharded(stored: &[Stored], limit: u64) -> Vec<Sharded> {
    let mut found: Vec<(WeightPart, Sharded)> = Vec::new();
    for s in stored.iter().filter(|s| !s.on_host) {
        let bytes = s.buffers().into_iter().max().unwrap_or(0);
        if bytes <= limit {
            continue;
        }
        let shard = Sharded {
            name: s.name.clone(),
            bytes,
            shards: s.shards(limit),
        };
        match found.iter_mut().find(|(part, _)| *part == s.part) {
            Some((_, largest)) if largest.bytes < bytes => *largest = shard,
            Some(_) => {}
            None => found.push((s.part, shard)),
        }
    }
    found.into_iter().map(|(_, shard)| shard).collect()
}

#[cfg(test)]
mod tests;
