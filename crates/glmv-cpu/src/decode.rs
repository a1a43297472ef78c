//! Rows of weights as vectors of f32, a unit at a time.

use crate::simd::{MOST_LANES, OUTPUTS, UNIT, load};
use crate::tile::Acc;
use bytemuck::cast_slice;
use half::f16;
use macerator::{Scalar, Simd, Vector};

#[cfg(target_endian = "big")]
compile_error!("the words of packed weights are read as little-endian bytes");

/// A unit of weights.
pub(crate) type Unit<S> = [Vector<S, f32>; UNIT];

/// A row of weights, or a stretch of one that starts at a whole unit.
pub(crate) trait Source: Copy {
    /// Whole units of the row.
    fn whole(&self, unit: usize) -> usize;

    /// Unit `at`, which must be whole.
    fn unit<S: Simd>(&self, at: usize) -> Unit<S>;

    /// The rest after the whole units, zeros behind it.
    fn tail<S: Simd>(&self) -> Unit<S>;

    /// Adds the products of `I` packed rows `x` with the whole units of each of the rows.
    #[inline(always)]
    fn add<S: Simd, const I: usize>(
        rows: &[Self; OUTPUTS],
        x: &[f32],
        mut acc: Acc<S, I>,
    ) -> Acc<S, I> {
        let unit = UNIT * S::lanes32();
        let whole = rows[0].whole(unit);
        for (at, x) in (0..whole).zip(x.chunks_exact(I * unit)) {
            for (row, acc) in rows.iter().zip(&mut acc) {
                *acc = add_unit(*acc, x, &row.unit::<S>(at));
            }
        }
        acc
    }
}

/// Adds one unit of one output to all rows. The sums pass by value: the loop over outputs is too long
/// to be unrolled, and in it a sum that is borrowed would be stored after each of its additions.
#[inline(always)]
pub(crate) fn add_unit<S: Simd, const I: usize>(
    mut acc: [Vector<S, f32>; I],
    x: &[f32],
    w: &Unit<S>,
) -> [Vector<S, f32>; I] {
    let lanes = S::lanes32();
    for v in 0..UNIT {
        for i in 0..I {
            acc[i] = load::<S>(&x[(v * I + i) * lanes..]).mul_add(w[v], acc[i]);
        }
    }
    acc
}

/// f32 as they are.
#[derive(Clone, Copy)]
pub(crate) struct Floats<'a>(pub &'a [f32]);

impl Source for Floats<'_> {
    #[inline(always)]
    fn whole(&self, unit: usize) -> usize {
        self.0.len() / unit
    }

    #[inline(always)]
    fn unit<S: Simd>(&self, at: usize) -> Unit<S> {
        let lanes = S::lanes32();
        let values = &self.0[at * UNIT * lanes..][..UNIT * lanes];
        let mut unit = [0f32.splat::<S>(); UNIT];
        for v in 0..UNIT {
            unit[v] = load::<S>(&values[v * lanes..]);
        }
        unit
    }

    #[inline(always)]
    fn tail<S: Simd>(&self) -> Unit<S> {
        let mut values = [0.0; UNIT * MOST_LANES];
        let rest = self.0.len() % (UNIT * S::lanes32());
        values[..rest].copy_from_slice(&self.0[self.0.len() - rest..]);
        Floats(&values).unit::<S>(0)
    }

    /// Vector by vector, so that one of `x` is read once for all outputs: there is nothing to decode.
    #[inline(always)]
    fn add<S: Simd, const I: usize>(
        rows: &[Self; OUTPUTS],
        x: &[f32],
        mut acc: Acc<S, I>,
    ) -> Acc<S, I> {
        let lanes = S::lanes32();
        let whole = rows[0].whole(UNIT * lanes) * UNIT * lanes;
        // Iterators in step need no checks inside the loop; with those, sums leave the registers.
        let [a, b, c, d, e, f] = rows.map(|row| row.0[..whole].chunks_exact(lanes));
        let weights = a.zip(b).zip(c).zip(d.zip(e).zip(f));
        for (x, (((a, b), c), ((d, e), f))) in x.chunks_exact(I * lanes).zip(weights) {
            let mut vectors = [0f32.splat::<S>(); I];
            for i in 0..I {
                vectors[i] = load::<S>(&x[i * lanes..]);
            }
            let weights = [a, b, c, d, e, f];
            for j in 0..OUTPUTS {
                let weight = load::<S>(weights[j]);
                for i in 0..I {
                    acc[j][i] = vectors[i].mul_add(weight, acc[j][i]);
                }
            }
        }
        acc
    }
}

/// f16, widened by integer arithmetic, which every level has.
#[derive(Clone, Copy)]
pub(crate) struct Halves<'a>(pub &'a [f16]);

impl Source for Halves<'_> {
    #[inline(always)]
    fn whole(&self, unit: usize) -> usize {
        self.0.len() / unit
    }

    #[inline(always)]
    fn unit<S: Simd>(&self, at: usize) -> Unit<S> {
        let lanes = S::lanes32();
        let values = &self.0[at * UNIT * lanes..][..UNIT * lanes];
        let mut unit = [0f32.splat::<S>(); UNIT];
        for v in 0..UNIT {
            let mut bits = [0u32; MOST_LANES];
            for (bits, value) in bits.iter_mut().zip(&values[v * lanes..][..lanes]) {
                *bits = u32::from(value.to_bits());
            }
            unit[v] = widen(bytemuck::pod_read_unaligned(cast_slice(&bits[..lanes])));
        }
        unit
    }

    #[inline(always)]
    fn tail<S: Simd>(&self) -> Unit<S> {
        let mut values = [f16::ZERO; UNIT * MOST_LANES];
        let rest = self.0.len() % (UNIT * S::lanes32());
        values[..rest].copy_from_slice(&self.0[self.0.len() - rest..]);
        Halves(&values).unit::<S>(0)
    }
}

