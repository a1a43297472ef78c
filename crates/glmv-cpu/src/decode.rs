//! Weights into panels of f32: for six rows of the matrix, `[k / lanes][6][lanes]`.

use crate::matrix::{Matrix, Weights};
use crate::simd::{OUTPUTS, STEP};
use glmv_quant::Format;
use half::f16;
use std::ops::Range;

/// Writes the steps `steps` (of [`STEP`] columns) of up to six rows of `w` from `first` on; rows
/// past the end become zeros, columns past the end as well.
#[inline(always)]
pub(crate) fn panel(
    w: &Matrix<'_>,
    first: usize,
    steps: Range<usize>,
    lanes: usize,
    out: &mut [f32],
) {
    for place in 0..OUTPUTS {
        if first + place < w.rows() {
            let write = |step: usize, values: &[f32; STEP]| {
                let out = &mut out[(step - steps.start) * (OUTPUTS * STEP)..];
                for (piece, from) in values.chunks_exact(lanes).enumerate() {
                    out[(piece * OUTPUTS + place) * lanes..][..lanes].copy_from_slice(from);
                }
            };
            row(w, first + place, steps.clone(), write);
        } else {
            for out in out.chunks_exact_mut(OUTPUTS * lanes) {
                out[place * lanes..][..lanes].fill(0.0);
            }
        }
    }
}

/// Gives the steps of one row to `write`, filled up with zeros past the last column.
#[inline(always)]
pub(crate) fn row(
    w: &Matrix<'_>,
    row: usize,
    steps: Range<usize>,
    mut write: impl FnMut(usize, &[f32; STEP]),
) {
    let k = w.cols();
    match w.weights() {
        Weights::F32(values) => {
            let values = &values[row * k..][..k];
            for step in steps {
                write(step, &block(values, step, 0.0, |v| v));
            }
        }
        Weights::F16(values) => {
            let values = &values[row * k..][..k];
            for step in steps {
                write(
                    step,
                    &block(values, step, f16::ZERO, |v| widen(v.to_bits())),
                );
            }
        }
        Weights::Packed(view) => {
            let format = view.format();
            let (code_words, scale_words) = (format.code_words(k), format.scale_words(k));
            let codes = &view.codes()[row * code_words..][..code_words];
            let scales = &view.scales()[row * scale_words..][..scale_words];
            match format {
                Format::Q8 => {
                    for step in steps {
                        write(step, &q8(&codes[8 * step..][..8], scale(scales, step)));
                    }
                }
                Format::Q4 => {
                    for step in steps {
                        write(step, &q4(&codes[4 * step..][..4], scale(scales, step)));
                    }
                }
            }
        }
    }
}

/// One step of a row of floats.
#[inline(always)]
fn block<T: Copy>(row: &[T], step: usize, zero: T, widen: impl Fn(T) -> f32) -> [f32; STEP] {
    let rest = &row[step * STEP..];
    match rest.first_chunk::<STEP>() {
        Some(values) => values.map(widen),
        None => {
            let mut values = [zero; STEP];
            values[..rest.len()].copy_from_slice(rest);
            values.map(widen)
        }
    }
}

/// f32 of the bits of an f16, in operations that vectorise at every level and never meet a
/// subnormal f32.
#[inline(always)]
fn widen(bits: u16) -> f32 {
    const EXPONENT: u32 = 112 << 23; // difference of the biases
    let magnitude = u32::from(bits & 0x7fff) << 13;
    let normal = magnitude + EXPONENT;
    // With the implicit bit of 2⁻¹⁴ in front, a subnormal is exact after taking that away.
    let small = f32::from_bits(normal + (1 << 23)) - f32::from_bits(EXPONENT + (1 << 23));
    let large = normal + EXPONENT; // infinities and NaN
    let value = if magnitude < 1 << 23 {
        small.to_bits()
    } else if magnitude >= 31 << 23 {
        large
    } else {
        normal
    };
    f32::from_bits(value | u32::from(bits & 0x8000) << 16)
}

#[inline(always)]
fn scale(scales: &[u32], step: usize) -> f32 {
    widen((scales[step / 2] >> (16 * (step % 2))) as u16)
}

#[inline(always)]
fn q8(words: &[u32], scale: f32) -> [f32; STEP] {
    let words: [u32; 8] = std::array::from_fn(|i| words[i].to_le());
    let codes: [i8; STEP] = bytemuck::cast(words);
    codes.map(|code| f32::from(code) * scale)
}

#[inline(always)]
fn q4(words: &[u32], scale: f32) -> [f32; STEP] {
    let words: [u32; 4] = std::array::from_fn(|i| words[i].to_le());
    let bytes: [u8; 16] = bytemuck::cast(words);
    let mut codes = [0i8; STEP];
    for i in 0..16 {
        codes[2 * i] = (bytes[i] & 15) as i8 - 8;
        codes[2 * i + 1] = (bytes[i] >> 4) as i8 - 8;
    }
    codes.map(|code| f32::from(code) * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_f16_widens_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (widen(bits), f16::from_bits(bits).to_f32());
            assert!(
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                "{bits:#06x}: {ours} and {theirs}"
            );
        }
    }
}
