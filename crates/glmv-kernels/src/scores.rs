//! Scores of a piece of the vocabulary, as `logprobs` walks over it: what a piece adds to the state of
//! each row, and the gradient of the piece. State and its gradient are `[rows, 3]`: log-sum-exp, the
//! target's score, the entropy of the softmax.

/// Score of what is forbidden, and log-sum-exp of nothing.
pub(crate) const NONE: f32 = -3.0e38;

/// Which part of the vocabulary the scores are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// First column in the mask.
    pub first: usize,
    /// Id of the first column.
    pub id: usize,
    pub inverse_temperature: f32,
    /// Whether the mask says anything.
    pub masked: bool,
}

pub(crate) mod cube {
    //! WGSL launches.
    use super::Piece;
    use crate::launch::{self, Params, bits, empty, f32_rows, launch, wgsl_int};
    use burn::backend::TensorMetadata;
    use burn::tensor::DType;
    use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

    fn params(targets: &CubeTensor, piece: Piece) -> Params {
        let masked = ("MASKED", piece.masked.to_string());
        vec![("Int", wgsl_int(targets)), masked]
    }

    fn info([rows, columns]: [usize; 2], piece: Piece) -> Vec<u32> {
        let sizes = [rows, columns, piece.first, piece.id].map(|v| v as u32);
        [&sizes[..], &[bits(piece.inverse_temperature)]].concat()
    }

    pub(crate) fn fold(
        scores: CubeTensor,
        mask: CubeTensor,
        targets: CubeTensor,
        state: Option<CubeTensor>,
        piece: Piece,
    ) -> CubeTensor {
        let (scores, mask, targets) = (f32_rows(scores), f32_rows(mask), into_contiguous(targets));
        let [rows, columns] = scores.shape().dims::<2>();
        let mut info = info([rows, columns], piece);
        info.push(u32::from(state.is_some()));
        // The caller hands the state over: it is written in place.
        let state = state.unwrap_or_else(|| empty(&scores, [rows, 3], DType::F32));
        let buffers = [&scores, &mask, &targets, &state];
        let params = params(&targets, piece);
        launch("score_fold", params, launch::fold(rows), &buffers, &info);
        state
    }

    pub(crate) fn grad(
        scores: CubeTensor,
        mask: CubeTensor,
        targets: CubeTensor,
        state: CubeTensor,
        piece: Piece,
        grad: CubeTensor,
    ) -> CubeTensor {
        let (scores, mask, targets) = (f32_rows(scores), f32_rows(mask), into_contiguous(targets));
        let (state, grad) = (f32_rows(state), f32_rows(grad));
        let [rows, columns] = scores.shape().dims::<2>();
        let info = info([rows, columns], piece);
        let buffers = [&scores, &mask, &targets, &state, &grad];
        let params = params(&targets, piece);
        let grid = launch::fold((rows * columns).div_ceil(64));
        launch("score_grad", params, grid, &buffers, &info);
        scores
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device, parallel over rows.
    use super::{NONE, Piece};
    use crate::flex::{f32_rows, floats, ints, new_f32};
    use burn::backend::TensorMetadata;
    use burn::tensor::Shape;
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    /// The score of a column, and whether it counts.
    fn score(raw: f32, mask: &[f32], column: usize, piece: Piece) -> Option<f32> {
        let forbidden = piece.masked && mask[piece.first + column] != 0.0;
        (!forbidden).then_some(raw * piece.inverse_temperature)
    }

    pub(crate) fn fold(
        scores: FlexTensor,
        mask: FlexTensor,
        targets: FlexTensor,
        state: Option<FlexTensor>,
        piece: Piece,
    ) -> FlexTensor {
        let (scores, mask, targets) = (f32_rows(scores), f32_rows(mask), ints(&targets));
        let [rows, columns] = scores.shape().dims::<2>();
        let before = state.map(f32_rows);
        let before = before.as_ref().map(floats);
        let mask = floats(&mask);
        let all: Vec<[f32; 3]> = floats(&scores)
            .par_chunks(columns)
            .enumerate()
            .map(|(r, row)| {
                let target = targets[r].checked_sub(piece.id as i64);
                let new = row_state(row, mask, target, piece);
                before.map_or(new, |b| merge([b[3 * r], b[3 * r + 1], b[3 * r + 2]], new))
            })
            .collect();
        new_f32(all.concat(), Shape::new([rows, 3]))
    }

    fn row_state(row: &[f32], mask: &[f32], target: Option<i64>, piece: Piece) -> [f32; 3] {
        let scores = || {
            let raw = row.iter().enumerate();
            raw.filter_map(|(c, raw)| score(*raw, mask, c, piece))
        };
        let top = scores().fold(NONE, f32::max);
        let (mut sum, mut weighted) = (0f32, 0f32);
        for s in scores() {
            let p = (s - top).exp();
            sum += p;
            weighted += p * (top - s);
        }
        let column = target.and_then(|t| usize::try_from(t).ok());
        let target = column.filter(|c| *c < row.len());
        let target = target.map_or(0.0, |c| score(row[c], mask, c, piece).unwrap_or(NONE));
        match sum > 0.0 {
            true => [top + sum.ln(), target, weighted / sum + sum.ln()],
            false => [NONE, target, 0.0],
        }
    }

    fn merge(old: [f32; 3], new: [f32; 3]) -> [f32; 3] {
        let top = old[0].max(new[0]);
        let weight = |s: f32| if s > 0.5 * NONE { (s - top).exp() } else { 0.0 };
        let (a, b) = (weight(old[0]), weight(new[0]));
        let target = old[1] + new[1];
        match a + b > 0.0 {
            true => {
                let all = top + (a + b).ln();
                // A side without any score has weight 0, and no distance.
                let part = |w: f32, side: [f32; 3]| match w > 0.0 {
                    true => w * (side[2] + all - side[0]),
                    false => 0.0,
                };
                [all, target, (part(a, old) + part(b, new)) / (a + b)]
            }
            false => [NONE, target, 0.0],
        }
    }

    pub(crate) fn grad(
        scores: FlexTensor,
        mask: FlexTensor,
        targets: FlexTensor,
        state: FlexTensor,
        piece: Piece,
        grad: FlexTensor,
    ) -> FlexTensor {
        let (scores, mask, targets) = (f32_rows(scores), f32_rows(mask), ints(&targets));
        let (state, grad) = (f32_rows(state), f32_rows(grad));
        let columns = scores.shape()[1];
        let (mask, state, grad) = (floats(&mask), floats(&state), floats(&grad));
        let mut out = floats(&scores).to_vec();
        out.par_chunks_mut(columns)
            .enumerate()
            .for_each(|(r, row)| {
                let (state, grad) = (&state[3 * r..3 * r + 3], &grad[3 * r..3 * r + 3]);
                let target = targets[r] - piece.id as i64;
                for (c, value) in row.iter_mut().enumerate() {
                    let Some(s) = score(*value, mask, c, piece) else {
                        *value = 0.0;
                        continue;
                    };
                    let p = (s - state[0]).min(0.0).exp();
                    let mut ds = p * (grad[0] + grad[2] * (state[0] - s - state[2]));
                    if target == c as i64 {
                        ds += grad[1];
                    }
                    *value = ds * piece.inverse_temperature;
                }
            });
        new_f32(out, scores.shape())
    }
}
