//! Rotary embeddings: text M-RoPE in both pairings, with sections and partial rotation, and the
//! vision tower's 2-D rotation, all through one kernel that looks up a host-made cos/sin table.
//!
//! A frequency k uses the position along axis `axis[k]`: (t, h, w) for text, (row, column) for
//! vision.

use crate::backend::KernelOps;
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::{Device, Int, Tensor, TensorData, s};

/// Which coordinates of a head form one rotated pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// `(x[k], x[k + r/2])`: HF `rotate_half`, used by GLM-4.5V's text and both vision towers.
    HalfSplit,
    /// `(x[2k], x[2k + 1])`: HF `rotate_half_llm`, used by GLM-4.1V's text.
    Interleaved,
}

/// Cos/sin table for positions `0..positions`, and the axis each frequency follows.
///
/// The angles are f32 products, as HF computes them, and their cosines are taken in f64 on the
/// host: a GPU's own sin/cos may be off by 2^-11 at large angles.
#[derive(Clone, Debug)]
pub struct RopeTable {
    /// `[positions, r]`: cos of the r/2 frequencies, then sin.
    pub table: Tensor<2>,
    /// `[r/2]`: row of the position tensor each frequency uses.
    pub axis: Tensor<1, Int>,
    positions: usize,
}

impl RopeTable {
    /// Builds the table for `inv_freq[k]` (radians per position) with `axis[k]` < number of axes.
    ///
    /// # Panics
    /// If the two slices differ in length or are empty.
    pub fn new(inv_freq: &[f32], axis: &[usize], positions: usize, device: &Device) -> Self {
        assert_eq!(inv_freq.len(), axis.len(), "one axis per frequency");
        assert!(!axis.is_empty(), "no frequencies");
        let half = inv_freq.len();
        let positions = positions.max(1);
        let mut data = Vec::with_capacity(positions * 2 * half);
        for p in 0..positions {
            let angle = |f: &f32| f64::from(p as f32 * f);
            data.extend(inv_freq.iter().map(|f| angle(f).cos() as f32));
            data.extend(inv_freq.iter().map(|f| angle(f).sin() as f32));
        }
        let axis: Vec<i64> = axis.iter().map(|a| *a as i64).collect();
        RopeTable {
            table: Tensor::from_data(TensorData::new(data, [positions, 2 * half]), device),
            axis: Tensor::from_data(TensorData::new(axis, [half]), device),
            positions,
        }
    }

    /// Number of positions the table covers.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Cosines, then sines, of every token's rotation.
    ///
    /// # Shapes
    /// `pos` `[axes, tokens]` → `[tokens, r]`.
    ///
    /// Source: HF `Glm4vTextRotaryEmbedding.forward`.
    pub fn angles(&self, pos: Tensor<2, Int>) -> Tensor<2> {
        if route(Op::Rope, &pos.device()) == Route::Twin || pos.device().is_autodiff() {
            return self.angles_reference(pos);
        }
        Tensor::from_dispatch(Dispatch::rope_angles(
            self.table.clone().into_dispatch(),
            pos.into_dispatch(),
            self.axis.clone().into_dispatch(),
        ))
    }

    /// Definition of [`RopeTable::angles`] in tensor operations.
    pub fn angles_reference(&self, pos: Tensor<2, Int>) -> Tensor<2> {
        let [axes, tokens] = pos.dims();
        let half = self.axis.dims()[0];
        // For each frequency the row of its own axis.
        let mut angles = Tensor::<2>::zeros([tokens, 2 * half], &pos.device());
        let axis = Tensor::cat(vec![self.axis.clone(), self.axis.clone()], 0);
        for a in 0..axes {
            let position = pos.clone().slice(s![a..a + 1, ..]).reshape([tokens]);
            let mine = axis.clone().equal_elem(a as i64).reshape([1, 2 * half]);
            let rows = self.table.clone().select(0, position);
            angles = angles.mask_where(mine.expand([tokens, 2 * half]), rows);
        }
        angles
    }

