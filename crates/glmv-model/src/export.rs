//! Where every hub tensor's values are in a loaded model, for the writer.

use crate::config::{Config, Family};
use crate::decoder::FeedForward;
use crate::projector::rows_to_conv;
use crate::schema::{LANGUAGE, VISUAL};
use crate::vision::Mlp;
use crate::{Error, Glm4v, Linear, WeightParam};
use burn::module::Param;
use burn::tensor::{Tensor, s};
use glmv_kernels::Weight;
use glmv_kernels::device::read;
use std::collections::BTreeMap;
use std::ops::Range;

/// Where a hub tensor's values are in the model.
#[expect(
    clippy::large_enum_variant,
    reason = "one per tensor of a checkpoint being written"
)]
pub(crate) enum Source {
    /// A run of a vector.
    Vector(Tensor<1>, Range<usize>),
    /// A run of the rows that shards of a matrix hold together, in any stored shape of the same
    /// order.
    Rows(Vec<Weight<2>>, Range<usize>),
    /// The downsample matrix, whose columns must be permuted back; the value is the channels.
    Downsample(Weight<2>, usize),
    /// Rows of some experts, each in one shard of a stack, side by side or one below the other.
    Experts(Vec<(Weight<3>, usize)>, Range<usize>, Join),
}

/// How the experts that make a shared MLP are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Join {
    Rows,
    Columns,
}

impl Source {
    /// The values in the hub's order, read from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn values(&self) -> Result<Vec<f32>, Error> {
        Ok(match self {
            Source::Vector(t, range) => read(t.clone().slice(s![range.start..range.end]))?,
            Source::Rows(shards, range) => {
                let (mut top, mut values) = (0, Vec::new());
                for shard in shards {
                    let [rows, _] = shard.dims();
                    let (start, end) = (range.start.max(top), range.end.min(top + rows));
                    if start < end {
                        let run = shard.clone().narrow(start - top, end - top);
                        values.extend(read(run.dequantise())?);
                    }
                    top += rows;
                }
                values
            }
            Source::Downsample(t, channels) => {
                rows_to_conv(read(t.clone().dequantise())?, *channels)
            }
            Source::Experts(experts, rows, join) => {
                let each = experts.iter().map(|(t, e)| {
                    let expert = t.clone().narrow(*e, *e + 1).dequantise();
                    read(expert.slice(s![.., rows.start..rows.end]))
                });
                let each: Vec<Vec<f32>> = each.collect::<Result<_, _>>()?;
                match join {
                    Join::Rows => each.concat(),
                    Join::Columns => (0..rows.len())
                        .flat_map(|r| {
                            each.iter().map(move |e| {
                                &e[r * e.len() / rows.len()..][..e.len() / rows.len()]
                            })
                        })
                        .flatten()
                        .copied()
                        .collect(),
                }
            }
        })
    }
}

/// The values of a model under the names of the hub: q, k and v apart, every expert by itself.
pub struct HubTensors(BTreeMap<String, Source>);

impl HubTensors {
    /// Looks at `model`; nothing is read from the device yet.
    pub fn new(model: &Glm4v) -> Self {
        HubTensors(sources(model))
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The values of one tensor in the hub's order, `None` if there is no such tensor.
    ///
    /// # Errors
    /// If the device fails.
    pub fn read(&self, name: &str) -> Result<Option<Vec<f32>>, Error> {
        self.0.get(name).map(Source::values).transpose()
    }
}

fn shards(linear: &Linear) -> Vec<Weight<2>> {
    linear.weight.iter().map(WeightParam::val).collect()
}

fn all(shards: Vec<Weight<2>>) -> Source {
    let rows = shards.iter().map(|t| t.dims()[0]).sum();
    Source::Rows(shards, 0..rows)
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
        let (t, len) = (t.val(), t.dims()[0]);
        self.0.insert(name, Source::Vector(t, 0..len));
    }

    fn linear(&mut self, prefix: String, linear: &Linear) {
        if let Some(bias) = &linear.bias {
            self.vector(format!("{prefix}.bias"), bias);
        }
        self.0
            .insert(format!("{prefix}.weight"), all(shards(linear)));
    }

    /// The parts (name, rows) that `linear` joins.
    fn joined(&mut self, prefix: &str, linear: &Linear, parts: &[(&str, usize)]) {
        let mut top = 0;
        for (part, rows) in parts {
            let range = top..top + rows;
            top += rows;
            if let Some(bias) = &linear.bias {
                let source = Source::Vector(bias.val(), range.clone());
                self.0.insert(format!("{prefix}.{part}.bias"), source);
            }
            let source = Source::Rows(shards(linear), range);
            self.0.insert(format!("{prefix}.{part}.weight"), source);
        }
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
        let table = all(vec![v.position_embedding.val().into()]);
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
        let table = all(model.embed_tokens.iter().map(WeightParam::val).collect());
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
            let text = &model.config().text;
            let kv = text.num_kv_heads * text.head_dim;
            let parts = [
                ("q_proj", text.num_heads * text.head_dim),
                ("k_proj", kv),
                ("v_proj", kv),
            ];
            self.joined(&name("self_attn"), &attn.qkv_proj, &parts);
            self.linear(name("self_attn.o_proj"), &attn.o_proj);
            self.feed_forward(model.config(), &name("mlp"), &layer.mlp);
        }
    }

    fn feed_forward(&mut self, config: &Config, prefix: &str, mlp: &FeedForward) {
        match mlp {
            FeedForward::Dense(mlp) => {
                if config.family == Family::Glm4v {
                    self.linear(format!("{prefix}.gate_up_proj"), &mlp.gate_up_proj);
                } else {
                    let width = config.text.intermediate_size;
                    let parts = [("gate_proj", width), ("up_proj", width)];
                    self.joined(prefix, &mlp.gate_up_proj, &parts);
                }
                self.linear(format!("{prefix}.down_proj"), &mlp.down_proj);
            }
            FeedForward::Experts(moe) => {
                let gate = all(vec![moe.gate.val().into()]);
                self.0.insert(format!("{prefix}.gate.weight"), gate);
                let bias = format!("{prefix}.gate.e_score_correction_bias");
                self.vector(bias, &moe.e_score_correction_bias);
                let routed = moe.gate.dims()[0];
                self.experts(prefix, &moe.gate_up_proj, routed, &["gate_proj", "up_proj"]);
                self.experts(prefix, &moe.down_proj, routed, &["down_proj"]);
            }
        }
    }

    fn experts(&mut self, prefix: &str, stack: &[WeightParam<3>], routed: usize, parts: &[&str]) {
        let places = stack.iter().flat_map(|shard| {
            let shard = shard.val();
            (0..shard.dims()[0]).map(move |e| (shard.clone(), e))
        });
        let places: Vec<(Weight<3>, usize)> = places.collect();
        let rows = places.first().map_or(0, |(shard, _)| shard.dims()[1]);
        let each = rows / parts.len();
        let (routed, shared) = places.split_at(routed);
        for (p, part) in parts.iter().enumerate() {
            let range = p * each..(p + 1) * each;
            for (e, place) in routed.iter().enumerate() {
                let source = Source::Experts(vec![place.clone()], range.clone(), Join::Rows);
                self.0
                    .insert(format!("{prefix}.experts.{e}.{part}.weight"), source);
            }
            if !shared.is_empty() {
                let join = match *part {
                    "down_proj" => Join::Columns,
                    _ => Join::Rows,
                };
                let source = Source::Experts(shared.to_vec(), range, join);
                self.0
                    .insert(format!("{prefix}.shared_experts.{part}.weight"), source);
            }
        }
    }
}
