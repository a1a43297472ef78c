//! Splits: which seeds, and which combinations of wording and values, belong to training, validation
//! and test. Both rules hold for every item, so that no picture with its question can be in two.

use crate::Error;
use sha2::{Digest as _, Sha256};

/// Seeds of one split.
const SEEDS: u64 = 1 << 40;
/// Combinations are dealt in so many parts: one to the test, one to the validation, the rest to
/// training.
const PARTS: u64 = 10;

/// A part of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// Seeds below 2⁴⁰, eight of ten combinations.
    Train,
    /// Seeds from 2⁴⁰ to below 2 · 2⁴⁰, one of ten combinations.
    Validation,
    /// Seeds from 2 · 2⁴⁰ to below 3 · 2⁴⁰, one of ten combinations.
    Test,
}

impl Split {
    /// Every split.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The split of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(name: &str) -> Result<Self, Error> {
        let hit = Self::ALL.into_iter().find(|s| s.name() == name);
        hit.ok_or_else(|| Error::Split { name: name.into() })
    }

    /// The split a seed belongs to.
    ///
    /// # Errors
    /// If it belongs to none.
    pub fn of_seed(seed: u64) -> Result<Self, Error> {
        let found = usize::try_from(seed / SEEDS)
            .ok()
            .and_then(|i| Self::ALL.get(i));
        found.copied().ok_or(Error::Seed {
            seed,
            limit: SEEDS * Self::ALL.len() as u64,
        })
    }

    /// The `offset`-th seed of the split.
    ///
    /// # Errors
    /// If the split has not so many.
    pub fn seed(self, offset: u64) -> Result<u64, Error> {
        if offset >= SEEDS {
            return Err(Error::Seed {
                seed: offset,
                limit: SEEDS,
            });
        }
        Ok(self as u64 * SEEDS + offset)
    }

    /// The split a combination of wording and values belongs to (see
    /// [`Item::combination`](crate::Item::combination)): the first eight bytes of its SHA-256,
    /// modulo ten; 0 is test, 1 validation.
    pub fn of_combination(combination: &str) -> Self {
        let digest = Sha256::digest(combination.as_bytes());
        let head = digest.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b));
        match head % PARTS {
            0 => Self::Test,
            1 => Self::Validation,
            _ => Self::Train,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_belong_to_one_split() {
        for split in Split::ALL {
            for offset in [0, 1, SEEDS - 1] {
                let seed = split.seed(offset).expect("in range");
                assert_eq!(Split::of_seed(seed).expect("in range"), split);
            }
            assert!(split.seed(SEEDS).is_err());
            assert_eq!(Split::find(split.name()).expect("a name"), split);
        }
        assert!(Split::of_seed(3 * SEEDS).is_err_and(|e| e.to_string().contains("3298534883328")));
        assert!(Split::find("dev").is_err());
    }

    #[test]
    fn combinations_are_dealt_one_one_eight() {
        let share = |split: Split| {
            let all = (0..20_000).map(|i| Split::of_combination(&format!("combination {i}")));
            all.filter(|s| *s == split).count()
        };
        assert!(
            share(Split::Test).abs_diff(2000) < 150,
            "{}",
            share(Split::Test)
        );
        assert!(
            share(Split::Validation).abs_diff(2000) < 150,
            "{}",
            share(Split::Validation)
        );
    }
}
