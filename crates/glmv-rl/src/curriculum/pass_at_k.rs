//! pass@k: the chance that at least one of k samples is right.

use crate::Error;

/// The unbiased estimate from `right` right ones among `samples`:
/// `1 - C(samples - right, k) / C(samples, k)`.
///
/// Source: Chen et al., "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, §2.1.
///
/// # Errors
/// [`Error::PassAtK`] unless `1 <= k <= samples` and `right <= samples`.
pub fn pass_at_k(samples: u64, right: u64, k: u64) -> Result<f64, Error> {
    if k == 0 || k > samples || right > samples {
        return Err(Error::PassAtK { samples, right, k });
    }
    let wrong = samples - right;
    if k > wrong {
        return Ok(1.0);
    }
    if k == 1 {
        return Ok(right as f64 / samples as f64);
    }
    // The share of k-subsets that are all wrong, as a product: no binomial overflows.
    let all_wrong: f64 = (0..k)
        .map(|i| (wrong - i) as f64 / (samples - i) as f64)
        .product();
    Ok(1.0 - all_wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_count_over_all_subsets() {
        for samples in 1_u64..=10 {
            for right in 0..=samples {
                for k in 1..=samples {
                    // Samples 0..right are the right ones; every subset of size k is looked at.
                    let subsets = (0_u64..1 << samples).filter(|s| u64::from(s.count_ones()) == k);
                    let (mut all, mut hits) = (0_u32, 0_u32);
                    for subset in subsets {
                        all += 1;
                        hits += u32::from(subset & ((1 << right) - 1) != 0);
                    }
                    let want = f64::from(hits) / f64::from(all);
                    let got = pass_at_k(samples, right, k).expect("defined");
                    assert!(
                        (got - want).abs() < 1e-12,
                        "{samples} {right} {k}: {got} {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn exact_values_and_errors() {
        let at = |n, c, k| pass_at_k(n, c, k).expect("defined");
        assert_eq!(
            [at(8, 0, 4), at(8, 8, 1), at(8, 2, 1), at(4, 1, 4)],
            [0.0, 1.0, 0.25, 1.0]
        );
        assert_eq!(at(4, 2, 2), 1.0 - 1.0 / 6.0);
        assert!(at(1_000_000, 10, 1000) < 0.011);
        for (n, c, k) in [(4, 1, 0), (4, 1, 5), (4, 5, 2), (0, 0, 1)] {
            assert_eq!(
                pass_at_k(n, c, k),
                Err(Error::PassAtK {
                    samples: n,
                    right: c,
                    k
                })
            );
        }
    }
}
