//! Several samples in one sequence: best fit, longest first. Lengths in, packs out; nothing is split.
//! Called by the loader, and by reinforcement learning for its micro-steps.

use std::collections::BTreeSet;

use crate::error::Error;

/// Samples that share a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Indices into the list of lengths, ascending.
    pub samples: Vec<usize>,
    /// Where each sample starts, and where the last ends: one more than `samples`.
    pub offsets: Vec<usize>,
}

impl Pack {
    /// Tokens in the pack.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }
}

/// Packs samples of the given lengths into sequences of at most `max_tokens`: the longest first, each
/// into the sequence in which it leaves the least room. Sequences come in the order of their first
/// samples; the same lengths give the same packs. O(n log n).
///
/// # Errors
/// [`Error::Unpackable`] for a length of 0 or above `max_tokens`.
pub fn best_fit(lengths: &[usize], max_tokens: usize) -> Result<Vec<Pack>, Error> {
    for (index, &tokens) in lengths.iter().enumerate() {
        if tokens == 0 || tokens > max_tokens {
            return Err(Error::Unpackable {
                index,
                tokens,
                max_tokens,
            });
        }
    }
    let mut order: Vec<(usize, usize)> = lengths.iter().copied().enumerate().collect();
    order.sort_by_key(|&(index, tokens)| (std::cmp::Reverse(tokens), index));
    let mut bins: Vec<Vec<usize>> = Vec::new();
    // Room left and bin.
    let mut open: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (index, tokens) in order {
        let tightest = open.range((tokens, 0)..).next().copied();
        let (room, bin) = match tightest {
            Some(found) => {
                open.remove(&found);
                found
            }
            None => {
                bins.push(Vec::new());
                (max_tokens, bins.len() - 1)
            }
        };
        bins[bin].push(index);
        open.insert((room - tokens, bin));
    }
    bins.iter_mut().for_each(|samples| samples.sort_unstable());
    bins.sort_by_key(|samples| samples.first().copied());
    Ok(bins
        .into_iter()
        .map(|samples| Pack {
            offsets: offsets(samples.iter().map(|&i| lengths[i])),
            samples,
        })
        .collect())
}

fn offsets(lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let ends = lengths.scan(0, |end, tokens| {
        *end += tokens;
        Some(*end)
    });
    std::iter::once(0).chain(ends).collect()
}

/// Share of the sequences that holds samples, 0 to 1; 1 for no packs.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
pub fn utilisation(packs: &[Pack], max_tokens: usize) -> f64 {
    let tokens: usize = packs.iter().map(Pack::tokens).sum();
    match packs.len() * max_tokens {
        0 => 1.0,
        room => tokens as f64 / room as f64,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// First fit, longest first not: what a loop over open sequences would do.
    fn first_fit(lengths: &[usize], max_tokens: usize) -> usize {
        let mut rooms: Vec<usize> = Vec::new();
        for &tokens in lengths {
            match rooms.iter_mut().find(|room| **room >= tokens) {
                Some(room) => *room -= tokens,
                None => rooms.push(max_tokens - tokens),
            }
        }
        rooms.len()
    }

    proptest! {
        #[test]
        fn every_sample_once_and_no_pack_too_long(
            lengths in prop::collection::vec(1_usize..=64, 0..80),
        ) {
            let packs = best_fit(&lengths, 64).expect("all fit");
            let mut seen: Vec<usize> = packs.iter().flat_map(|p| p.samples.clone()).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            for pack in &packs {
                prop_assert!(pack.tokens() <= 64);
                let widths: Vec<usize> = pack.offsets.windows(2).map(|w| w[1] - w[0]).collect();
                let own: Vec<usize> = pack.samples.iter().map(|&i| lengths[i]).collect();
                prop_assert_eq!(widths, own);
            }
            prop_assert!(packs.windows(2).all(|w| w[0].samples[0] < w[1].samples[0]));
        }
    }

    #[test]
    fn needs_no_more_sequences_than_first_fit() {
        let mut rng = crate::rng::SplitMix64::of(&[7]);
        let (mut ours, mut theirs) = (0, 0);
        for _ in 0..200 {
            let length = |_| usize::try_from(rng.below(8192) + 1).expect("small");
            let lengths: Vec<usize> = (0..64).map(length).collect();
            let packs = best_fit(&lengths, 8192).expect("all fit");
            assert!(packs.len() <= first_fit(&lengths, 8192), "{lengths:?}");
            assert!(utilisation(&packs, 8192) > 0.75);
            ours += packs.len();
            theirs += first_fit(&lengths, 8192);
        }
        assert!(ours < theirs, "{ours} sequences, first fit {theirs}");
    }

    #[test]
    fn impossible_lengths_are_errors() {
        assert_eq!(
            best_fit(&[3, 9], 8).expect_err("too long").to_string(),
            "sample 1 has 9 tokens; a pack takes 1 to 8"
        );
        assert!(best_fit(&[0], 8).is_err());
        assert_eq!(best_fit(&[], 8).expect("nothing to do"), []);
    }
}
