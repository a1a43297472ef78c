//! Every tensor of a checkpoint with its hub name, shape and part, from the configuration alone.
//! The loader, the writer, `glmv inspect` and the random checkpoints read this one list.

use crate::config::{Config, MoeConfig};

/// Part of the system a tensor belongs to, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Vision,
    Projector,
    Embedding,
    Decoder,
    Experts,
    Head,
}

impl Part {
    /// All parts in the order of a forward pass.
    pub const ALL: [Part; 6] = [
        Part::Vision,
        Part::Projector,
        Part::Embedding,
        Part::Decoder,
        Part::Experts,
        Part::Head,
    ];

    /// Lower-case name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            Part::Vision => "vision",
            Part::Projector => "projector",
            Part::Embedding => "embedding",
            Part::Decoder => "decoder",
            Part::Experts => "experts",
            Part::Head => "head",
        }
    }
}

/// One stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// Name on the hub.
    pub name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
    pub part: Part,
}

impl TensorSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if a dimension is zero, which no valid configuration gives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True for the router's correction bias, which stays f32 in every checkpoint.
    pub fn always_f32(&self) -> bool {
        self.name.ends_with("e_score_correction_bias")
    }
}

/// Prefix of decoder tensors on the hub.
pub const LANGUAGE: &str = "model.language_model";
/// Prefix of vision tensors on the hub.
pub const VISUAL: &str = "model.visual";

/// All tensors of the hub layout (experts one by one), in a stable order.
///
/// Source: the key lists of GLM-4.1V (704 tensors) and GLM-4.5V (18 106 tensors).
pub fn tensors(config: &Config) -> Vec<TensorSpec> {
    let mut list = List(Vec::new());
    list.vision(config);
    list.text(config);
    list.0
}

struct List(Vec<TensorSpec>);

impl List {
    fn add(&mut self, part: Part, name: String, shape: &[usize]) {
        self.0.push(TensorSpec {
            name,
            shape: shape.to_vec(),
            part,
        });
    }

    fn vision(&mut self, config: &Config) {
        let v = &config.vision;
        let (d, out, patch) = (v.hidden_size, v.out_hidden_size, v.patch_size);
        let conv = [d, v.in_channels, v.temporal_patch_size, patch, patch];
        let name = |rest: &str| format!("{VISUAL}.{rest}");
        self.add(Part::Vision, name("patch_embed.proj.weight"), &conv);
        self.add(Part::Vision, name("patch_embed.proj.bias"), &[d]);
        let grid = [v.grid_side * v.grid_side, d];
        self.add(
            Part::Vision,
            name("embeddings.position_embedding.weight"),
            &grid,
        );
        self.add(Part::Vision, name("post_conv_layernorm.weight"), &[d]);
        for i in 0..v.depth {
            let block = |rest: &str| format!("{VISUAL}.blocks.{i}.{rest}");
            self.add(Part::Vision, block("norm1.weight"), &[d]);
            self.add(Part::Vision, block("norm2.weight"), &[d]);
            self.add(Part::Vision, block("attn.qkv.weight"), &[3 * d, d]);
            self.add(Part::Vision, block("attn.proj.weight"), &[d, d]);
            self.add(Part::Vision, block("mlp.gate_proj.weight"), &[out, d]);
            self.add(Part::Vision, block("mlp.up_proj.weight"), &[out, d]);
            self.add(Part::Vision, block("mlp.down_proj.weight"), &[d, out]);
        }
        self.add(Part::Vision, name("post_layernorm.weight"), &[d]);
        let merge = v.spatial_merge_size;
        self.add(
            Part::Projector,
            name("downsample.weight"),
            &[out, d, merge, merge],
        );
        self.add(Part::Projector, name("downsample.bias"), &[out]);
        let inner = v.intermediate_size;
        self.add(Part::Projector, name("merger.proj.weight"), &[out, out]);
        self.add(
            Part::Projector,
            name("merger.post_projection_norm.weight"),
            &[out],
        );
        self.add(
            Part::Projector,
            name("merger.post_projection_norm.bias"),
            &[out],
        );
        self.add(
            Part::Projector,
            name("merger.gate_proj.weight"),
            &[inner, out],
        );
        self.add(
            Part::Projector,
            name("merger.up_proj.weight"),
            &[inner, out],
        );
        self.add(
            Part::Projector,
            name("merger.down_proj.weight"),
            &[out, inner],
        );
    }

