//! Decoder: embeddings and positions → hidden states. Dense (GLM-4.1V) and mixture-of-experts
//! (GLM-4.5V) layers; the KV cache is an argument.

mod attention;
mod kv_cache;
mod kv_pool;
mod moe;

pub use attention::Attention;
pub use kv_cache::KvCache;
pub(crate) use kv_cache::cache_format;
pub use kv_pool::{BlockId, KvPool, PoolConfig};
pub use moe::Moe;

use crate::config::{Config, Family, TextConfig};
use crate::schema::LANGUAGE;
use crate::{Error, Linear, Loader, Probe};
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};
use glmv_kernels::{After, Norm, Pairing, RopeTable, rms_norm, rms_norm_add};

/// HF `Glm4vTextMLP`, and `Glm4vMoeTextMLP` with gate and up joined.
#[derive(Module, Debug)]
pub struct FusedMlp {
    /// `[2 * intermediate, hidden]`, gate rows first.
    pub gate_up_proj: Linear,
    pub down_proj: Linear,
}

/// The second half of a layer.
#[derive(Module, Debug)]
pub enum FeedForward {
    /// GLM-4.1V, and the first layers of GLM-4.5V.
    Dense(FusedMlp),
    /// GLM-4.5V.
    Experts(Moe),
}

/// HF `Glm4vTextDecoderLayer` / `Glm4vMoeTextDecoderLayer`.
#[derive(Module, Debug)]
pub struct Layer {
    pub input_layernorm: Param<Tensor<1>>,
    pub self_attn: Attention,
    /// Dense family only: norms of the sub-layers' outputs.
    pub post_self_attn_layernorm: Option<Param<Tensor<1>>>,
    pub post_attention_layernorm: Param<Tensor<1>>,
    pub mlp: FeedForward,
    pub post_mlp_layernorm: Option<Param<Tensor<1>>>,
}

/// HF `Glm4vTextModel` / `Glm4vMoeTextModel` without the embedding.
#[derive(Module, Debug)]
pub struct Decoder {
    pub layers: Vec<Layer>,
    pub norm: Param<Tensor<1>>,
    #[module(skip)]
    config: TextConfig,
}

/// What all layers of one pass share.
pub(crate) struct Context<'a> {
    pub batch: usize,
    pub seq: usize,
    pub rope: &'a RopeTable,
    /// `[3, batch * seq]`.
    pub positions: Tensor<2, Int>,
    /// `[batch * seq, 2]`, in key rows of the cache.
    pub range: Tensor<2, Int>,
    /// The token of each key row, where some tokens are seen by several samples and there is no cache;
    /// without it every token is a key.
    pub keys: Option<Tensor<1, Int>>,
    /// Rotation of every token, where the fused launch of decoding may take it.
    pub angles: Option<Tensor<2>>,
    pub pairing: Pairing,
    pub paging: Option<Paging>,
}

/// Where a pass writes and reads its keys and values, for all layers.
pub(crate) struct Paging {
    /// `[batch * seq]`, rows of the pool.
    pub slots: Tensor<1, Int>,
    /// `[batch, max_blocks]`.
    pub table: Tensor<2, Int>,
}

impl Decoder {
    /// Loads all layers and the final norm.
    ///
    /// # Errors
    /// As the [`Loader`]'s.
    pub fn load(loader: &Loader<'_>, config: &Config) -> Result<Self, Error> {
        let h = config.text.hidden_size;
        let layers = (0..config.text.num_layers).map(|i| Layer::load(loader, config, i));
        Ok(Decoder {
            layers: layers.collect::<Result<_, _>>()?,
            norm: loader.f32(&format!("{LANGUAGE}.norm.weight"), [h])?,
            config: config.text.clone(),
        })
    }

    /// The configuration the decoder was loaded with.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// Runs all layers and the final norm.
    ///
    /// # Shapes
    /// `x` `[batch * seq, hidden]` → `[batch * seq, hidden]`, f32.
    ///
    /// # Errors
    /// A failed read of activations, where experts lie on the host.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        context: &Context<'_>,
        mut pool: Option<&mut KvPool>,
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        let mut x = x;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(
                x,
                &self.config,
                context,
                pool.as_deref_mut().map(|pool| (pool, i)),
                probe,
            )?;
            probe.record(|| format!("hidden_after_layer_{i}"), &x);
        }
        let x = rms_norm(x, self.norm.val(), self.config.rms_norm_eps);
        probe.record(|| "final_norm".into(), &x);
        Ok(x)
    }
}

