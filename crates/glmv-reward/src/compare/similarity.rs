//! Similarity of typed text: edit distance and shared pairs of characters.

use super::edit_distance;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;

/// Similarity of two typed texts, 0 to 1, case and outer space aside.
///
/// `(0.6 · (1 - distance / longer) + 0.4 · Jaccard of character pairs)`, times the ratio of lengths
/// where it is below 0.3, times 0.3 where one of them repeats itself. The same text scores 1.
pub fn typed(answer: &str, truth: &str) -> f64 {
    let (a, t) = (answer.trim().to_lowercase(), truth.trim().to_lowercase());
    if a == t {
        return 1.0;
    }
    let (len_a, len_t) = (a.chars().count(), t.chars().count());
    if len_a == 0 || len_t == 0 {
        return 0.0;
    }
    let ratio = len_a.min(len_t) as f64 / len_a.max(len_t) as f64;
    let length = if ratio < 0.3 { ratio } else { 1.0 };
    let repetition = if repetitive(&a) || repetitive(&t) {
        0.3
    } else {
        1.0
    };
    let edit = edit_distance::similarity(&a, &t);
    ((0.6 * edit + 0.4 * jaccard(&a, &t)) * length * repetition).clamp(0.0, 1.0)
}

fn windows<const N: usize>(text: &str) -> Vec<[char; N]> {
    let chars: Vec<char> = text.chars().collect();
    chars.windows(N).filter_map(|w| w.try_into().ok()).collect()
}

/// Shared pairs of neighbours over all pairs.
fn jaccard(a: &str, b: &str) -> f64 {
    let set = |s: &str| windows::<2>(s).into_iter().collect::<HashSet<_>>();
    let (a, b) = (set(a), set(b));
    let all = a.union(&b).count();
    if all == 0 {
        1.0
    } else {
        a.intersection(&b).count() as f64 / all as f64
    }
}

/// True where one character, or one group of two to four, makes up more than 70 % of ten or more.
fn repetitive(text: &str) -> bool {
    let len = text.chars().count();
    len >= 10
        && (covers(windows::<1>(text), 1, len)
            || covers(windows::<2>(text), 2, len)
            || covers(windows::<3>(text), 3, len)
            || covers(windows::<4>(text), 4, len))
}

fn covers<T: Hash + Eq>(windows: Vec<T>, size: usize, len: usize) -> bool {
    let mut counts: HashMap<T, usize> = HashMap::new();
    for window in windows {
        *counts.entry(window).or_default() += 1;
    }
    let most = counts.into_values().max().unwrap_or(0);
    most as f64 * size as f64 / len as f64 > 0.7
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        let near = |a: &str, b: &str, expected: f64| {
            assert!(
                (typed(a, b) - expected).abs() < 1e-6,
                "{a} {b}: {}",
                typed(a, b)
            );
        };
        near("HeLloworld!", "Hello World!", 0.85);
        near("Goodbye World!", "Hello World!", 0.433_333_3);
        near("aaaaaaaaaaaa", "aaaaaaaaaaaa", 1.0);
        near("", "a", 0.0);
        assert!(
            typed("aaaaaaaaaaaa", "aaaaaaaaaaab") < 0.3,
            "a repetition that is not the truth"
        );
    }

    proptest! {
        #[test]
        fn symmetric_and_bounded(a in "[ab c]{0,30}", b in "[ab c]{0,30}") {
            prop_assert!((0.0..=1.0).contains(&typed(&a, &b)));
            prop_assert!((typed(&a, &b) - typed(&b, &a)).abs() < 1e-12);
            prop_assert_eq!(typed(&a, &a), 1.0);
        }
    }
}
