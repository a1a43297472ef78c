//! Vision tower: flattened patches → features per patch. Every entry is one frame pair; attention
//! never crosses entries.

mod block;
pub use block::{Block, Mlp};
mod position;

pub use position::{bicubic_taps, patch_positions};

use crate::config::VisionConfig;
use crate::schema::VISUAL;
use crate::{Error, Linear, Loader, Probe};

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use glmv_kernels::{RopeTable, pos_embed, rms_norm};

/// HF `Glm4vVisionModel` up to `post_layernorm`; the projector follows.
#[derive(Module, Debug)]
pub struct VisionTower {
    /// Conv3d with kernel = stride on one patch: a matrix `[hidden, channels * frames * side²]`.
    pub patch_embed: Linear,
    /// Learned position grid `[side * side, hidden]`.
    pub position_embedding: Param<Tensor<2>>,
    pub post_conv_layernorm: Param<Tensor<1>>,
    pub blocks: Vec<Block>,
    pub post_layernorm: Param<Tensor<1>>,
    #[module(skip)]
    config: VisionConfig,
}

/// What a set of grids means for the tower: rotary positions, attention ranges, embedding taps. Made by
/// [`VisionTower::layout`], shared by the blocks of a pass.
#[derive(Clone, Debug)]
pub struct Layout {
    /// `[2, n]`: row and column of each patch.
    positions: Tensor<2, Int>,
    /// `[n, 2]`: first and past-the-last patch of each patch's segment.
    range: Tensor<2, Int>,
    /// `[n, 16]` each.
    taps: (Tensor<2, Int>, Tensor<2>),
    rope: RopeTable,
}

impl VisionTower {
    /// Loads the tower.
    ///
    /// # Errors
    /// As the [`Loader`]'s.
    pub fn load(loader: &Loader<'_>, config: &VisionConfig) -> Result<Self, Error> {
        let c = config;
        let d = c.hidden_size;
        let name = |rest: &str| format!("{VISUAL}.{rest}");
        let patch = c.patch_size;
        let conv = [d, c.in_channels, c.temporal_patch_size, patch, patch];
        // [D, C, T, P, P] is already row-major [D, C*T*P*P]: only the shape changes.
        let weight = name("patch_embed.proj.weight");
        let weight = loader.mapped(&weight, &conv, [d, c.patch_len()], |v| v)?;
        let bias = Some(loader.f32(&name("patch_embed.proj.bias"), [d])?);
        let blocks = (0..c.depth).map(|i| Block::load(loader, c, &name(&format!("blocks.{i}"))));
        Ok(VisionTower {
            patch_embed: Linear {
                weight,
                bias,
                adapters: Vec::new(),
            },
            position_embedding: loader.f32(
                &name("embeddings.position_embedding.weight"),
                [c.grid_side * c.grid_side, d],
            )?,
            post_conv_layernorm: loader.f32(&name("post_conv_layernorm.weight"), [d])?,
            blocks: blocks.collect::<Result<_, _>>()?,
            post_layernorm: loader.f32(&name("post_layernorm.weight"), [d])?,
            config: c.clone(),
        })
    }

    /// The configuration the tower was loaded with.
    pub fn config(&self) -> &VisionConfig {
        &self.config
    }

