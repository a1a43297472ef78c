//! From 8-bit frames to the vision tower's rows: normalisation in float32 and the block-major patch
//! order. Called by the picture and video processors after resampling.

use image::RgbImage;

/// Patches of several pictures or clips, one after the other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VisualPatches {
    /// `[n_patches, row_len]` row-major; a row is channel, temporal slot, y, x.
    pub pixel_values: Vec<f32>,
    /// Values per patch: channels x temporal_patch_size x patch_size x patch_size.
    pub row_len: usize,
    /// One `[t, h, w]` per picture or clip, counted in patches; `t` counts frame pairs. Their
    /// products sum to `n_patches`.
    pub grid_thw: Vec<[u32; 3]>,
}

impl VisualPatches {
    /// Number of rows.
    #[must_use]
    pub fn num_patches(&self) -> usize {
        self.pixel_values
            .len()
            .checked_div(self.row_len)
            .unwrap_or(0)
    }

    /// Appends the rows and grids of `other`, which must come from the same geometry.
    pub(crate) fn append(&mut self, other: Self) {
        self.row_len = other.row_len;
        self.pixel_values.extend(other.pixel_values);
        self.grid_thw.extend(other.grid_thw);
    }
}

/// Patch sizes shared by the processors and the vision tower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchGeometry {
    /// Side of a patch in pixels.
    pub patch_size: u32,
    /// Frames per patch.
    pub temporal_patch_size: u32,
    /// Patches per side of a merged visual token.
    pub merge_size: u32,
}

impl PatchGeometry {
    /// Pixels per side of a merged visual token; picture sides are multiples of it.
    #[must_use]
    pub fn factor(&self) -> u32 {
        self.patch_size * self.merge_size
    }

    /// Values per patch: 3 channels x temporal x side x side.
    #[must_use]
    pub fn row_len(&self) -> usize {
        3 * self.temporal_patch_size as usize * self.patch_size as usize * self.patch_size as usize
    }

    /// Visual tokens that a `[t, h, w]` grid becomes in **one** frame pair: h x w / merge_size^2.
    #[must_use]
    pub fn tokens_per_frame(&self, grid: [u32; 3]) -> usize {
        let merge = self.merge_size as usize;
        (grid[1] as usize * grid[2] as usize) / (merge * merge)
    }
}

/// Normalised value of every channel and grey level.
#[derive(Debug, Clone)]
pub struct Normalizer {
    table: Box<[[f32; 256]; 3]>,
}

impl Normalizer {
    /// Table of `(v - mean / rescale) / (std / rescale)` in float32, the order of operations of
    /// HF's fused rescale-and-normalise (`rescale` is 1/255).
    #[must_use]
    pub fn new(mean: [f64; 3], std: [f64; 3], rescale: f64) -> Self {
        let inverse = (1.0 / rescale) as f32;
        let mut table = Box::new([[0.0_f32; 256]; 3]);
        for ((row, mean), std) in table.iter_mut().zip(mean).zip(std) {
            let (mean, std) = (mean as f32 * inverse, std as f32 * inverse);
            for (level, value) in (0_u8..=255).zip(row.iter_mut()) {
                *value = (f32::from(level) - mean) / std;
            }
        }
        Self { table }
    }
}

/// Appends the patches of one frame group (`temporal_patch_size` frames of equal size, sides
/// multiples of [`PatchGeometry::factor`]) to `out`.
///
/// Row order: merge blocks in raster order, inside a block its patches in raster order. A group of
/// one frame fills every temporal slot.
///
/// Source: HF `Glm4vImageProcessor` (view, permute, reshape).
pub(crate) fn append_group(
    out: &mut Vec<f32>,
    frames: &[&RgbImage],
    geometry: PatchGeometry,
    normalizer: &Normalizer,
) {
    let Some(first) = frames.first() else { return };
    let (width, height) = first.dimensions();
    let (patch, merge) = (geometry.patch_size as usize, geometry.merge_size as usize);
    let (rows, columns) = (height as usize / patch, width as usize / patch);
    let stride = width as usize * 3;
    out.reserve(rows * columns * geometry.row_len());
    for block_y in (0..rows).step_by(merge) {
        for block_x in (0..columns).step_by(merge) {
            for inner in 0..merge * merge {
                let (y0, x0) = (
                    (block_y + inner / merge) * patch,
                    (block_x + inner % merge) * patch,
                );
                for (channel, table) in normalizer.table.iter().enumerate() {
                    for slot in 0..geometry.temporal_patch_size as usize {
                        let frame = frames.get(slot).unwrap_or(first).as_raw();
                        for y in y0..y0 + patch {
                            let line = &frame[y * stride + x0 * 3..][..patch * 3];
                            out.extend(
                                line.iter()
                                    .skip(channel)
                                    .step_by(3)
                                    .map(|&v| table[usize::from(v)]),
                            );
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_block_major_and_channel_first() {
        let geometry = PatchGeometry {
            patch_size: 1,
            temporal_patch_size: 2,
            merge_size: 2,
        };
        let identity = Normalizer::new([0.0; 3], [1.0; 3], 1.0);
        let frame = |base: u8| {
            RgbImage::from_fn(4, 2, move |x, y| {
                let level = base + u8::try_from(y * 4 + x).unwrap_or(0);
                image::Rgb([level, level + 100, level + 200])
            })
        };
        let (a, b) = (frame(0), frame(10));
        let mut out = Vec::new();
        append_group(&mut out, &[&a, &b], geometry, &identity);
        let red: Vec<f32> = out.chunks_exact(6).map(|row| row[0]).collect();
        assert_eq!(red, [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
        assert_eq!(out[..6], [0.0, 10.0, 100.0, 110.0, 200.0, 210.0]);
    }
}
