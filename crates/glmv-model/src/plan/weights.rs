//! The buffers that the weights lie in on the device, from the configuration alone: joined and
//! stacked as the modules load them.

use super::{Settings, WeightFormat};
use crate::config::{Config, MoeConfig};
use serde::Serialize;

/// Part of the model, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightPart {
    Vision,
    Projector,
    Embedding,
    Attention,
    /// Dense feed-forward layers.
    Mlp,
    /// Routed experts.
    Experts,
    /// Shared experts, which lie behind the routed ones in the same stacks.
    Shared,
    Router,
    Norms,
    Head,
}

impl WeightPart {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            WeightPart::Vision => "vision",
            WeightPart::Projector => "projector",
            WeightPart::Embedding => "embedding",
            WeightPart::Attention => "attention",
            WeightPart::Mlp => "dense MLP",
            WeightPart::Experts => "experts",
            WeightPart::Shared => "shared experts",
            WeightPart::Router => "router",
            WeightPart::Norms => "norms",
            WeightPart::Head => "head",
        }
    }
}

/// Weights that are one tensor at run time, before sharding.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub part: WeightPart,
    pub name: String,
    pub format: WeightFormat,
    /// Units that a shard boundary may lie between: rows, or experts of a stack.
    pub units: u64,
    /// Rows of one unit.
    pub unit_rows: u64,
    /// Elements of one row.
    pub cols: u64,
    pub on_host: bool,
}

impl Stored {
    /// Number of parameters.
    pub fn parameters(&self) -> u64 {
        self.units * self.unit_rows * self.cols
    }

    /// Bytes of each of the tensor's buffers: values, or codes and scales.
    pub fn buffers(&self) -> Vec<u64> {
        let rows = self.units * self.unit_rows;
        let per_row = self.format.row_buffers(self.cols);
        per_row.into_iter().map(|b| b * rows).collect()
    }

    /// Bytes of all its buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers().iter().sum()
    }

    /// Shards that a buffer limit makes of it; `None` if one unit is too large.
    pub fn shards(&self, limit: u64) -> Option<u64> {
        let unit = self.format.row_buffers(self.cols).into_iter().max()? * self.unit_rows;
        match limit / unit {
            0 => None,
            fit => Some(self.units.div_ceil(fit)),
        }
    }
}

/// Every weight of `config` as the loader places it under `settings`.
pub(super) fn stored(config: &Config, settings: &Settings) -> Vec<Stored> {
    let mut list = List {
        settings,
        stored: Vec::new(),
    };
    list.vision(config);
    list.text(config);
    list.stored
}

struct List<'a> {
    settings: &'a Settings,
    stored: Vec<Stored>,
}

