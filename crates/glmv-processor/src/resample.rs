//! Antialiased bicubic resampling of 8-bit RGB, bit-equal to torchvision's uint8 path: horizontal
//! pass, then vertical pass, fixed-point weights, 8-bit values in between. Called by the picture
//! and video processors with the size that `smart_resize` chose.

use image::RgbImage;

/// Cubic kernel parameter of the antialiased filter (the position embedding's bicubic uses -0.75
/// instead).
const A: f64 = -0.5;
/// Largest number of fractional bits of a weight.
const MAX_PRECISION: u32 = 22;

/// The source pixels that make one target pixel.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// All target pixels of one axis.
struct Axis {
    taps: Vec<Taps>,
    precision: u32,
}

/// Keys' cubic kernel with a = -0.5.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

/// Float weights of target pixel `i`: first source pixel and weights that sum to 1.
fn float_taps(i: usize, source: usize, scale: f64) -> (usize, Vec<f64>) {
    let stretch = scale.max(1.0);
    let support = 2.0 * stretch;
    let center = scale * (i as f64 + 0.5);
    // Float-to-integer `as` truncates towards zero and saturates at 0, which is the clip at the
    // left border.
    let first = (center - support + 0.5) as usize;
    let end = ((center + support + 0.5) as usize).min(source);
    let inverse = 1.0 / stretch;
    let mut weights: Vec<f64> = (first..end)
        .map(|tap| cubic((tap as f64 - center + 0.5) * inverse))
        .collect();
    let total: f64 = weights.iter().sum();
    if total != 0.0 {
        weights.iter_mut().for_each(|w| *w /= total);
    }
    (first, weights)
}

/// Fixed-point weights of an axis that goes from `source` to `target` pixels.
///
/// Source: ATen `_compute_index_ranges_int16_weights`: the precision is the largest p <= 22 for
/// which the largest weight still fits 15 bits; weights are rounded half away from zero.
fn axis(source: usize, target: usize) -> Axis {
    let scale = source as f64 / target as f64;
    let float: Vec<_> = (0..target).map(|i| float_taps(i, source, scale)).collect();
    let largest = float
        .iter()
        .flat_map(|(_, w)| w)
        .fold(0.0_f64, |m, &w| m.max(w));
    let fits = |p: u32| 0.5 + largest * f64::from(1_u32 << p) < 32_768.0;
    let precision = (1..=MAX_PRECISION)
        .take_while(|&p| fits(p))
        .last()
        .unwrap_or(0);
    let one = f64::from(1_u32 << precision);
    let taps = float
        .into_iter()
        .map(|(first, weights)| Taps {
            first,
            weights: weights.iter().map(|w| (w * one).round() as i32).collect(),
        })
        .collect();
    Axis { taps, precision }
}

/// Rounds a fixed-point sum (the rounding half is already in it) back to 8 bits.
fn to_u8(sum: i32, precision: u32) -> u8 {
    (sum >> precision).clamp(0, 255) as u8
}

fn horizontal(source: &[u8], width: usize, axis: &Axis) -> Vec<u8> {
    let half = (1_i32 << axis.precision) >> 1;
    let mut out = Vec::with_capacity(source.len() / width * axis.taps.len());
    for row in source.chunks_exact(width * 3) {
        for taps in &axis.taps {
            let mut sum = [half; 3];
            let pixels = row[taps.first * 3..].chunks_exact(3);
            for (pixel, &weight) in pixels.zip(&taps.weights) {
                for (s, &value) in sum.iter_mut().zip(pixel) {
                    *s += weight * i32::from(value);
                }
            }
            out.extend(sum.map(|s| to_u8(s, axis.precision)));
        }
    }
    out
}

fn vertical(source: &[u8], row_len: usize, axis: &Axis) -> Vec<u8> {
    let half = (1_i32 << axis.precision) >> 1;
    let mut out = Vec::with_capacity(row_len * axis.taps.len());
    let mut sums = vec![0_i32; row_len];
    for taps in &axis.taps {
        sums.fill(half);
        let rows = source[taps.first * row_len..].chunks_exact(row_len);
        for (row, &weight) in rows.zip(&taps.weights) {
            for (s, &value) in sums.iter_mut().zip(row) {
                *s += weight * i32::from(value);
            }
        }
        out.extend(sums.iter().map(|&s| to_u8(s, axis.precision)));
    }
    out
}

/// `picture` resampled to `height` x `width` pixels, bit-equal to torchvision's `resize(uint8,
/// BICUBIC, antialias=True)`. An axis that keeps its size is not touched. A picture or target
/// without pixels gives a picture without pixels.
#[must_use]
pub fn resample(picture: &RgbImage, height: u32, width: u32) -> RgbImage {
    let (source_w, source_h) = picture.dimensions();
    if source_w == 0 || source_h == 0 || width == 0 || height == 0 {
        return RgbImage::new(0, 0);
    }
    let mut data = picture.as_raw().clone();
    if width != source_w {
        data = horizontal(
            &data,
            source_w as usize,
            &axis(source_w as usize, width as usize),
        );
    }
    if height != source_h {
        data = vertical(
            &data,
            width as usize * 3,
            &axis(source_h as usize, height as usize),
        );
    }
    // The passes produce height * width * 3 values, so this is always `Some`.
    RgbImage::from_raw(width, height, data).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn same_size_is_untouched() {
        let picture = RgbImage::from_fn(7, 5, |x, y| image::Rgb([x as u8, y as u8, 9]));
        assert_eq!(resample(&picture, 5, 7), picture);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn constant_stays_constant(w in 1u32..90, h in 1u32..90, tw in 1u32..90, th in 1u32..90, v: [u8; 3]) {
            let picture = RgbImage::from_pixel(w, h, image::Rgb(v));
            let out = resample(&picture, th, tw);
            prop_assert_eq!(out.dimensions(), (tw, th));
            prop_assert!(out.pixels().all(|p| p.0 == v));
        }
    }
}