    fn text(&mut self, config: &Config) {
        let t = &config.text;
        let (h, i) = (t.hidden_size, t.intermediate_size);
        let embedding = format!("{LANGUAGE}.embed_tokens.weight");
        self.add(Part::Embedding, embedding, &[t.vocab_size, h]);
        for layer in 0..t.num_layers {
            let name = |rest: &str| format!("{LANGUAGE}.layers.{layer}.{rest}");
            self.attention(config, &name);
            match &t.moe {
                None => {
                    self.add(Part::Decoder, name("mlp.gate_up_proj.weight"), &[2 * i, h]);
                    self.add(Part::Decoder, name("mlp.down_proj.weight"), &[h, i]);
                    self.add(Part::Decoder, name("post_self_attn_layernorm.weight"), &[h]);
                    self.add(Part::Decoder, name("post_mlp_layernorm.weight"), &[h]);
                }
                Some(moe) if layer < moe.first_k_dense_replace => {
                    self.mlp(Part::Decoder, &name("mlp"), h, i);
                }
                Some(moe) => self.experts(moe, h, &name),
            }
        }
        self.add(Part::Decoder, format!("{LANGUAGE}.norm.weight"), &[h]);
        if !config.tie_word_embeddings {
            self.add(Part::Head, "lm_head.weight".to_string(), &[t.vocab_size, h]);
        }
    }

    fn attention(&mut self, config: &Config, name: &dyn Fn(&str) -> String) {
        let t = &config.text;
        let (h, q) = (t.hidden_size, t.num_heads * t.head_dim);
        let kv = t.num_kv_heads * t.head_dim;
        self.add(Part::Decoder, name("input_layernorm.weight"), &[h]);
        self.add(Part::Decoder, name("post_attention_layernorm.weight"), &[h]);
        for (proj, width) in [("q_proj", q), ("k_proj", kv), ("v_proj", kv)] {
            self.add(
                Part::Decoder,
                name(&format!("self_attn.{proj}.weight")),
                &[width, h],
            );
            if t.qkv_bias {
                self.add(
                    Part::Decoder,
                    name(&format!("self_attn.{proj}.bias")),
                    &[width],
                );
            }
        }
        self.add(Part::Decoder, name("self_attn.o_proj.weight"), &[h, q]);
    }

    fn mlp(&mut self, part: Part, prefix: &str, hidden: usize, width: usize) {
        self.add(part, format!("{prefix}.gate_proj.weight"), &[width, hidden]);
        self.add(part, format!("{prefix}.up_proj.weight"), &[width, hidden]);
        self.add(part, format!("{prefix}.down_proj.weight"), &[hidden, width]);
    }

    fn experts(&mut self, moe: &MoeConfig, hidden: usize, name: &dyn Fn(&str) -> String) {
        let width = moe.expert_width;
        self.add(
            Part::Decoder,
            name("mlp.gate.weight"),
            &[moe.num_experts, hidden],
        );
        self.add(
            Part::Decoder,
            name("mlp.gate.e_score_correction_bias"),
            &[moe.num_experts],
        );
        if moe.num_shared_experts > 0 {
            let shared = width * moe.num_shared_experts;
            self.mlp(Part::Decoder, &name("mlp.shared_experts"), hidden, shared);
        }
        for e in 0..moe.num_experts {
            self.mlp(
                Part::Experts,
                &name(&format!("mlp.experts.{e}")),
                hidden,
                width,
            );
        }
    }
}
