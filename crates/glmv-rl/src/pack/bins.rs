//! Lengths into as few bins of one capacity as can be found.

use crate::Error;

/// Nodes that the search for one bin fewer may visit.
const SEARCH_NODES: usize = 20_000;
/// Samples above which the search is not tried: it recurses once per sample.
const SEARCH_SAMPLES: usize = 512;

/// Samples by bin, and how few bins could possibly do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bins {
    /// Indices of the samples of each bin, ascending.
    pub bins: Vec<Vec<usize>>,
    /// A lower bound of the number of bins; equal to their number where that is proved least.
    pub least: usize,
}

/// Packs samples into bins: best fit, longest first, then a bounded search for fewer bins wherever
/// the lower bound leaves room for that. The same lengths always give the same bins.
///
/// # Errors
/// [`Error::TooLong`].
pub fn bins(lengths: &[usize], capacity: usize) -> Result<Bins, Error> {
    if let Some(sample) = lengths.iter().position(|&length| length > capacity) {
        return Err(Error::TooLong {
            sample,
            length: lengths[sample],
            capacity,
        });
    }
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let least = lower_bound(lengths, capacity);
    let mut bins = best_fit(&order, lengths, capacity);
    while bins.len() > least && lengths.len() <= SEARCH_SAMPLES {
        let mut search = Search {
            order: &order,
            lengths,
            free: vec![capacity; bins.len() - 1],
            bins: vec![Vec::new(); bins.len() - 1],
            nodes: SEARCH_NODES,
        };
        if !search.place(0) {
            break;
        }
        bins = search.bins;
    }
    bins.iter_mut().for_each(|bin| bin.sort_unstable());
    Ok(Bins { bins, least })
}

fn best_fit(order: &[usize], lengths: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut free: Vec<usize> = Vec::new();
    let mut bins: Vec<Vec<usize>> = Vec::new();
    for &sample in order {
        let length = lengths[sample];
        let fitting = (0..free.len()).filter(|&bin| free[bin] >= length);
        let bin = fitting.min_by_key(|&bin| free[bin]).unwrap_or_else(|| {
            free.push(capacity);
            bins.push(Vec::new());
            free.len() - 1
        });
        free[bin] -= length;
        bins[bin].push(sample);
    }
    bins
}

/// Martello and Toth's bound L2: for every threshold, long samples stand alone and what middling
/// samples leave free must hold the rest ("Knapsack Problems", 1990, §8.3). Beside it, a count of
/// samples of which only so many fit together.
fn lower_bound(lengths: &[usize], capacity: usize) -> usize {
    let half = capacity / 2;
    let mut thresholds: Vec<usize> = lengths.iter().copied().filter(|&l| l <= half).collect();
    thresholds.push(0);
    thresholds.sort_unstable();
    thresholds.dedup();
    let bound = |threshold: usize| {
        let sum = |low: usize, high: usize| -> (usize, usize) {
            let within = lengths.iter().filter(|&&l| l > low && l <= high);
            within.fold((0, 0), |(count, sum), l| (count + 1, sum + l))
        };
        let (alone, _) = sum(capacity - threshold, capacity);
        let (middling, taken) = sum(half, capacity - threshold);
        let small: usize = lengths
            .iter()
            .filter(|&&l| l >= threshold && l <= half)
            .sum();
        let overflow = small.saturating_sub(middling * capacity - taken);
        alone + middling + overflow.div_ceil(capacity.max(1))
    };
    let least = thresholds.into_iter().map(bound).max().unwrap_or(0);
    // Of samples above a share `1 / (n + 1)` of the capacity, no more than n go together.
    let together = |n: usize| {
        let above = lengths
            .iter()
            .filter(|&&l| l.saturating_mul(n + 1) > capacity);
        above.count().div_ceil(n)
    };
    let least = (1..=16).map(together).fold(least, usize::max);
    // Samples without a token need a bin all the same.
    least.max(usize::from(!lengths.is_empty()))
}

/// Depth-first search for a packing into a given number of bins.
struct Search<'a> {
    order: &'a [usize],
    lengths: &'a [usize],
    free: Vec<usize>,
    bins: Vec<Vec<usize>>,
    nodes: usize,
}

impl Search<'_> {
    /// Places the samples from `order[at]` on; false where that cannot be done or takes too long.
    fn place(&mut self, at: usize) -> bool {
        let Some(&sample) = self.order.get(at) else {
            return true;
        };
        if self.nodes == 0 {
            return false;
        }
        self.nodes -= 1;
        let length = self.lengths[sample];
        // Tightest first; bins with equal room are the same choice.
        let mut choices: Vec<usize> = (0..self.free.len())
            .filter(|&bin| self.free[bin] >= length)
            .collect();
        choices.sort_by_key(|&bin| self.free[bin]);
        choices.dedup_by_key(|bin| self.free[*bin]);
        for bin in choices {
            self.free[bin] -= length;
            self.bins[bin].push(sample);
            if self.place(at + 1) {
                return true;
            }
            self.free[bin] += length;
            self.bins[bin].pop();
        }
        false
    }
}
