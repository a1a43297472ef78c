//! Kinds `rotary_text` and `rotary_vision`: positions → cos, sin, and the rotated q and k.

use super::check::Check;
use super::context::Context;
use super::fields::{grids, positions};
use anyhow::{bail, ensure};
use burn::tensor::{Int, Tensor, TensorData};
use glmv_kernels::device::{read, read_int};
use glmv_kernels::{Pairing, RopeTable, rope};
use glmv_model::config::Family;
use glmv_model::patch_positions;
use glmv_testkit::Bound;

/// A position whose rows have a bound of their own.
const FAR: i64 = 4095;

/// What both kinds share: the table, the positions `[axes, tokens]` and how pairs lie.
struct Rotation {
    table: RopeTable,
    axes: usize,
    tokens: usize,
    positions: Vec<i64>,
    pairing: Pairing,
}

/// Text M-RoPE. Layout `[batch, heads, tokens, head_dim]`, positions `[3, batch, tokens]`.
pub(super) fn text(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let config = context.config(check.case())?;
    let text = &config.text;
    let (positions, shape, most) = positions(check, "position_ids")?;
    let &[axes @ 3, batch, seq] = shape.as_slice() else {
        bail!("position_ids: shape {shape:?} instead of [3, batch, tokens]");
    };
    let frequencies = RopeTable::text_frequencies(text.rope_theta, text.rotary_dims);
    let axis = RopeTable::text_axes(&text.mrope_section, text.rotary_dims / 2);
    check.close("inv_freq", &frequencies)?;
    let rotation = Rotation {
        table: RopeTable::new(&frequencies, &axis, most, context.device()),
        axes,
        tokens: batch * seq,
        positions,
        pairing: match config.family {
            Family::Glm4v => Pairing::Interleaved,
            Family::Glm4vMoe => Pairing::HalfSplit,
        },
    };
    rotation.compare_angles(check)?;
    for name in ["q", "k"] {
        let (values, shape) = check.f32(name)?;
        let &[b, heads, t, head_dim] = shape.as_slice() else {
            bail!("{name}: shape {shape:?} instead of [batch, heads, tokens, head_dim]");
        };
        if [b, t, head_dim] != [batch, seq, text.head_dim] {
            bail!(
                "{name}: shape {shape:?} for {batch} x {seq} positions and heads of {}",
                text.head_dim
            );
        }
        let device = context.device();
        let x = Tensor::<4>::from_data(TensorData::new(values, [b, heads, t, head_dim]), device);
        let x = x.swap_dims(1, 2).reshape([b * t, heads, head_dim]);
        let y = rotation.rotate(x);
        let y = read(y.reshape([b, t, heads, head_dim]).swap_dims(1, 2))?;
        let row = |i: usize| i / head_dim % t + i / (head_dim * t * heads) * t;
        rotation.compare(check, &format!("{name}_rotated"), &y, row)?;
    }
    Ok(())
}

/// The vision tower's 2-D rotation. Layout `[tokens, heads, head_dim]`, positions `[tokens, 2]`.
pub(super) fn vision(context: &Context<'_>, check: &mut Check<'_>) -> anyhow::Result<()> {
    let config = context.config(check.case())?.vision;
    let grids = grids(check, "grid_thw")?;
    let frames: Vec<[u32; 2]> = grids
        .iter()
        .flat_map(|g| std::iter::repeat_n([g[1], g[2]], g[0] as usize))
        .collect();
    let total: usize = frames.iter().map(|f| f[0] as usize * f[1] as usize).sum();
    let (_, shape) = check.i64("position_ids_hw")?;
    ensure!(
        shape == [total, 2],
        "position_ids_hw: shape {shape:?} for {total} patches"
    );
    let places = patch_positions(&frames, u32::try_from(config.spatial_merge_size)?);
    let flat: Vec<i64> = places.iter().flatten().map(|v| i64::from(*v)).collect();
    check.exact("position_ids_hw", &flat)?;
    let half = RopeTable::text_frequencies(config.rope_theta, config.head_dim / 2);
    check.close("inv_freq", &half)?;
    let axis = [vec![0; half.len()], vec![1; half.len()]].concat();
    let column = |a: usize| places.iter().map(move |p| i64::from(p[a]));
    let most = flat.iter().max().map_or(0, |p| *p as usize + 1);
    let rotation = Rotation {
        table: RopeTable::new(
            &[half.clone(), half].concat(),
            &axis,
            most,
            context.device(),
        ),
        axes: 2,
        tokens: places.len(),
        positions: column(0).chain(column(1)).collect(),
        pairing: Pairing::HalfSplit,
    };
    rotation.compare_angles(check)?;
    for name in ["q", "k"] {
        let (values, shape) = check.f32(name)?;
        let &[tokens, heads, head_dim] = shape.as_slice() else {
            bail!("{name}: shape {shape:?} instead of [tokens, heads, head_dim]");
        };
        if [tokens, head_dim] != [places.len(), config.head_dim] {
            bail!(
                "{name}: shape {shape:?} for {} patches and heads of {}",
                places.len(),
                config.head_dim
            );
        }
        let x = TensorData::new(values, [tokens, heads, head_dim]);
        let y = read(rotation.rotate(Tensor::from_data(x, context.device())))?;
        rotation.compare(check, &format!("{name}_rotated"), &y, |i| {
            i / (heads * head_dim)
        })?;
    }
    Ok(())
}

impl Rotation {
    /// `x` `[tokens, heads, head_dim]` rotated.
    fn rotate(&self, x: Tensor<3>) -> Tensor<3> {
        let data = TensorData::new(self.positions.clone(), [self.axes, self.tokens]);
        let positions = Tensor::<2, Int>::from_data(data, &x.device());
        rope(x, &self.table, positions, self.pairing)
    }

    /// cos and sin of every token's angles, from the table the kernel reads. Both halves of a pair
    /// carry the same value: neighbours where pairs are interleaved, else half a row apart.
    fn compare_angles(&self, check: &mut Check<'_>) -> anyhow::Result<()> {
        let half = self.table.axis.dims()[0];
        let table = read(self.table.table.clone())?;
        let axis = read_int(self.table.axis.clone())?;
        for (name, offset) in [("cos", 0), ("sin", half)] {
            let mut values = Vec::with_capacity(self.tokens * 2 * half);
            for token in 0..self.tokens {
                for lane in 0..2 * half {
                    let k = match self.pairing {
                        Pairing::Interleaved => lane / 2,
                        Pairing::HalfSplit => lane % half,
                    };
                    let position = self.positions[axis[k] as usize * self.tokens + token] as usize;
                    values.push(table[position * 2 * half + offset + k]);
                }
            }
            self.compare(check, name, &values, |i| i / (2 * half))?;
        }
        Ok(())
    }

    /// Compares with the bound of each element's token, where `token(index)` is that of an element.
    fn compare(
        &self,
        check: &mut Check<'_>,
        name: &str,
        got: &[f32],
        token: impl Fn(usize) -> usize,
    ) -> anyhow::Result<()> {
        let tolerance = &check.case().tolerance;
        let (near, far) = (check.bound(name)?, tolerance.bound_at(name, FAR));
        let is_far = |token: usize| {
            (0..self.axes).any(|a| self.positions.get(a * self.tokens + token) == Some(&FAR))
        };
        let bound = |i: usize| -> Bound { far.filter(|_| is_far(token(i))).unwrap_or(near) };
        check.close_with(name, got, bound)
    }
}