    /// Runs the tower over flattened patches in block-major order.
    ///
    /// # Shapes
    /// `patches` `[n, channels * frames * side²]` with n = sum of t·h·w over `grids`
    /// → `[n, hidden]`.
    ///
    /// # Errors
    /// If the grids do not add up to n, or are not multiples of the merge size.
    ///
    /// Source: HF `Glm4vVisionModel.forward`.
    pub fn forward(
        &self,
        patches: Tensor<2>,
        grids: &[[u32; 3]],
        probe: &mut Probe,
    ) -> Result<Tensor<2>, Error> {
        let layout = self.layout(patches.dims(), grids, &patches.device())?;
        let mut x = self.embed(patches, &layout, probe);
        let last = self.blocks.len().saturating_sub(1);
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x, &self.config, &layout);
            if i == 0 {
                probe.record(|| "block_0".into(), &x);
            }
            if i == last {
                probe.record(|| "block_last".into(), &x);
            }
        }
        let x = self.norm(x);
        probe.record(|| "post_layernorm".into(), &x);
        Ok(x)
    }

    /// The input of the first block.
    ///
    /// # Shapes
    /// `patches` `[n, channels * frames * side²]` → `[n, hidden]`.
    pub fn embed(&self, patches: Tensor<2>, layout: &Layout, probe: &mut Probe) -> Tensor<2> {
        let x = self.patch_embed.forward(patches);
        probe.record(|| "patch_embed".into(), &x);
        let x = rms_norm(x, self.post_conv_layernorm.val(), self.config.rms_norm_eps);
        probe.record(|| "post_conv_layernorm".into(), &x);
        let (index, weight) = layout.taps.clone();
        let x = pos_embed(x, self.position_embedding.val(), index, weight);
        probe.record(|| "embeddings".into(), &x);
        x
    }

    /// Block `index` by itself, for a trainer that runs it again on the way back.
    ///
    /// # Shapes
    /// `[n, hidden]` → `[n, hidden]`.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such block.
    pub fn block(&self, index: usize, x: Tensor<2>, layout: &Layout) -> Result<Tensor<2>, Error> {
        let block = self.blocks.get(index).ok_or_else(|| Error::Input {
            reason: format!("block {index} of {}", self.blocks.len()),
        })?;
        Ok(block.forward(x, &self.config, layout))
    }

    /// The norm behind the last block.
    ///
    /// # Shapes
    /// `[n, hidden]` → `[n, hidden]`.
    pub fn norm(&self, x: Tensor<2>) -> Tensor<2> {
        rms_norm(x, self.post_layernorm.val(), self.config.rms_norm_eps)
    }

    /// What the blocks share over `grids`, for patches of shape `[n, width]` on `device`.
    ///
    /// # Errors
    /// As [`VisionTower::forward`].
    pub fn layout(
        &self,
        [n, width]: [usize; 2],
        grids: &[[u32; 3]],
        device: &Device,
    ) -> Result<Layout, Error> {
        let merge = self.config.spatial_merge_size as u32;
        let input = |reason: String| Error::Input { reason };
        if let Some(grid) = grids
            .iter()
            .find(|g| g[1] % merge != 0 || g[2] % merge != 0)
        {
            return Err(input(format!(
                "grid {grid:?} is no multiple of the merge size {merge}"
            )));
        }
        let total: usize = grids
            .iter()
            .map(|g| g.iter().map(|v| *v as usize).product::<usize>())
            .sum();
        if total != n || n == 0 {
            return Err(input(format!(
                "grids hold {total} patches, pixel rows are {n}"
            )));
        }
        if width != self.config.patch_len() {
            let expected = self.config.patch_len();
            return Err(input(format!(
                "a patch has {width} values, the tower needs {expected}"
            )));
        }
        // Videos become one-frame entries: positions repeat, segments do not cross frames.
        let frames: Vec<[u32; 2]> = grids
            .iter()
            .flat_map(|g| std::iter::repeat_n([g[1], g[2]], g[0] as usize))
            .collect();
        let positions = patch_positions(&frames, merge);
        let side = self.config.grid_side;
        let (index, weight) = bicubic_taps(&frames, &positions, side);
        Ok(Layout {
            positions: axes(&positions, device),
            range: segments(&frames, device),
            taps: (
                Tensor::from_data(TensorData::new(index, [n, 16]), device),
                Tensor::from_data(TensorData::new(weight, [n, 16]), device),
            ),
            rope: self.rope_table(&frames, device),
        })
    }

    /// Angle of frequency k in 0..head_dim/2: rows for the first half, columns for the second.
    fn rope_table(&self, frames: &[[u32; 2]], device: &Device) -> RopeTable {
        let quarter = self.config.head_dim / 4;
        let frequencies =
            RopeTable::text_frequencies(self.config.rope_theta, self.config.head_dim / 2);
        let frequencies = [frequencies.clone(), frequencies].concat();
        let axis = [vec![0; quarter], vec![1; quarter]].concat();
        let most = frames.iter().flatten().max().map_or(1, |m| *m as usize);
        RopeTable::new(&frequencies, &axis, most, device)
    }
}

fn axes(positions: &[[u32; 2]], device: &Device) -> Tensor<2, Int> {
    let column = |axis: usize| positions.iter().map(move |p| i64::from(p[axis]));
    let values: Vec<i64> = column(0).chain(column(1)).collect();
    Tensor::from_data(TensorData::new(values, [2, positions.len()]), device)
}

fn segments(frames: &[[u32; 2]], device: &Device) -> Tensor<2, Int> {
    let mut values = Vec::new();
    let mut start = 0i64;
    for [h, w] in frames {
        let count = i64::from(*h) * i64::from(*w);
        for _ in 0..count {
            values.extend([start, start + count]);
        }
        start += count;
    }
    let n = values.len() / 2;
    Tensor::from_data(TensorData::new(values, [n, 2]), device)
}
