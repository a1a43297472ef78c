//! From patch features to tokens of the decoder's width: 2 × 2 downsample, then the merger.

use crate::config::VisionConfig;
use crate::schema::VISUAL;
use crate::vision::Mlp;
use crate::{Error, Linear, Loader, Probe};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};

/// HF `Glm4vVisionModel.downsample` and `Glm4vVisionPatchMerger`.
#[derive(Module, Debug)]
pub struct Projector {
    /// Conv2d with kernel = stride = 2 on one block, as `[out, 4 * hidden]` whose columns run over
    /// the block's rows (dy, dx) and inside over channels.
    pub downsample: Linear,
    pub proj: Linear,
    pub post_projection_norm_weight: Param<Tensor<1>>,
    pub post_projection_norm_bias: Param<Tensor<1>>,
    pub mlp: Mlp,
}

/// Epsilon of the merger's LayerNorm: torch's default, not the config's.
const LAYER_NORM_EPS: f32 = 1e-5;

/// `[out, channels, 4]` → `[out, 4, channels]`: columns in the order a block's rows are read.
pub(crate) fn conv_to_rows(values: Vec<f32>, channels: usize) -> Vec<f32> {
    permute(values, channels, 4)
}

/// The inverse of [`conv_to_rows`], for the writer.
pub(crate) fn rows_to_conv(values: Vec<f32>, channels: usize) -> Vec<f32> {
    permute(values, 4, channels)
}

/// `[out, a, b]` → `[out, b, a]`.
fn permute(values: Vec<f32>, a: usize, b: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for block in values.chunks(a * b) {
        for j in 0..b {
            out.extend((0..a).map(|i| block[i * b + j]));
        }
    }
    out
}

impl Projector {
    /// Loads downsample and merger.
    ///
    /// # Errors
    /// As the [`Loader`]'s.
    pub fn load(loader: &Loader<'_>, config: &VisionConfig) -> Result<Self, Error> {
        let (d, out) = (config.hidden_size, config.out_hidden_size);
        let name = |rest: &str| format!("{VISUAL}.{rest}");
        let stored = [out, d, 2, 2];
        let weight = loader.mapped(&name("downsample.weight"), &stored, [out, 4 * d], |v| {
            conv_to_rows(v, d)
        })?;
        let bias = Some(loader.f32(&name("downsample.bias"), [out])?);
        let norm =
            |part: &str| loader.f32(&name(&format!("merger.post_projection_norm.{part}")), [out]);
        Ok(Projector {
            downsample: Linear {
                weight,
                bias,
                adapters: Vec::new(),
            },
            proj: Linear::load(loader, &name("merger.proj"), [out, out], false)?,
            post_projection_norm_weight: norm("weight")?,
            post_projection_norm_bias: norm("bias")?,
            mlp: Mlp::load(loader, &name("merger"), out, config.intermediate_size)?,
        })
    }

    /// # Shapes
    /// `x` `[n, hidden]`, four consecutive rows per 2 × 2 block → `[n / 4, out_hidden]`.
    ///
    /// Source: HF `Glm4vVisionModel.forward`, `Glm4vVisionPatchMerger.forward`.
    pub fn forward(&self, x: Tensor<2>, probe: &mut Probe) -> Tensor<2> {
        let [n, d] = x.dims();
        let x = self.downsample.forward(x.reshape([n / 4, 4 * d]));
        probe.record(|| "downsample".into(), &x);
        let x = gelu(self.layer_norm(self.proj.forward(x)));
        let x = self.mlp.forward(x);
        probe.record(|| "merger".into(), &x);
        x
    }

    fn layer_norm(&self, x: Tensor<2>) -> Tensor<2> {
        let centred = x.clone() - x.mean_dim(1);
        let variance = centred.clone().powf_scalar(2.0).mean_dim(1);
        let y = centred / (variance + LAYER_NORM_EPS).sqrt();
        y * self.post_projection_norm_weight.val().unsqueeze::<2>()
            + self.post_projection_norm_bias.val().unsqueeze::<2>()
    }
}
/// Exact GELU. Burn differentiates its own as if it were the tanh form, so a pass that records
/// gradients composes it.
fn gelu(x: Tensor<2>) -> Tensor<2> {
    match x.is_autodiff() {
        false => activation::gelu(x),
        true => {
            let half = x.clone().div_scalar(std::f64::consts::SQRT_2).erf() * 0.5 + 0.5;
            x * half
        }
    }
}
