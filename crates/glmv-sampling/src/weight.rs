//! Probabilities as integers: a token's weight relative to the best one, with which draws and
//! thresholds are exact, independent of the order of summation and equal on every device.
//!
//! `shaders/parts/sample.wgsl` does the same in words of 32 bits.

use crate::Error;

/// Weight of the best token.
pub const ONE: u64 = 1 << 44;
/// Longest row: the sum of its weights stays below 2^63.
pub const MAX_VOCAB: usize = 1 << 19;

/// Steps of the exponent per octave, `2^24`.
const STEPS: f64 = 16_777_216.0;
/// From so many steps on, 45 octaves, a weight is 0; exact in f32.
const END: f32 = 754_974_720.0;
/// `2^-x = 1 - x(C[0] - x(C[1] - ..))` on [0, 1] in 2^-31, exact at both ends, else off by 2e-9.
const C: [u32; 6] = [
    1_488_522_025,
    515_878_397,
    119_167_555,
    20_574_878,
    2_740_585,
    235_066,
];
/// `ln 2` in 2^-16.
const LN_2: u32 = 45_426;

/// Factor from a difference of scores to steps of [`weight`]; `temperature` > 0.
pub fn scale(temperature: f32) -> f32 {
    let scale = std::f64::consts::LOG2_E * STEPS / f64::from(temperature);
    // Stays finite, so that the best token's difference of 0 stays 0.
    scale.min(f64::from(f32::MAX)) as f32
}

/// Weight of a score that lies `below` ≥ 0 under the best one: `2^44 · exp(-below / temperature)`,
/// which is [`ONE`] at 0, falls with `below` and is 0 beyond 45 octaves.
///
/// Off by the rounding of `below * scale` in f32 and by 1e-8, relative. Everything behind that
/// product is integer arithmetic.
pub fn weight(below: f32, scale: f32) -> u64 {
    let steps = (below * scale).min(END) as u32; // rounds down; within 0..=END
    let octave = steps >> 24;
    if octave >= 45 {
        return 0;
    }
    let x = (steps >> 8) & 0xffff;
    let part = |m: u32| ((u64::from(m) * u64::from(x)) >> 16) as u32; // x < 2^16
    let mut m = C[5];
    for c in C[..5].iter().rev() {
        m = c - part(m);
    }
    m = (1 << 31) - part(m);
    // The last 8 bits of the fraction: 2^-f is 1 - f ln 2 there.
    m -= ((((m >> 8) * (steps & 0xff)) >> 16) * LN_2) >> 16;
    (u64::from(m) << 13) >> octave
}

/// `total · fraction / 2^32`, rounded down: below `total` unless that is 0.
pub fn share(total: u64, fraction: u32) -> u64 {
    ((u128::from(total) * u128::from(fraction)) >> 32) as u64 // < 2^64
}

/// `p` in 2^-32, at most `1 - 2^-32`. `p` in 0..=1.
pub fn fraction(p: f64) -> u32 {
    (p * 4_294_967_296.0).round() as u32 // saturates
}

/// The least weight that is at least `p` of the best token's. `p` in 0..=1.
pub fn least(p: f32) -> u64 {
    (f64::from(p) * ONE as f64).ceil() as u64
}

/// Refuses rows whose weights would not fit.
///
/// # Errors
/// [`Error::VocabTooLarge`].
pub(crate) fn check_vocab(vocab: usize) -> Result<(), Error> {
    match vocab <= MAX_VOCAB {
        true => Ok(()),
        false => Err(Error::VocabTooLarge {
            vocab,
            limit: MAX_VOCAB,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_exponentials() {
        for temperature in [0.1_f32, 0.7, 1.0, 3.0] {
            let scale = scale(temperature);
            for i in 0..20_000 {
                let below = i as f32 * 1.3e-3 * temperature;
                let want = ONE as f64 * (-f64::from(below) / f64::from(temperature)).exp();
                let got = weight(below, scale) as f64;
                // The f32 product is off by 2^-23 of up to 26 nats.
                assert!(
                    (got - want).abs() <= 4e-6 * want + 1.0,
                    "{below}: {got} {want}"
                );
            }
        }
        let off = weight(1.0, scale(1.01)) as f64 / (ONE as f64 * (-1_f64).exp());
        assert!(
            (off - 1.0).abs() > 4e-6,
            "another temperature is told apart"
        );
    }

    #[test]
    fn ends_are_exact() {
        assert_eq!(weight(0.0, scale(1.0)), ONE);
        assert_eq!(weight(0.0, scale(1e-38)), ONE);
        assert_eq!(weight(f32::MAX, scale(1.0)), 0);
        assert_eq!(weight(f32::INFINITY, scale(1.0)), 0);
        assert_eq!(weight(3e-30, scale(1e-38)), 0);
        assert_eq!(weight(f32::MAX, scale(f32::MAX)) >> 42, 1, "1/e of 2^44");
        // One octave is half, to the last: 1.0 · 2^24 steps.
        assert_eq!(weight(1.0, 16_777_216.0), ONE / 2);
        assert_eq!(weight(44.0, 16_777_216.0), 1);
        assert_eq!(weight(45.0, 16_777_216.0), 0);
    }

    #[test]
    fn weights_never_rise() {
        // Every step of an octave up to the next one: below = steps, scale = 1.
        let mut before = ONE + 1;
        for steps in 0..=1_u32 << 24 {
            let now = weight(steps as f32, 1.0);
            assert!(now < before, "{steps}: {now} after {before}");
            before = now;
        }
    }

    #[test]
    fn shares_and_fractions() {
        assert_eq!(share(ONE, 1 << 31), ONE / 2);
        assert_eq!(share(1 << 62, u32::MAX), (1 << 62) - (1 << 30));
        assert_eq!(
            (fraction(0.0), fraction(0.5), fraction(1.0)),
            (0, 1 << 31, u32::MAX)
        );
        assert_eq!((least(0.0), least(1.0), least(0.5)), (0, ONE, ONE / 2));
        assert!(check_vocab(MAX_VOCAB).is_ok() && check_vocab(MAX_VOCAB + 1).is_err());
    }
}
