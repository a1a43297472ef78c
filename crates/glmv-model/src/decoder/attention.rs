//! Grouped-query attention of the decoder with multimodal rotary positions.

use super::{Context, KvCache};
use crate::config::TextConfig;
use crate::{Error, Linear, Loader};
use burn::module::Module;
use burn::tensor::Tensor;
use glmv_kernels::{Norm, attention, rms_norm, rope};

/// HF `Glm4vTextAttention` / `Glm4vMoeTextAttention` weights.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[(heads + 2 * kv_heads) * head_dim, hidden]`: q rows, k rows, v rows.
    pub qkv_proj: Linear,
    pub o_proj: Linear,
}

impl Attention {
    pub(super) fn load(
        loader: &Loader<'_>,
        config: &TextConfig,
        prefix: &str,
    ) -> Result<Self, Error> {
        let h = config.hidden_size;
        let (q, kv) = (
            config.num_heads * config.head_dim,
            config.num_kv_heads * config.head_dim,
        );
        let parts = [("q_proj", q), ("k_proj", kv), ("v_proj", kv)];
        Ok(Attention {
            qkv_proj: Linear::load_joined(loader, prefix, &parts, h, config.qkv_bias)?,
            o_proj: Linear::load(loader, &format!("{prefix}.o_proj"), [h, q], false)?,
        })
    }

    /// Attention over the normed input, before the output projection.
    ///
    /// # Shapes
    /// `x` `[batch * seq, hidden]` → `[batch * seq, heads * head_dim]`.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        norm: Norm,
        config: &TextConfig,
        context: &Context<'_>,
        cache: Option<(&mut KvCache, usize)>,
    ) -> Tensor<2> {
        let (batch, seq, head_dim) = (context.batch, context.seq, config.head_dim);
        let (q, kv) = (config.num_heads * head_dim, config.num_kv_heads * head_dim);
        let x = rms_norm(x, norm.weight, norm.eps);
        let rows = |range| self.qkv_proj.forward_rows(x.clone(), range);
        let split = |t: Tensor<2>, heads: usize| t.reshape([batch * seq, heads, head_dim]);
        let turn = |t: Tensor<3>| rope(t, context.rope, context.positions.clone(), context.pairing);
        let v = rows(q + kv..q + 2 * kv);
        let k = turn(split(rows(q..q + kv), config.num_kv_heads));
        let q = turn(split(rows(0..q), config.num_heads));
        let q = q.reshape([batch, seq, config.num_heads, head_dim]);
        let kv_shape = [batch, seq, config.num_kv_heads, head_dim];
        let (k, v) = (k.reshape(kv_shape), v.reshape(kv_shape));
        let (k, v) = match cache {
            Some((cache, layer)) => cache.append(layer, k, v),
            None => (k, v),
        };
        let scale = (head_dim as f32).powf(-0.5);
        let out = attention(q, k, v, context.range.clone(), scale);
        out.reshape([batch * seq, config.num_heads * head_dim])
    }
}