    /// Rotation frequencies of text: `theta^(-2k/r)`, k = 0..r/2.
    ///
    /// Source: HF `Glm4vTextRotaryEmbedding`.
    pub fn text_frequencies(theta: f64, rotary_dims: usize) -> Vec<f32> {
        (0..rotary_dims / 2)
            .map(|k| {
                // torch: 1.0 / (theta ** (arange(0, r, 2, float32) / r)), all in float32.
                let exponent = (2 * k) as f32 / rotary_dims as f32;
                1.0 / (theta as f32).powf(exponent)
            })
            .collect()
    }

    /// Axis of each of the `half` text frequencies: runs of `sections`, run s on axis s mod 3.
    ///
    /// Source: HF `apply_multimodal_rotary_pos_emb`.
    pub fn text_axes(sections: &[usize], half: usize) -> Vec<usize> {
        let runs = sections.iter().enumerate();
        let mut axes: Vec<usize> = runs
            .flat_map(|(s, len)| std::iter::repeat_n(s % 3, *len))
            .collect();
        axes.truncate(half);
        axes
    }
}

/// Rotates the first `2 * axis.len()` lanes of every head by its token's position; the remaining
/// lanes pass through.
///
/// # Shapes
/// `x` `[tokens, heads, head_dim]`, `pos` `[axes, tokens]` (values below the table's positions)
/// → `[tokens, heads, head_dim]`.
///
/// Source: HF `apply_multimodal_rotary_pos_emb`, `apply_rotary_pos_emb_vision`.
pub fn rope(x: Tensor<3>, table: &RopeTable, pos: Tensor<2, Int>, pairing: Pairing) -> Tensor<3> {
    if route(Op::Rope, &x.device()) == Route::Twin {
        return rope_reference(x, table, pos, pairing);
    }
    // Tables are constants without a graph; on an autodiff device they follow the input's context.
    Tensor::from_dispatch(Dispatch::rope(
        x.into_dispatch(),
        table.table.clone().into_dispatch(),
        pos.into_dispatch(),
        table.axis.clone().into_dispatch(),
        pairing == Pairing::Interleaved,
        false,
    ))
}

/// Definition of [`rope`] in tensor operations.
pub fn rope_reference(
    x: Tensor<3>,
    table: &RopeTable,
    pos: Tensor<2, Int>,
    pairing: Pairing,
) -> Tensor<3> {
    let [tokens, heads, head_dim] = x.dims();
    let half = table.axis.dims()[0];
    let angles = table.angles_reference(pos);
    let cos = angles
        .clone()
        .slice(s![.., 0..half])
        .reshape([tokens, 1, half]);
    let sin = angles
        .slice(s![.., half..2 * half])
        .reshape([tokens, 1, half]);
    let rotated = x.clone().slice(s![.., .., 0..2 * half]);
    let (x1, x2) = match pairing {
        Pairing::HalfSplit => (
            rotated.clone().slice(s![.., .., 0..half]),
            rotated.slice(s![.., .., half..2 * half]),
        ),
        Pairing::Interleaved => {
            let pairs: Tensor<4> = rotated.reshape([tokens, heads, half, 2]);
            let pick = |i: usize| {
                pairs
                    .clone()
                    .slice(s![.., .., .., i..i + 1])
                    .reshape([tokens, heads, half])
            };
            (pick(0), pick(1))
        }
    };
    let y1 = x1.clone() * cos.clone() - x2.clone() * sin.clone();
    let y2 = x2 * cos + x1 * sin;
    let y = match pairing {
        Pairing::HalfSplit => Tensor::cat(vec![y1, y2], 2),
        Pairing::Interleaved => {
            Tensor::stack::<4>(vec![y1, y2], 3).reshape([tokens, heads, 2 * half])
        }
    };
    if 2 * half == head_dim {
        return y;
    }
    Tensor::cat(vec![y, x.slice(s![.., .., 2 * half..head_dim])], 2)
}

pub(crate) mod cube {
    //! WGSL launch.
    use crate::launch::{empty, f32_rows, fold, launch, wgsl_int};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

