//! A counter-based generator, so that a seed gives the same draws for ever, on every platform.

/// SplitMix64 as a function of the draw's number: draw `n` (from 0) is
/// `mix(start + (n + 1) * 0x9E3779B97F4A7C15)`.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
/// The algorithm is part of this crate's contract: changing it changes every sampled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitMix64 {
    state: u64,
}

const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl SplitMix64 {
    /// The generator of `seed`; `new(s)` equals `with_stream(s, 0)`.
    pub fn new(seed: u64) -> Self {
        Self::with_stream(seed, 0)
    }

    /// One of 2^64 generators for the same seed, for example one per sample of a prompt.
    ///
    /// Stream 0 starts at the seed itself (the published SplitMix64); stream `i` starts at
    /// `seed ^ mix(mix(i) + i)`, which is far from its neighbours.
    pub fn with_stream(seed: u64, stream: u64) -> Self {
        Self {
            state: seed ^ mix(mix(stream).wrapping_add(stream)),
        }
    }

    /// Draw `n` (from 0): 64 random bits.
    pub fn bits(&self, n: u64) -> u64 {
        mix(self
            .state
            .wrapping_add(GOLDEN_GAMMA.wrapping_mul(n.wrapping_add(1))))
    }

    /// The upper half of draw `n`: a number in `[0, 1)` in units of 2^-32.
    pub fn draw(&self, n: u64) -> u32 {
        (self.bits(n) >> 32) as u32 // the upper half fits
    }
}

/// The draws of a [`SplitMix64`] one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draws {
    rng: SplitMix64,
    next: u64,
}

impl Draws {
    /// The draws of [`SplitMix64::new`].
    pub fn new(seed: u64) -> Self {
        Self::with_stream(seed, 0)
    }

    /// The draws of [`SplitMix64::with_stream`].
    pub fn with_stream(seed: u64, stream: u64) -> Self {
        let rng = SplitMix64::with_stream(seed, stream);
        Self { rng, next: 0 }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let bits = self.rng.bits(self.next);
        self.next += 1;
        bits
    }

    /// The next number in `[0, 1)`, in units of 2^-53.
    pub fn next_unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_published_sequence() {
        let rng = SplitMix64::new(1_234_567);
        let want = [
            6_457_827_717_110_365_317_u64,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!([0, 1, 2].map(|n| rng.bits(n)), want);
        assert_eq!(rng.draw(1), (want[1] >> 32) as u32);
        let mut draws = Draws::new(1_234_567);
        assert_eq!([0; 3].map(|_| draws.next_u64()), want);
        assert!((0.0..1.0).contains(&draws.next_unit()));
    }

    #[test]
    fn draws_fill_the_interval() {
        let rng = SplitMix64::new(1);
        let mut buckets = [0_u32; 16];
        for n in 0..1_000_000 {
            buckets[(rng.draw(n) >> 28) as usize] += 1;
        }
        // 62500 expected per bucket, standard deviation 242.
        assert!(
            buckets.iter().all(|n| n.abs_diff(62_500) < 4 * 242),
            "{buckets:?}"
        );
    }

    #[test]
    fn streams_differ() {
        let firsts: std::collections::HashSet<u64> = (0..1000)
            .map(|s| SplitMix64::with_stream(5, s).bits(0))
            .collect();
        assert_eq!(firsts.len(), 1000);
    }
}
