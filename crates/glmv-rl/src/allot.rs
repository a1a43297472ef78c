//! Weights in, whole numbers out: how many of `total` each share gets, with what rounding took away
//! carried to the next call, so that shares hold exactly in the long run. Called for domains
//! ([`crate::mixture`]) and for tiers ([`crate::curriculum`]).

/// Credit is held to this many, so that a share that was short for long does not flood a step.
const CREDIT: f64 = 2.0;

/// Splits `min(total, sum of limits)` by `weights`: no part above its limit, what a full part leaves
/// goes to the others by weight. `credit[i]` is what part `i` is owed; it is updated.
///
/// The lists have one element per part. Weights are at least 0 and finite; a part of weight 0 gets
/// something only when all others are full. Ties go to the earlier part.
pub(crate) fn allot(
    weights: &[f64],
    limits: &[usize],
    total: usize,
    credit: &mut [f64],
) -> Vec<usize> {
    let total = total.min(limits.iter().sum());
    let targets = targets(weights, limits, total);
    let wanted: Vec<f64> = targets.iter().zip(&*credit).map(|(t, c)| t + c).collect();
    let whole = |at: usize| {
        // Rounding must not turn an owed 3 into 2.
        let floor = (wanted[at] + 1e-9).floor().max(0.0);
        (floor as usize).min(limits[at])
    };
    let mut counts: Vec<usize> = (0..weights.len()).map(whole).collect();
    let mut given: usize = counts.iter().sum();
    let owed = |counts: &[usize], at: usize| wanted[at] - counts[at] as f64;
    while given < total {
        let open = (0..counts.len()).filter(|&at| counts[at] < limits[at]);
        let Some(at) = largest(open, |at| owed(&counts, at)) else {
            break;
        };
        counts[at] += 1;
        given += 1;
    }
    while given > total {
        let open = (0..counts.len()).filter(|&at| counts[at] > 0);
        let Some(at) = largest(open, |at| -owed(&counts, at)) else {
            break;
        };
        counts[at] -= 1;
        given -= 1;
    }
    for (at, now) in credit.iter_mut().enumerate() {
        *now = owed(&counts, at).clamp(-CREDIT, CREDIT);
    }
    counts
}

/// Real-valued shares of `total`, none above its limit.
fn targets(weights: &[f64], limits: &[usize], total: usize) -> Vec<f64> {
    let mut targets = vec![0.0; weights.len()];
    let mut open: Vec<usize> = (0..weights.len()).filter(|&at| limits[at] > 0).collect();
    let mut rest = total as f64;
    while !open.is_empty() && rest > 0.0 {
        let sum: f64 = open.iter().map(|&at| weights[at]).sum();
        // Where only parts of weight 0 are left, they share evenly.
        let share = |at: usize| match sum > 0.0 {
            true => rest * weights[at] / sum,
            false => rest / open.len() as f64,
        };
        let (full, others): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|&&at| share(at) >= limits[at] as f64);
        if full.is_empty() {
            for &at in &open {
                targets[at] = share(at);
            }
            return targets;
        }
        for &at in &full {
            targets[at] = limits[at] as f64;
            rest -= limits[at] as f64;
        }
        open = others;
    }
    targets
}

/// The first of the candidates with the largest value.
fn largest(candidates: impl Iterator<Item = usize>, value: impl Fn(usize) -> f64) -> Option<usize> {
    candidates.reduce(|best, at| if value(at) > value(best) { at } else { best })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rounding_is_carried() {
        let mut credit = [0.0; 2];
        let mut sum = [0, 0];
        let mut steps = Vec::new();
        for _ in 0..10 {
            let counts = allot(&[0.7, 0.3], &[9, 9], 1, &mut credit);
            sum[0] += counts[0];
            sum[1] += counts[1];
            steps.push(counts[1]);
        }
        assert_eq!(sum, [7, 3], "{steps:?}");
        assert!(steps[..4].contains(&1), "spread, not at the end: {steps:?}");
    }

    #[test]
    fn full_parts_leave_the_rest_to_others() {
        let once = |weights: &[f64], limits: &[usize], total| {
            allot(weights, limits, total, &mut vec![0.0; weights.len()])
        };
        assert_eq!(once(&[8.0, 1.0, 1.0], &[2, 9, 9], 10), [2, 4, 4]);
        assert_eq!(
            once(&[1.0, 0.0], &[3, 5], 5),
            [3, 2],
            "weight 0 only fills up"
        );
        assert_eq!(once(&[1.0, 1.0], &[1, 1], 9), [1, 1]);
        assert_eq!(once(&[0.0, 0.0], &[5, 5], 4), [2, 2]);
        assert_eq!(once(&[], &[], 4), Vec::<usize>::new());
        assert_eq!(once(&[1.0], &[0], 4), [0]);
    }

    proptest! {
        /// The total is given out, limits hold, and over many steps shares are exact to the credit.
        #[test]
        fn totals_limits_and_long_run(
            parts in prop::collection::vec((0.01_f64..1.0, 0_usize..20), 1..7),
            total in 0_usize..30,
        ) {
            let (weights, limits): (Vec<f64>, Vec<usize>) = parts.into_iter().unzip();
            let mut credit = vec![0.0; weights.len()];
            let mut sums = vec![0_usize; weights.len()];
            for _ in 0..50 {
                let counts = allot(&weights, &limits, total, &mut credit);
                prop_assert_eq!(counts.iter().sum::<usize>(), total.min(limits.iter().sum()));
                for at in 0..counts.len() {
                    prop_assert!(counts[at] <= limits[at]);
                    sums[at] += counts[at];
                }
            }
            let wanted = targets(&weights, &limits, total.min(limits.iter().sum()));
            for at in 0..sums.len() {
                let off = sums[at] as f64 - 50.0 * wanted[at];
                prop_assert!(off.abs() <= CREDIT + 1e-6, "{off} {sums:?} {wanted:?}");
            }
        }
    }
}
