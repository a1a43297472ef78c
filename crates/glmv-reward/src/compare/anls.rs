//! Average normalised Levenshtein similarity, the measure of DocVQA, against several truths.

use super::edit_distance::similarity;

/// Similarity below this counts as none.
pub const THRESHOLD: f64 = 0.5;

/// Best similarity of `answer` to one of `truths`, case and outer space aside; 0 below `threshold`.
pub fn score<'a>(answer: &str, truths: impl IntoIterator<Item = &'a str>, threshold: f64) -> f64 {
    let answer = answer.trim().to_lowercase();
    let best = truths
        .into_iter()
        .map(|truth| similarity(&answer, &truth.trim().to_lowercase()))
        .fold(0.0, f64::max);
    if best < threshold { 0.0 } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn far_answers_count_nothing() {
        assert!((score("Hello", ["hello", "x"], THRESHOLD) - 1.0).abs() < 1e-12);
        assert!((score("hallo", ["hello"], THRESHOLD) - 0.8).abs() < 1e-12);
        assert_eq!(score("abc", ["xyz"], THRESHOLD), 0.0);
        assert_eq!(score("abc", [], THRESHOLD), 0.0);
    }

    proptest! {
        #[test]
        fn another_truth_never_lowers_it(a in "[a-c]{0,12}", b in "[a-c]{0,12}", c in "[a-c]{0,12}") {
            prop_assert!(score(&a, [b.as_str(), &c], 0.5) >= score(&a, [b.as_str()], 0.5));
            prop_assert!(score(&a, [a.as_str()], 0.5) == 1.0);
        }
    }
}
