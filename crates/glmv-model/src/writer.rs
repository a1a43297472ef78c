//! A model back to the hub layout: sharded safetensors with an index, per-expert tensor names,
//! f32 byte-equal to what was loaded. Every file is written beside its place and then renamed.

use crate::decoder::FeedForward;
use crate::projector::rows_to_conv;
use crate::schema::{LANGUAGE, TensorSpec, VISUAL, tensors};
use crate::vision::Mlp;
use crate::{Error, Glm4v, Linear};
use burn::module::Param;
use burn::tensor::{Tensor, s};
use glmv_kernels::device::read;
use half::{bf16, f16};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Element type of the written matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAs {
    F32,
    F16,
    BF16,
}

impl StoreAs {
    fn name(self) -> &'static str {
        match self {
            StoreAs::F32 => "F32",
            StoreAs::F16 => "F16",
            StoreAs::BF16 => "BF16",
        }
    }

    fn bytes(self) -> usize {
        match self {
            StoreAs::F32 => 4,
            StoreAs::F16 | StoreAs::BF16 => 2,
        }
    }

    fn encode(self, values: &[f32], out: &mut impl Write) -> std::io::Result<()> {
        for v in values {
            match self {
                StoreAs::F32 => out.write_all(&v.to_le_bytes())?,
                StoreAs::F16 => out.write_all(&f16::from_f32(*v).to_le_bytes())?,
                StoreAs::BF16 => out.write_all(&bf16::from_f32(*v).to_le_bytes())?,
            }
        }
        Ok(())
    }
}

/// Where a hub tensor's values are in the model.
enum Source {
    Vector(Tensor<1>),
    /// Row shards of a matrix, in any stored shape of the same order.
    Rows(Vec<Tensor<2>>),
    /// The downsample matrix, whose columns must be permuted back; the value is the channels.
    Downsample(Tensor<2>, usize),
    /// Rows of one expert in one shard of a stack.
    Expert(Tensor<3>, usize, std::ops::Range<usize>),
}

impl Source {
    fn values(&self) -> Result<Vec<f32>, Error> {
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

/// Writes the weights of `model` into `dir` (created; must hold no weights yet), shards of at most
/// `max_shard_bytes`, and `model.safetensors.index.json` when there is more than one.
///
/// # Errors
/// [`Error::File`] when `dir` cannot be written or already holds a checkpoint.
pub fn save(model: &Glm4v, dir: &Path, store: StoreAs, max_shard_bytes: u64) -> Result<(), Error> {
    let sources = sources(model);
    write_sharded(
        dir,
        &tensors(model.config()),
        store,
        max_shard_bytes,
        &mut |spec| {
            let source = sources
                .get(&spec.name)
                .ok_or_else(|| Error::MissingTensor {
                    name: spec.name.clone(),
                    more: " (the loaded model has none)".to_string(),
                })?;
            source.values()
        },
    )
}

type Fill<'a> = &'a mut dyn FnMut(&TensorSpec) -> Result<Vec<f32>, Error>;

/// Writes `specs` in order, values from `fill`, one tensor in memory at a time.
pub(crate) fn write_sharded(
    dir: &Path,
    specs: &[TensorSpec],
    store: StoreAs,
    max_shard_bytes: u64,
    fill: Fill<'_>,
) -> Result<(), Error> {
    let fail = |path: &Path, reason: String| Error::File {
        path: path.to_path_buf(),
        reason,
    };
    std::fs::create_dir_all(dir).map_err(|e| fail(dir, e.to_string()))?;
    for name in ["model.safetensors", "model.safetensors.index.json"] {
        if dir.join(name).exists() {
            return Err(fail(
                &dir.join(name),
                "exists already; choose an empty folder".to_string(),
            ));
        }
    }
    let shards = split(specs, store, max_shard_bytes);
    let mut index = BTreeMap::new();
    let mut total = 0u64;
    for (i, shard) in shards.iter().enumerate() {
        let file = match shards.len() {
            1 => "model.safetensors".to_string(),
            n => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        let partial = dir.join(format!(".{file}.partial"));
        let result = write_shard(&partial, shard, store, fill);
        if let Err(error) = result {
            // The original error matters more than a left-over file.
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
        let path = dir.join(&file);
        std::fs::rename(&partial, &path).map_err(|e| fail(&path, e.to_string()))?;
        for spec in shard {
            index.insert(spec.name.clone(), file.clone());
            total += (spec.len() * store_of(spec, store).bytes()) as u64;
        }
    }
    if shards.len() > 1 {
        let path = dir.join("model.safetensors.index.json");
        let json = serde_json::json!({"metadata": {"total_size": total}, "weight_map": index});
        std::fs::write(&path, format!("{json:#}\n")).map_err(|e| fail(&path, e.to_string()))?;
    }
    Ok(())
}

fn store_of(spec: &TensorSpec, store: StoreAs) -> StoreAs {
    if spec.always_f32() {
        StoreAs::F32
    } else {
        store
    }
}

fn split(specs: &[TensorSpec], store: StoreAs, max: u64) -> Vec<Vec<&TensorSpec>> {
    let mut shards: Vec<Vec<&TensorSpec>> = vec![Vec::new()];
    let mut size = 0u64;
    for spec in specs {
        let bytes = (spec.len() * store_of(spec, store).bytes()) as u64;
        if size > 0 && size + bytes > max {
            shards.push(Vec::new());
            size = 0;
        }
        size += bytes;
        if let Some(last) = shards.last_mut() {
            last.push(spec);
        }
    }
    shards
}

fn write_shard(
    path: &Path,
    specs: &[&TensorSpec],
    store: StoreAs,
    fill: Fill<'_>,
) -> Result<(), Error> {
    let fail = |e: std::io::Error| Error::File {
        path: path.to_path_buf(),
        reason: e.to_string(),
    };
    let mut header = serde_json::Map::new();
    header.insert(
        "__metadata__".to_string(),
        serde_json::json!({"format": "pt"}),
    );
    let mut offset = 0;
    for spec in specs {
        let store = store_of(spec, store);
        let end = offset + spec.len() * store.bytes();
        let entry = serde_json::json!({
            "dtype": store.name(), "shape": spec.shape, "data_offsets": [offset, end]
        });
        header.insert(spec.name.clone(), entry);
        offset = end;
    }
    let mut text = serde_json::Value::Object(header).to_string();
    // The data starts at a multiple of 8, as the format recommends.
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    let mut out = BufWriter::new(File::create(path).map_err(fail)?);
    out.write_all(&(text.len() as u64).to_le_bytes())
        .map_err(fail)?;
    out.write_all(text.as_bytes()).map_err(fail)?;
    for spec in specs {
        let values = fill(spec)?;
        if values.len() != spec.len() {
            let (found, expected) = (vec![values.len()], spec.shape.clone());
            return Err(Error::Shape {
                name: spec.name.clone(),
                found,
                expected,
            });
        }
        store_of(spec, store)
            .encode(&values, &mut out)
            .map_err(fail)?;
    }
    out.flush().map_err(fail)?;
    out.get_ref().sync_all().map_err(fail)
}

fn rows(linear: &Linear) -> Source {
    Source::Rows(linear.weight.iter().map(Param::val).collect())
}

fn sources(model: &Glm4v) -> BTreeMap<String, Source> {
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