    pub(crate) fn angles(table: CubeTensor, pos: CubeTensor, axis: CubeTensor) -> CubeTensor {
        let (table, pos, axis) = (f32_rows(table), into_contiguous(pos), into_contiguous(axis));
        let (tokens, half) = (pos.shape()[1], axis.shape()[0]);
        let out = empty(&table, [tokens, 2 * half], DType::F32);
        let info = [tokens, half, table.shape()[0]].map(|v| v as u32);
        let params = vec![("Int", wgsl_int(&pos))];
        let grid = fold((tokens * half).div_ceil(64));
        launch(
            "rope_angles",
            params,
            grid,
            &[&table, &pos, &axis, &out],
            &info,
        );
        out
    }

    pub(crate) fn rope(
        x: CubeTensor,
        table: CubeTensor,
        pos: CubeTensor,
        axis: CubeTensor,
        interleaved: bool,
        inverse: bool,
    ) -> CubeTensor {
        let (x, table) = (f32_rows(x), f32_rows(table));
        let (pos, axis) = (into_contiguous(pos), into_contiguous(axis));
        let [tokens, heads, head_dim] = x.shape().dims::<3>();
        let half = axis.shape()[0];
        let out = empty(&x, x.shape(), DType::F32);
        // One invocation per pair or passed-through lane of four heads.
        let total = tokens * heads.div_ceil(4) * (head_dim - half);
        let info = [
            tokens as u32,
            heads as u32,
            head_dim as u32,
            half as u32,
            u32::from(interleaved),
            u32::from(inverse),
            table.shape()[0] as u32,
        ];
        let params = vec![("Int", wgsl_int(&pos))];
        let buffers = [&x, &table, &pos, &axis, &out];
        launch("rope", params, fold(total.div_ceil(64)), &buffers, &info);
        out
    }
}

pub(crate) mod native {
    //! Rust loop for the CPU device, parallel over tokens.
    use crate::flex::{f32_rows, floats, ints, new_f32};
    use burn::backend::TensorMetadata;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    pub(crate) fn angles(table: FlexTensor, pos: FlexTensor, axis: FlexTensor) -> FlexTensor {
        let table = f32_rows(table);
        let tokens = pos.shape()[1];
        let (pos, axis, rows) = (ints(&pos), ints(&axis), floats(&table));
        let half = axis.len();
        let mut out = vec![0f32; tokens * 2 * half];
        for (token, row) in out.chunks_mut(2 * half).enumerate() {
            for k in 0..half {
                let at = pos[axis[k] as usize * tokens + token] as usize * 2 * half + k;
                row[k] = rows[at];
                row[half + k] = rows[at + half];
            }
        }
        new_f32(out, [tokens, 2 * half].into())
    }

    pub(crate) fn rope(
        x: FlexTensor,
        table: FlexTensor,
        pos: FlexTensor,
        axis: FlexTensor,
        interleaved: bool,
        inverse: bool,
    ) -> FlexTensor {
        let (x, table) = (f32_rows(x), f32_rows(table));
        let [tokens, heads, head_dim] = x.shape().dims::<3>();
        let (pos, axis, rows) = (ints(&pos), ints(&axis), floats(&table));
        let half = axis.len();
        let sign = if inverse { -1.0 } else { 1.0 };
        let mut out = floats(&x).to_vec();
        out.par_chunks_mut(heads * head_dim)
            .enumerate()
            .for_each(|(token, heads)| {
                let angle = |k: usize| {
                    let p = pos[axis[k] as usize * tokens + token] as usize;
                    let row = &rows[p * 2 * half..][..2 * half];
                    (row[k], sign * row[half + k])
                };
                for k in 0..half {
                    let (cos, sin) = angle(k);
                    let (i, j) = if interleaved {
                        (2 * k, 2 * k + 1)
                    } else {
                        (k, k + half)
                    };
                    for head in heads.chunks_mut(head_dim) {
                        let (a, b) = (head[i], head[j]);
                        head[i] = a * cos - b * sin;
                        head[j] = b * cos + a * sin;
                    }
                }
            });
        new_f32(out, x.shape())
    }
}
