//! Grouped-query attention of the decoder with multimodal rotary positions.

use super::{Context, KvPool};
use crate::config::TextConfig;
use crate::{Error, Linear, Loader};
use burn::module::Module;
use burn::tensor::Tensor;
use glmv_kernels::{
    CacheRows, Heads, KvFormat, KvStore, Norm, attention, attention_paged, fused_qkv, qkv_is_fused,
    rms_norm, rope,
};

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
        mut pool: Option<(&mut KvPool, usize)>,
    ) -> Tensor<2> {
        let (batch, seq, head_dim) = (context.batch, context.seq, config.head_dim);
        let width = config.num_heads * head_dim;
        let (scale, range) = ((head_dim as f32).powf(-0.5), context.range.clone());
        if let (Some((pool, layer)), Some(paging)) = (&mut pool, &context.paging)
            && let Some(q) = self.decode(&x, &norm, config, context, (pool, *layer))
        {
            let (block, table) = (pool.block_size(), paging.table.clone());
            let q = q.reshape([batch, seq, config.num_heads, head_dim]);
            let out = attention_paged(q, pool.store(*layer), table, range, scale, block);
            return out.reshape([batch * seq, width]);
        }
        let (q, kv) = (config.num_heads * head_dim, config.num_kv_heads * head_dim);
        let x = rms_norm(x, norm.weight, norm.eps);
        let rows = |range| self.qkv_proj.forward_rows(x.clone(), range);
        let split = |t: Tensor<2>, heads: usize| t.reshape([batch * seq, heads, head_dim]);
        let turn = |t: Tensor<3>| rope(t, context.rope, context.positions.clone(), context.pairing);
        let v = rows(q + kv..q + 2 * kv);
        let k = turn(split(rows(q..q + kv), config.num_kv_heads));
        let q = turn(split(rows(0..q), config.num_heads));
        let q = q.reshape([batch, seq, config.num_heads, head_dim]);
        let v = split(v, config.num_kv_heads);
        let out = match (pool, &context.paging) {
            (Some((pool, layer)), Some(paging)) => {
                let block = pool.block_size();
                let store = pool.write(layer, k, v, paging.slots.clone());
                attention_paged(q, store, paging.table.clone(), range, scale, block)
            }
            _ => {
                let (k, v) = match &context.keys {
                    Some(keys) => (k.select(0, keys.clone()), v.select(0, keys.clone())),
                    None => (k, v),
                };
                let shape = [batch, k.dims()[0] / batch, config.num_kv_heads, head_dim];
                attention(q, k.reshape(shape), v.reshape(shape), range, scale)
            }
        };
        out.reshape([batch * seq, width])
    }

    /// Norm, projections, rotation and cache write in one launch, where there is one.
    ///
    /// # Shapes
    /// → `[tokens, heads, head_dim]`.
    fn decode(
        &self,
        x: &Tensor<2>,
        norm: &Norm,
        config: &TextConfig,
        context: &Context<'_>,
        (pool, layer): (&mut KvPool, usize),
    ) -> Option<Tensor<3>> {
        let heads = Heads {
            queries: config.num_heads,
            keys: config.num_kv_heads,
            dim: config.head_dim,
        };
        let angles = context.angles.clone()?;
        let (weight, bias) = self.qkv_proj.whole()?;
        let slots = context.paging.as_ref()?.slots.clone();
        if pool.format() == KvFormat::Q8 || !qkv_is_fused(x, &weight, heads, context.rope) {
            return None;
        }
        let (x, norm, pairing) = (x.clone(), norm.clone(), context.pairing);
        pool.update(layer, |store| match store {
            KvStore::Float { keys, values } => {
                let cache = CacheRows {
                    keys,
                    values,
                    slots,
                };
                let rotation = (angles, pairing);
                let (q, keys, values) = fused_qkv(x, norm, (weight, bias), heads, rotation, cache);
                (KvStore::Float { keys, values }, Some(q))
            }
            codes => (codes, None),
        })
    }
}
