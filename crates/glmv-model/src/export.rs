//! Where every hub tensor's values are in a loaded model, for the writer.

use crate::decoder::FeedForward;
use crate::projector::rows_to_conv;
use crate::schema::{LANGUAGE, VISUAL};
use crate::vision::Mlp;
use crate::{Error, Glm4v, Linear};
use burn::module::Param;
use burn::tensor::{Tensor, s};
use glmv_kernels::device::read;
use std::collections::BTreeMap;

/// Where a hub tensor's values are in the model.
pub(crate) enum Source {
    Vector(Tensor<1>),
    /// Row shards of a matrix, in any stored shape of the same order.
    Rows(Vec<Tensor<2>>),
    /// The downsample matrix, whose columns must be permuted back; the value is the channels.
    Downsample(Tensor<2>, usize),
    /// Rows of one expert in one shard of a stack.
    Expert(Tensor<3>, usize, std::ops::Range<usize>),
}

impl Source {
    /// The values in the hub's order, read from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn values(&self) -> Result<Vec<f32>, Error> {
        Ok(match self {
            Source::Vector(t) => read(t.clone())?,
            Source::Rows(shards) => {
                let parts: Result<Vec<_>, _> = shards.iter().map(|t| read(t.clone())).collect();
                parts?.concat()
            }
            Source::Downsample(t, channels) => rows_to_conv(read(t.clone())?, *channels),
            Source::Expert(t, e, rows) => {
                read(t.clone().slice(s![*e..*e + 1, rows.start..rows.end]))?
            }
        })
    }
}

fn rows(linear: &Linear) -> Source {
    Source::Rows(linear.weight.iter().map(Param::val).collect())
}

/// Every hub tensor of `model` by name.
pub(crate) fn sources(model: &Glm4v) -> BTreeMap<String, Source> {
    let mut map = Sources(BTreeMap::new());
    map.vision(model);
    map.text(model);
    map.0
}

struct Sources(BTreeMap<String, Source>);

impl Sources {
    fn vector(&mut self, name: String, t: &Param<Tensor<1>>) {
        self.0.insert(name, Source::Vector(t.val()));
    }

    fn linear(&mut self, prefix: String, linear: &Linear) {
        if let Some(bias) = &linear.bias {
            self.vector(format!("{prefix}.bias"), bias);
        }
        self.0.insert(format!("{prefix}.weight"), rows(linear));
    }

    fn mlp(&mut self, prefix: &str, mlp: &Mlp) {
        self.linear(format!("{prefix}.gate_proj"), &mlp.gate_proj);
        self.linear(format!("{prefix}.up_proj"), &mlp.up_proj);
        self.linear(format!("{prefix}.down_proj"), &mlp.down_proj);
    }

    fn vision(&mut self, model: &Glm4v) {
        let (v, p) = (&model.visual, &model.projector);
        let name = |rest: &str| format!("{VISUAL}.{rest}");
        self.linear(name("patch_embed.proj"), &v.patch_embed);
        let table = Source::Rows(vec![v.position_embedding.val()]);
        self.0
            .insert(name("embeddings.position_embedding.weight"), table);
        self.vector(name("post_conv_layernorm.weight"), &v.post_conv_layernorm);
        self.vector(name("post_layernorm.weight"), &v.post_layernorm);
        for (i, block) in v.blocks.iter().enumerate() {
            let name = |rest: &str| format!("{VISUAL}.blocks.{i}.{rest}");
            self.vector(name("norm1.weight"), &block.norm1);
            self.vector(name("norm2.weight"), &block.norm2);
            self.linear(name("attn.qkv"), &block.attn.qkv);
            self.linear(name("attn.proj"), &block.attn.proj);
            self.mlp(&name("mlp"), &block.mlp);
        }
        self.linear(name("downsample"), &p.downsample);
        if let Some(weight) = p.downsample.weight.first() {
            let source = Source::Downsample(weight.val(), model.config().vision.hidden_size);
            self.0.insert(name("downsample.weight"), source);
        }
        self.linear(name("merger.proj"), &p.proj);
        self.vector(
            name("merger.post_projection_norm.weight"),
            &p.post_projection_norm_weight,
        );
        self.vector(
            name("merger.post_projection_norm.bias"),
            &p.post_projection_norm_bias,
        );
        self.mlp(&name("merger"), &p.mlp);
    }

    fn text(&mut self, model: &Glm4v) {
        let table = Source::Rows(model.embed_tokens.iter().map(Param::val).collect());
        self.0
            .insert(format!("{LANGUAGE}.embed_tokens.weight"), table);
        if let Some(head) = &model.lm_head {
            self.linear("lm_head".to_string(), head);
        }
        self.vector(
            format!("{LANGUAGE}.norm.weight"),
            &model.language_model.norm,
        );
        for (i, layer) in model.language_model.layers.iter().enumerate() {
            let name = |rest: &str| format!("{LANGUAGE}.layers.{i}.{rest}");
            self.vector(name("input_layernorm.weight"), &layer.input_layernorm);
            self.vector(
                name("post_attention_layernorm.weight"),
                &layer.post_attention_layernorm,
            );
            for (norm, rest) in [
                (
                    &layer.post_self_attn_layernorm,
                    "post_self_attn_layernorm.weight",
                ),
                (&layer.post_mlp_layernorm, "post_mlp_layernorm.weight"),
            ] {
                if let Some(norm) = norm {
                    self.vector(name(rest), norm);
                }
            }
            let attn = &layer.self_attn;
            self.linear(name("self_attn.q_proj"), &attn.q_proj);
            self.linear(name("self_attn.k_proj"), &attn.k_proj);
            self.linear(name("self_attn.v_proj"), &attn.v_proj);
            self.linear(name("self_attn.o_proj"), &attn.o_proj);
            self.feed_forward(&name("mlp"), &layer.mlp);
        }
    }

    fn feed_forward(&mut self, prefix: &str, mlp: &FeedForward) {
        match mlp {
            FeedForward::Fused(mlp) => {
                self.linear(format!("{prefix}.gate_up_proj"), &mlp.gate_up_proj);
                self.linear(format!("{prefix}.down_proj"), &mlp.down_proj);
            }
            FeedForward::Plain(mlp) => self.mlp(prefix, mlp),
            FeedForward::Experts(moe) => {
                let gate = Source::Rows(vec![moe.gate.val()]);
                self.0.insert(format!("{prefix}.gate.weight"), gate);
                let bias = format!("{prefix}.gate.e_score_correction_bias");
                self.vector(bias, &moe.e_score_correction_bias);
                if let Some(shared) = &moe.shared_experts {
                    self.mlp(&format!("{prefix}.shared_experts"), shared);
                }
                self.experts(prefix, &moe.gate_up_proj, &["gate_proj", "up_proj"]);
                self.experts(prefix, &moe.down_proj, &["down_proj"]);
            }
        }
    }

    fn experts(&mut self, prefix: &str, stack: &[Param<Tensor<3>>], parts: &[&str]) {
        let mut index = 0;
        for shard in stack {
            let shard = shard.val();
            let [experts, rows, _] = shard.dims();
            let each = rows / parts.len();
            for e in 0..experts {
                for (p, part) in parts.iter().enumerate() {
                    let name = format!("{prefix}.experts.{index}.{part}.weight");
                    let source = Source::Expert(shard.clone(), e, p * each..(p + 1) * each);
                    self.0.insert(name, source);
                }
                index += 1;
            }
        }
    }
}
