//! One block of the tower: full attention inside a frame pair, then a gated MLP.

use super::Layout;
use crate::config::VisionConfig;
use crate::{Error, Linear, Loader};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use glmv_kernels::{Pairing, add_rms_norm, attention, rms_norm, rope, silu_mul};

/// HF `Glm4vVisionAttention` weights.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[3 * hidden, hidden]`: q rows, k rows, v rows.
    pub qkv: Linear,
    pub proj: Linear,
}

/// HF `Glm4VisionMlp` weights.
#[derive(Module, Debug)]
pub struct Mlp {
    pub gate_proj: Linear,
    pub up_proj: Linear,
    pub down_proj: Linear,
}

/// HF `Glm4vVisionBlock`.
#[derive(Module, Debug)]
pub struct Block {
    pub norm1: Param<Tensor<1>>,
    pub norm2: Param<Tensor<1>>,
    pub attn: Attention,
    pub mlp: Mlp,
}

impl Mlp {
    /// Loads `{prefix}.{gate,up,down}_proj`.
    ///
    /// # Errors
    /// As the [`Loader`]'s.
    pub fn load(
        loader: &Loader<'_>,
        prefix: &str,
        hidden: usize,
        width: usize,
    ) -> Result<Self, Error> {
        let linear =
            |name: &str, shape| Linear::load(loader, &format!("{prefix}.{name}"), shape, false);
        Ok(Mlp {
            gate_proj: linear("gate_proj", [width, hidden])?,
            up_proj: linear("up_proj", [width, hidden])?,
            down_proj: linear("down_proj", [hidden, width])?,
        })
    }

    /// `down(silu(gate(x)) * up(x))`.
    ///
    /// # Shapes
    /// `[rows, hidden]` → `[rows, hidden]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone());
        let up = self.up_proj.forward(x);
        self.down_proj.forward(silu_mul(gate, up))
    }
}

impl Block {
    pub(super) fn load(
        loader: &Loader<'_>,
        config: &VisionConfig,
        prefix: &str,
    ) -> Result<Self, Error> {
        let d = config.hidden_size;
        let name = |rest: &str| format!("{prefix}.{rest}");
        Ok(Block {
            norm1: loader.f32(&name("norm1.weight"), [d])?,
            norm2: loader.f32(&name("norm2.weight"), [d])?,
            attn: Attention {
                qkv: Linear::load(loader, &name("attn.qkv"), [3 * d, d], false)?,
                proj: Linear::load(loader, &name("attn.proj"), [d, d], false)?,
            },
            mlp: Mlp::load(loader, &name("mlp"), d, config.out_hidden_size)?,
        })
    }

    /// # Shapes
    /// `x` `[n, hidden]` → `[n, hidden]`.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        config: &VisionConfig,
        layout: &Layout,
    ) -> Tensor<2> {
        let eps = config.rms_norm_eps;
        let normed = rms_norm(x.clone(), self.norm1.val(), eps);
        let attended = self.attend(normed, config, layout);
        let (x, normed) = add_rms_norm(x, attended, self.norm2.val(), eps);
        x + self.mlp.forward(normed)
    }

    fn attend(&self, x: Tensor<2>, config: &VisionConfig, layout: &Layout) -> Tensor<2> {
        let [n, d] = x.dims();
        let (heads, head_dim) = (config.num_heads, config.head_dim);
        let part = |i: usize| {
            let rows = self.attn.qkv.forward_rows(x.clone(), i * d..(i + 1) * d);
            rows.reshape([n, heads, head_dim])
        };
        let turn = |x: Tensor<3>| {
            rope(
                x,
                &layout.rope,
                layout.positions.clone(),
                Pairing::HalfSplit,
            )
            .reshape([1, n, heads, head_dim])
        };
        let (q, k) = (turn(part(0)), turn(part(1)));
        let v = part(2).reshape([1, n, heads, head_dim]);
        let scale = (head_dim as f32).powf(-0.5);
        let out = attention(q, k, v, layout.range.clone(), scale);
        self.attn.proj.forward(out.reshape([n, d]))
    }
}
