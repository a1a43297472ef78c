//! SwiGLU on slices, with an exponential that vectorises.

use crate::simd::run;

/// `out = silu(gate) · up`, element by element; `silu(v) = v / (1 + e⁻ᵛ)`.
pub(crate) fn swiglu(gate: &[f32], up: &[f32], out: &mut [f32]) {
    run(
        #[inline(always)]
        || {
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate / (1.0 + exp(-gate)) * up;
            }
        },
    );
}

/// `eˣ` to 2 units in the last place for results that are normal numbers; beyond, the largest or
/// smallest of those. The argument is reduced to |r| ≤ ln 2 / 2 around a multiple of ln 2, and eʳ is
/// its Taylor polynomial of degree 7.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to a whole number
    const LN2_HIGH: f32 = 0.693_359_4; // 355 / 512, exact times any exponent
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + SHIFT;
    let whole = shifted - SHIFT;
    let r = x - whole * LN2_HIGH - whole * LN2_LOW;
    let mut p = 1.0 / 5040.0;
    for c in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = p * r + c;
    }
    // The low bits of `shifted` hold the whole number; in the exponent they are its power of two.
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_within_two_units() {
        for i in -86_999..88_000 {
            let x = i as f32 * 1e-3;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 2.4e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(1e9) > 1e38 && exp(-1e9) < 1.7e-38);
    }

    #[test]
    fn swiglu_has_its_limits() {
        let gate = [0.0, 100.0, -100.0, 1e30, -1e30, 1.0];
        let mut out = [0.0; 6];
        swiglu(&gate, &[3.0; 6], &mut out);
        assert_eq!(&out[..2], &[0.0, 300.0]);
        assert!(
            out[2].abs() < 1e-30 && (out[3] / 3e30 - 1.0).abs() < 1e-6,
            "{out:?}"
        );
        assert!((out[5] - 3.0 / (1.0 + (-1.0f32).exp())).abs() < 1e-6);
    }
}
