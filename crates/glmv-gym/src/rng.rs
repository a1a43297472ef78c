//! Pseudo-random numbers: the same seed gives the same item on every machine, with integers only.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose numbers depend on every word, and on their order.
    pub fn of(words: &[u64]) -> Self {
        let mut rng = Self(0x6772_6d76_6779_6d31);
        for word in words {
            rng.0 = rng.word() ^ word.wrapping_mul(0xff51_afd7_ed55_8ccd);
        }
        rng
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An index below `n`; 0 for `n = 0`.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.word()) * n as u128) >> 64) as usize
    }

    /// An integer from `low` to `high`, both included; `low` where the range is empty.
    pub fn int(&mut self, low: i32, high: i32) -> i32 {
        let span = (i64::from(high) - i64::from(low) + 1).max(1) as usize;
        low + self.below(span) as i32
    }

    /// True `n` times out of `of`.
    pub fn chance(&mut self, n: usize, of: usize) -> bool {
        self.below(of) < n
    }

    /// One of several things.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Puts things into a random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for i in (1..things.len()).rev() {
            things.swap(i, self.below(i + 1));
        }
    }

    /// `n` different things, in random order; all of them where there are fewer.
    pub fn sample<T: Copy>(&mut self, from: &[T], n: usize) -> Vec<T> {
        let mut all = from.to_vec();
        self.shuffle(&mut all);
        all.truncate(n);
        all
    }

    /// One of the things that is not `not`.
    ///
    /// # Panics
    /// If there is none.
    pub fn other<T: Copy + PartialEq>(&mut self, from: &[T], not: T) -> T {
        let rest: Vec<T> = from.iter().copied().filter(|t| *t != not).collect();
        self.pick(&rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_published_ones() {
        // Published outputs of SplitMix64 for seed 0.
        let mut rng = Rng(0);
        assert_eq!(rng.word(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(rng.word(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn words_and_their_order_matter() {
        let first = |words: &[u64]| Rng::of(words).word();
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
        assert_ne!(first(&[1, 2]), first(&[2, 1]));
        assert_ne!(first(&[1]), first(&[1, 0]));
    }

    #[test]
    fn draws_stay_in_range_and_reach_its_ends() {
        let mut rng = Rng::of(&[7]);
        let seen: Vec<i32> = (0..500).map(|_| rng.int(-2, 3)).collect();
        assert_eq!(
            (seen.iter().min(), seen.iter().max()),
            (Some(&-2), Some(&3))
        );
        let mut cards: Vec<usize> = (0..20).collect();
        rng.shuffle(&mut cards);
        assert_ne!(cards, (0..20).collect::<Vec<_>>());
        cards.sort_unstable();
        assert_eq!(cards, (0..20).collect::<Vec<_>>());
        assert!((0..50).all(|_| rng.other(&[1, 2, 3], 2) != 2));
    }
}