/// f32 of the bits of f16, exactly, infinities and NaN included. No operation meets a subnormal
/// f32, which would be slow.
#[inline(always)]
fn widen<S: Simd>(bits: Vector<S, u32>) -> Vector<S, f32> {
    const EXPONENT: u32 = 112 << 23; // difference of the biases
    const SMALLEST: u32 = EXPONENT + (1 << 23); // 2⁻¹⁴
    let splat = |v: u32| v.splat::<S>();
    let magnitude = (bits & splat(0x7fff)) << 13;
    let normal = magnitude + splat(EXPONENT);
    // With the implicit bit of 2⁻¹⁴ in front, a subnormal is exact after taking that away.
    let small: Vector<S, f32> = bytemuck::cast(magnitude + splat(SMALLEST));
    let small: Vector<S, u32> = bytemuck::cast(small - f32::from_bits(SMALLEST).splat::<S>());
    let value = magnitude.lt(splat(1 << 23)).select(small, normal);
    let not_finite = magnitude.ge(splat(31 << 23));
    let value = not_finite.select(normal + splat(EXPONENT), value);
    bytemuck::cast(value | ((bits & splat(0x8000)) << 16))
}

/// Bytes of codes, and the f32 scale of each block with zeros behind the last to whole units.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bytes<'a> {
    pub words: &'a [u32],
    pub scales: &'a [f32],
}

impl Source for Bytes<'_> {
    #[inline(always)]
    fn whole(&self, unit: usize) -> usize {
        4 * self.words.len() / unit
    }

    #[inline(always)]
    fn unit<S: Simd>(&self, at: usize) -> Unit<S> {
        let lanes = S::lanes32();
        let words = &self.words[at * 2 * lanes..][..2 * lanes];
        let codes: &[i8] = cast_slice(words);
        let mut unit = [0f32.splat::<S>(); UNIT];
        for v in 0..UNIT {
            let mut values = [0.0; MOST_LANES];
            for (value, code) in values.iter_mut().zip(&codes[v * lanes..][..lanes]) {
                *value = f32::from(*code);
            }
            let scale = self.scales[(at * UNIT + v) * lanes / 32].splat::<S>();
            unit[v] = load::<S>(&values) * scale;
        }
        unit
    }

    #[inline(always)]
    fn tail<S: Simd>(&self) -> Unit<S> {
        let (words, at) = rest(self.words, 2 * S::lanes32());
        let scales = &self.scales[at * UNIT * S::lanes32() / 32..];
        Bytes {
            words: &words,
            scales,
        }
        .unit::<S>(0)
    }
}

/// Nibbles of codes, and the scale of each word, four times that of each block; decoded in the order
/// of nibbles.
#[derive(Clone, Copy, Default)]
pub(crate) struct Nibbles<'a> {
    pub words: &'a [u32],
    pub scales: &'a [f32],
}

impl Source for Nibbles<'_> {
    #[inline(always)]
    fn whole(&self, unit: usize) -> usize {
        8 * self.words.len() / unit
    }

    #[inline(always)]
    fn unit<S: Simd>(&self, at: usize) -> Unit<S> {
        let lanes = S::lanes32();
        let words = &self.words[at * lanes..][..lanes];
        let words: Vector<S, i32> = bytemuck::pod_read_unaligned(cast_slice(words));
        let scale = load::<S>(&self.scales[at * lanes..]);
        // (nibble − 8) · scale in one step; both products are exact.
        let offset = scale * (-8f32).splat::<S>();
        let mask = 15i32.splat::<S>();
        let mut unit = [offset; UNIT];
        for (v, vector) in unit.iter_mut().enumerate() {
            let nibbles = if v == 0 {
                words
            } else {
                words >> (4 * v as u32)
            };
            *vector = (nibbles & mask).to_float().mul_add(scale, offset);
        }
        unit
    }

    #[inline(always)]
    fn tail<S: Simd>(&self) -> Unit<S> {
        let (words, at) = rest(self.words, S::lanes32());
        let scales = &self.scales[at * S::lanes32()..];
        Nibbles {
            words: &words,
            scales,
        }
        .unit::<S>(0)
    }
}

/// Words behind the whole units, zeros behind them, and the number of whole units.
#[inline(always)]
fn rest(words: &[u32], per_unit: usize) -> ([u32; 2 * MOST_LANES], usize) {
    let mut copy = [0; 2 * MOST_LANES];
    let whole = words.len() / per_unit;
    let rest = &words[whole * per_unit..];
    copy[..rest.len()].copy_from_slice(rest);
    (copy, whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{run, store};
    use macerator::WithSimd;

    #[test]
    fn every_f16_widens_as_the_half_crate_does() {
        struct All(Vec<f16>);
        impl WithSimd for All {
            type Output = Vec<f32>;
            #[inline(always)]
            fn with_simd<S: Simd>(self) -> Vec<f32> {
                let mut out = vec![0.0; self.0.len()];
                let lanes = S::lanes32();
                for (at, out) in out.chunks_exact_mut(UNIT * lanes).enumerate() {
                    let unit = Halves(&self.0).unit::<S>(at);
                    for v in 0..UNIT {
                        store(unit[v], &mut out[v * lanes..]);
                    }
                }
                out
            }
        }
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        for (half, ours) in all.iter().zip(run(All(all.clone()))) {
            let theirs = half.to_f32();
            assert!(
                ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()),
                "{half:?}: {ours} and {theirs}"
            );
        }
    }
}
