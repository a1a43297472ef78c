//! Choice of a block's scale and codes. Plain f32 arithmetic in a fixed order: the same result on
//! every processor and for every number of threads.

use crate::{BLOCK, MIN_SCALE};
use half::f16;

/// Quantised block: `codes · scale`, with codes as whole numbers in f32.
pub(crate) struct Fit {
    pub scale: f32,
    pub codes: [f32; BLOCK],
    /// The best scale is below [`MIN_SCALE`], which stands in for it.
    pub coarse: bool,
}

impl Fit {
    const ZERO: Fit = Fit {
        scale: 0.0,
        codes: [0.0; BLOCK],
        coarse: false,
    };
}

/// Range of the codes of q4.
const Q4: [f32; 2] = [-8.0, 7.0];

/// Codes of the largest magnitude that the search of q4 tries, in quarters of a code: from clipping
/// it by more than one code to leaving one code unused. Both signs of the scale are tried.
const Q4_TARGETS: [std::ops::Range<u8>; 2] = [26..40, 23..35];

#[inline(always)]
fn absmax(x: &[f32; BLOCK]) -> f32 {
    x.iter()
        .fold(0.0, |m: f32, v| if v.abs() > m { v.abs() } else { m })
}

/// Nearest whole number, ties to even, for magnitudes below 2²²: adds and takes away 1.5 · 2²³,
/// which vectorises everywhere.
#[inline(always)]
fn round(v: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (v + SHIFT) - SHIFT
}

#[inline(always)]
fn encode(x: &[f32; BLOCK], inverse: f32, [low, high]: [f32; 2]) -> [f32; BLOCK] {
    let mut codes = [0.0; BLOCK];
    for (code, x) in codes.iter_mut().zip(x) {
        let v = x * inverse;
        let v = if v < low { low } else { v };
        *code = round(if v > high { high } else { v });
    }
    codes
}

/// Sum in the order of a tree over sixteen lanes.
#[inline(always)]
fn sum(terms: &[f32; BLOCK]) -> f32 {
    let mut lanes = [0.0; 16];
    for i in 0..16 {
        lanes[i] = terms[i] + terms[i + 16];
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// `[Σ w·x·q, Σ w·q²]`: the best scale for given codes is their quotient, and the first squared
/// over the second is what it takes off the squared error.
#[inline(always)]
fn moments(x: &[f32; BLOCK], w: &[f32; BLOCK], q: &[f32; BLOCK]) -> [f32; 2] {
    let (mut cross, mut square) = ([0.0; BLOCK], [0.0; BLOCK]);
    for i in 0..BLOCK {
        let wq = w[i] * q[i];
        cross[i] = wq * x[i];
        square[i] = wq * q[i];
    }
    [sum(&cross), sum(&square)]
}

/// `Σ w·(x − scale·q)²`.
#[inline(always)]
fn error(x: &[f32; BLOCK], w: &[f32; BLOCK], q: &[f32; BLOCK], scale: f32) -> f32 {
    let mut terms = [0.0; BLOCK];
    for i in 0..BLOCK {
        let d = x[i] - scale * q[i];
        terms[i] = w[i] * d * d;
    }
    sum(&terms)
}

/// Largest weight at code ±127.
#[inline(always)]
pub(crate) fn fit_q8(x: &[f32; BLOCK]) -> Fit {
    let largest = absmax(x);
    if largest == 0.0 {
        return Fit::ZERO;
    }
    let best = f16::from_f32(largest / 127.0).to_f32();
    let coarse = best < MIN_SCALE;
    let scale = if coarse { MIN_SCALE } else { best };
    Fit {
        scale,
        codes: encode(x, 1.0 / scale, [-127.0, 127.0]),
        coarse,
    }
}

/// Scale and sign of least weighted squared error out of a grid, refined by least squares; never
/// worse than the plain choice of the largest value.
#[inline(always)]
pub(crate) fn fit_q4(x: &[f32; BLOCK], w: &[f32; BLOCK]) -> Fit {
    let largest = absmax(x);
    if largest == 0.0 {
        return Fit::ZERO;
    }
    if largest <= 0.5 * MIN_SCALE {
        return Fit {
            scale: MIN_SCALE,
            codes: [0.0; BLOCK],
            coarse: true,
        };
    }
    // Everything below is relative to the largest value and weight: no square over- or underflows.
    let y = x.map(|v| v / largest);
    let w = relative_weights(w);
    let top = y
        .iter()
        .fold(1.0, |s, v| if v.abs() == 1.0 { *v } else { s });
    let (mut gain, mut scale) = (0.0, 0.0);
    for (targets, sign) in Q4_TARGETS.into_iter().zip([-top, top]) {
        for target in targets {
            let codes = encode(&y, sign * (0.25 * f32::from(target)), Q4);
            let [cross, square] = moments(&y, &w, &codes);
            if cross * cross > gain * square {
                (gain, scale) = (cross * cross / square, cross / square);
            }
        }
    }
    // Rounding to f16 moves the scale, so codes and scale are fitted to each other once more.
    let codes = encode(&y, 1.0 / stored(scale, largest).0, Q4);
    let [cross, square] = moments(&y, &w, &codes);
    let refined = if square > 0.0 { cross / square } else { scale };
    let mut best = (f32::INFINITY, Fit::ZERO);
    for candidate in [scale, refined, -top / 8.0, top / 7.0] {
        let (relative, exact, coarse) = stored(candidate, largest);
        let codes = encode(&y, 1.0 / relative, Q4);
        let error = error(&y, &w, &codes, relative);
        if error < best.0 {
            let scale = exact;
            best = (
                error,
                Fit {
                    scale,
                    codes,
                    coarse,
                },
            );
        }
    }
    best.1
}

/// Weights over the largest of them; all one if all are zero.
#[inline(always)]
fn relative_weights(w: &[f32; BLOCK]) -> [f32; BLOCK] {
    let largest = absmax(w);
    if largest == 0.0 {
        [1.0; BLOCK]
    } else {
        w.map(|v| v / largest)
    }
}

/// A scale relative to `largest` as it will be stored: relative again, absolute, and whether it
/// was too small.
#[inline(always)]
fn stored(relative: f32, largest: f32) -> (f32, f32, bool) {
    let limit = f16::MAX.to_f32();
    let rounded = f16::from_f32((relative * largest).clamp(-limit, limit)).to_f32();
    if rounded.abs() < MIN_SCALE {
        let scale = MIN_SCALE.copysign(relative);
        (scale / largest, scale, true)
    } else {
        (rounded / largest, rounded, false)
    }
}

/// The plain choices that [`fit_q4`] is measured against: largest weight at the code −8, and
/// largest magnitude at the code 7.
#[cfg(test)]
fn absmax_fits(x: &[f32; BLOCK]) -> [Fit; 2] {
    let largest = absmax(x);
    let top = x
        .iter()
        .fold(largest, |s, v| if v.abs() == largest { *v } else { s });
    [top / -8.0, largest / 7.0].map(|scale| {
        let scale = f16::from_f32(scale).to_f32();
        Fit {
            scale,
            codes: encode(x, 1.0 / scale, Q4),
            coarse: false,
        }
    })
}

#[cfg(test)]
mod tests;