impl FusedMlp {
    fn load(loader: &Loader<'_>, config: &Config, prefix: &str) -> Result<Self, Error> {
        let (h, width) = (config.text.hidden_size, config.text.intermediate_size);
        let gate_up_proj = match config.family {
            Family::Glm4v => {
                let name = format!("{prefix}.gate_up_proj");
                Linear::load(loader, &name, [2 * width, h], false)?
            }
            Family::Glm4vMoe => {
                let parts = [("gate_proj", width), ("up_proj", width)];
                Linear::load_joined(loader, prefix, &parts, h, false)?
            }
        };
        let down = format!("{prefix}.down_proj");
        Ok(FusedMlp {
            gate_up_proj,
            down_proj: Linear::load(loader, &down, [h, width], false)?,
        })
    }
}

impl Layer {
    fn load(loader: &Loader<'_>, config: &Config, index: usize) -> Result<Self, Error> {
        let t = &config.text;
        let (h, prefix) = (t.hidden_size, format!("{LANGUAGE}.layers.{index}"));
        let name = |rest: &str| format!("{prefix}.{rest}");
        let sandwich = |rest: &str| match config.family {
            Family::Glm4v => loader.f32(&name(rest), [h]).map(Some),
            Family::Glm4vMoe => Ok(None),
        };
        let mlp = match &t.moe {
            Some(moe) if index >= moe.first_k_dense_replace => {
                FeedForward::Experts(Moe::load(loader, index, moe, h, &name("mlp"))?)
            }
            _ => FeedForward::Dense(FusedMlp::load(loader, config, &name("mlp"))?),
        };
        Ok(Layer {
            input_layernorm: loader.f32(&name("input_layernorm.weight"), [h])?,
            self_attn: Attention::load(loader, t, &name("self_attn"))?,
            post_self_attn_layernorm: sandwich("post_self_attn_layernorm.weight")?,
            post_attention_layernorm: loader.f32(&name("post_attention_layernorm.weight"), [h])?,
            mlp,
            post_mlp_layernorm: sandwich("post_mlp_layernorm.weight")?,
        })
    }

    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        config: &TextConfig,
        context: &Context<'_>,
        pool: Option<(&mut KvPool, usize)>,
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        let norm = |weight: &Param<Tensor<1>>| Norm {
            weight: weight.val(),
            eps: config.rms_norm_eps,
        };
        let attended = self.self_attn.forward(
            x.clone(),
            norm(&self.input_layernorm),
            config,
            context,
            pool,
        );
        let x = match &self.post_self_attn_layernorm {
            Some(post) => {
                let y = self.self_attn.o_proj.fused(attended, None, After::Nothing);
                rms_norm_add(x, y, post.val(), config.rms_norm_eps)
            }
            None => (self.self_attn.o_proj).fused(attended, None, After::Residual(x)),
        };
        let before = norm(&self.post_attention_layernorm);
        if probe.is_on() {
            let normed = rms_norm(x.clone(), before.weight.clone(), before.eps);
            probe.record(|| "feed_forward_input".into(), &normed);
        }
        let after = self.post_mlp_layernorm.as_ref().map(norm);
        self.mlp.forward(x, before, after, probe)
    }
}

impl FeedForward {
    /// The experts of a mixture-of-experts layer.
    pub fn experts(&self) -> Option<&Moe> {
        match self {
            FeedForward::Experts(moe) => Some(moe),
            FeedForward::Dense(_) => None,
        }
    }

    /// `x + mlp(before(x))`, or `x + after(mlp(before(x)))`.
    fn forward(
        &self,
        x: Tensor<2>,
        before: Norm,
        after: Option<Norm>,
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        Ok(match (self, after) {
            (FeedForward::Dense(mlp), after) => {
                let act = mlp
                    .gate_up_proj
                    .fused(x.clone(), Some(before), After::SwiGlu);
                match after {
                    Some(after) => {
                        let y = mlp.down_proj.fused(act, None, After::Nothing);
                        rms_norm_add(x, y, after.weight, after.eps)
                    }
                    None => mlp.down_proj.fused(act, None, After::Residual(x)),
                }
            }
            // No published family norms the output of its experts.
            (FeedForward::Experts(moe), _) => moe.forward(x, before, probe)?,
        })
    }
}