impl List<'_> {
    fn put(&mut self, part: WeightPart, name: String, format: WeightFormat, shape: [usize; 2]) {
        let [rows, cols] = shape.map(|v| v as u64);
        self.stored.push(Stored {
            part,
            name,
            format,
            units: rows,
            unit_rows: 1,
            cols,
            on_host: false,
        });
    }

    fn kept_f32(&mut self, part: WeightPart, name: &str, shape: [usize; 2]) {
        self.put(part, name.to_string(), WeightFormat::F32, shape);
    }

    fn vision(&mut self, config: &Config) {
        let (v, format) = (&config.vision, self.settings.vision);
        let (d, out, inner) = (v.hidden_size, v.out_hidden_size, v.intermediate_size);
        use WeightPart::{Projector, Vision};
        self.put(Vision, "patch_embed".into(), format, [d, v.patch_len()]);
        self.kept_f32(Vision, "patch_embed.bias", [1, d]);
        let grid = v.grid_side * v.grid_side;
        self.kept_f32(Vision, "position_embedding", [grid, d]);
        self.kept_f32(Vision, "post_conv_layernorm", [1, d]);
        self.kept_f32(Vision, "post_layernorm", [1, d]);
        for i in 0..v.depth {
            let name = |rest: &str| format!("blocks.{i}.{rest}");
            self.put(Vision, name("qkv"), format, [3 * d, d]);
            self.put(Vision, name("proj"), format, [d, d]);
            self.put(Vision, name("gate_proj"), format, [out, d]);
            self.put(Vision, name("up_proj"), format, [out, d]);
            self.put(Vision, name("down_proj"), format, [d, out]);
            self.kept_f32(Vision, &name("norm1"), [1, d]);
            self.kept_f32(Vision, &name("norm2"), [1, d]);
        }
        let merge = v.spatial_merge_size * v.spatial_merge_size;
        self.put(Projector, "downsample".into(), format, [out, merge * d]);
        self.kept_f32(Projector, "downsample.bias", [1, out]);
        self.put(Projector, "merger.proj".into(), format, [out, out]);
        self.kept_f32(Projector, "post_projection_norm.weight", [1, out]);
        self.kept_f32(Projector, "post_projection_norm.bias", [1, out]);
        self.put(Projector, "merger.gate_proj".into(), format, [inner, out]);
        self.put(Projector, "merger.up_proj".into(), format, [inner, out]);
        self.put(Projector, "merger.down_proj".into(), format, [out, inner]);
    }

    fn text(&mut self, config: &Config) {
        use WeightPart::{Attention, Embedding, Head, Mlp, Norms};
        let (t, format) = (&config.text, self.settings.weights);
        let (h, i) = (t.hidden_size, t.intermediate_size);
        let (q, kv) = (t.num_heads * t.head_dim, t.num_kv_heads * t.head_dim);
        self.put(Embedding, "embed_tokens".into(), format, [t.vocab_size, h]);
        for layer in 0..t.num_layers {
            let name = |rest: &str| format!("layers.{layer}.{rest}");
            self.put(Attention, name("qkv_proj"), format, [q + 2 * kv, h]);
            if t.qkv_bias {
                self.kept_f32(Attention, &name("qkv_proj.bias"), [1, q + 2 * kv]);
            }
            self.put(Attention, name("o_proj"), format, [h, q]);
            let norms = if t.moe.is_none() { 4 } else { 2 };
            for n in 0..norms {
                self.kept_f32(Norms, &name(&format!("norm{n}")), [1, h]);
            }
            match &t.moe {
                Some(moe) if layer >= moe.first_k_dense_replace => {
                    let on_host = t.num_layers - layer <= self.settings.experts_on_host;
                    self.experts(moe, h, &name(""), on_host);
                }
                _ => {
                    self.put(Mlp, name("gate_up_proj"), format, [2 * i, h]);
                    self.put(Mlp, name("down_proj"), format, [h, i]);
                }
            }
        }
        self.kept_f32(Norms, "norm", [1, h]);
        if !config.tie_word_embeddings {
            self.put(Head, "lm_head".into(), format, [t.vocab_size, h]);
        }
    }

    fn experts(&mut self, moe: &MoeConfig, hidden: usize, layer: &str, on_host: bool) {
        let routed = moe.num_experts;
        self.kept_f32(
            WeightPart::Router,
            &format!("{layer}gate"),
            [routed, hidden],
        );
        self.kept_f32(
            WeightPart::Router,
            &format!("{layer}gate.bias"),
            [1, routed],
        );
        let (h, w) = (hidden as u64, moe.expert_width as u64);
        let parts = [
            (WeightPart::Experts, routed),
            (WeightPart::Shared, moe.num_shared_experts),
        ];
        for (part, units) in parts.into_iter().filter(|(_, units)| *units > 0) {
            for (name, unit_rows, cols) in [("gate_up", 2 * w, h), ("down", h, w)] {
                self.stored.push(Stored {
                    part,
                    name: format!("{layer}{name}_experts"),
                    format: self.settings.weights,
                    units: units as u64,
                    unit_rows,
                    cols,
                    on_host,
                });
            }
        }
    }
}
