//! Where patches lie: block-major coordinates, and the bicubic samples of the learned grid.

/// Row and column of every patch in block-major order: merge blocks in raster order, inside a
/// block row by row. `frames` holds (h, w) in patches per frame.
///
/// Source: HF `Glm4vVisionModel.rot_pos_emb`.
pub fn patch_positions(frames: &[[u32; 2]], merge: u32) -> Vec<[u32; 2]> {
    let mut out = Vec::new();
    for [h, w] in frames {
        for block_row in 0..h / merge {
            for block_col in 0..w / merge {
                for i in 0..merge {
                    for j in 0..merge {
                        out.push([block_row * merge + i, block_col * merge + j]);
                    }
                }
            }
        }
    }
    out
}

/// Cubic convolution weights of the four taps around fraction `t`, a = -0.75 (torch).
fn cubic(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

/// Sample point in table units for patch `i` of `n` on a table of `side` entries, in the order of
/// operations HF uses (normalised coordinates, float32).
fn sample_point(i: u32, n: u32, side: usize) -> f32 {
    let normalised = ((i as f32 + 0.5) / n as f32) * 2.0 - 1.0;
    ((normalised + 1.0) * side as f32 - 1.0) / 2.0
}

/// Table rows and weights of the 16 bicubic taps of every patch (`[n, 16]` each, row-major).
/// Out-of-range taps are clamped per axis to the border; the coordinate itself is not.
///
/// Source: HF `Glm4vVisionEmbeddings.forward` (`grid_sample`, bicubic, border,
/// align_corners false).
pub fn bicubic_taps(
    frames: &[[u32; 2]],
    positions: &[[u32; 2]],
    side: usize,
) -> (Vec<i64>, Vec<f32>) {
    let mut index = Vec::with_capacity(positions.len() * 16);
    let mut weight = Vec::with_capacity(positions.len() * 16);
    let sizes = frames
        .iter()
        .flat_map(|[h, w]| std::iter::repeat_n([*h, *w], *h as usize * *w as usize));
    for ([row, col], [h, w]) in positions.iter().zip(sizes) {
        let (y, x) = (sample_point(*row, h, side), sample_point(*col, w, side));
        let (wy, wx) = (cubic(y - y.floor()), cubic(x - x.floor()));
        let tap = |base: f32, k: usize| (base as i64 - 1 + k as i64).clamp(0, side as i64 - 1);
        for (i, wy) in wy.iter().enumerate() {
            for (j, wx) in wx.iter().enumerate() {
                index.push(tap(y.floor(), i) * side as i64 + tap(x.floor(), j));
                weight.push(wy * wx);
            }
        }
    }
    (index, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_major_order() {
        let positions = patch_positions(&[[2, 4]], 2);
        let expected = [
            [0, 0],
            [0, 1],
            [1, 0],
            [1, 1],
            [0, 2],
            [0, 3],
            [1, 2],
            [1, 3],
        ];
        assert_eq!(positions, expected);
    }

    #[test]
    fn the_native_grid_reproduces_the_table() {
        let frames = [[4, 4]];
        let positions = patch_positions(&frames, 2);
        let (index, weight) = bicubic_taps(&frames, &positions, 4);
        for (p, (i, w)) in positions
            .iter()
            .zip(index.chunks(16).zip(weight.chunks(16)))
        {
            let sum: f32 = w.iter().sum();
            assert!((sum - 1.0).abs() < 1e-6);
            let own = i64::from(p[0] * 4 + p[1]);
            let mine: f32 = i
                .iter()
                .zip(w)
                .filter(|(i, _)| **i == own)
                .map(|(_, w)| w)
                .sum();
            assert!((mine - 1.0).abs() < 1e-5, "{p:?}: {mine}");
        }
    }
}
