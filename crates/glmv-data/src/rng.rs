//! Random numbers that stay the same for ever: the order of samples depends on them, so they may not
//! change with a library's version. Used by sources and mixtures.

/// SplitMix64 (Steele, Lea, Flood 2014): the state is a counter, so any draw can be reached again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SplitMix64(u64);

/// The counter's step, 2^64 over the golden ratio.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl SplitMix64 {
    /// A stream of its own for every combination of the given numbers.
    pub(crate) fn of(numbers: &[u64]) -> Self {
        let mut state = 0;
        for &number in numbers {
            state = Self(state ^ number).next();
        }
        Self(state)
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 to below 1, in steps of 2^-53.
    pub(crate) fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in f64")]
        let numerator = (self.next() >> 11) as f64;
        numerator / 9_007_199_254_740_992.0
    }

    /// A number below `bound`, which is not 0; each is equally likely (Lemire's rejection).
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next()) * u128::from(bound);
            let (high, low) = ((product >> 64) as u64, product as u64);
            if low >= threshold {
                return high;
            }
        }
    }

    /// The numbers `0..count` in random order (Fisher, Yates).
    pub(crate) fn permutation(&mut self, count: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..count).collect();
        for i in (1..order.len()).rev() {
            let j = self.below(i as u64 + 1);
            order.swap(i, usize::try_from(j).unwrap_or(i));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_the_published_generator() {
        // First outputs of SplitMix64 with state 1234567, as in the generator's public test data.
        let mut rng = SplitMix64(1_234_567);
        let draws = [rng.next(), rng.next(), rng.next()];
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(draws, expected);
    }

    #[test]
    fn permutations_hold_every_number_and_differ_by_seed() {
        let order = SplitMix64::of(&[1, 2]).permutation(100);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(order, SplitMix64::of(&[1, 2]).permutation(100));
        assert_ne!(order, SplitMix64::of(&[2, 1]).permutation(100));
    }
}
