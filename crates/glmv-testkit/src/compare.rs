//! Results against references, with comparisons that a NaN cannot pass.

use crate::{Bound, Error, Scale};

/// The outcome of a comparison. A test asserts [`Compare::ok`] and prints the rest.
#[must_use = "a comparison that nobody reads checks nothing"]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compare {
    /// True where every element and the mean are within their bounds.
    pub ok: bool,
    /// Number of elements compared.
    pub len: usize,
    /// Index of the element with the largest [`Compare::worst_ratio`]; `None` without elements.
    pub worst_index: Option<usize>,
    /// Largest |got - want|; +inf where an element is NaN.
    pub max_abs: f64,
    /// Mean |got - want|; 0 without elements.
    pub mean_abs: f64,
    /// Largest error as a share of what is allowed, mean included; above 1 is a failure.
    pub worst_ratio: f64,
}

impl Compare {
    fn empty() -> Self {
        Self {
            ok: true,
            len: 0,
            worst_index: None,
            max_abs: 0.0,
            mean_abs: 0.0,
            worst_ratio: 0.0,
        }
    }

    fn take(&mut self, index: usize, error: f64, allowed: f64) {
        let ratio = ratio(error, allowed);
        if self.worst_index.is_none() || ratio > self.worst_ratio {
            self.worst_index = Some(index);
            self.worst_ratio = ratio;
        }
        self.ok &= error <= allowed;
        self.max_abs = self.max_abs.max(error);
        self.mean_abs += error;
        self.len += 1;
    }
}

fn ratio(error: f64, allowed: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / allowed }
}

/// |got - want|: 0 where both are the same infinity, +inf where either is NaN or one is infinite.
fn distance(got: f64, want: f64) -> f64 {
    let error = if got == want { 0.0 } else { (got - want).abs() };
    if error.is_nan() { f64::INFINITY } else { error }
}

/// Compares element by element: `|got - want| <= abs + rel * scale`, and the mean.
/// A NaN on either side fails; infinities must be equal. Lists without elements pass.
///
/// # Errors
/// [`Error::Length`] if the lengths differ.
pub fn compare<T: Into<f64> + Copy>(
    got: &[T],
    want: &[T],
    bound: &Bound,
) -> Result<Compare, Error> {
    compare_with(got, want, |_| *bound)
}

/// As [`compare`], with a bound per element: `bound(index)`. The `mean_abs` of the first element's
/// bound holds for all.
///
/// # Errors
/// [`Error::Length`] if the lengths differ.
pub fn compare_with<T: Into<f64> + Copy>(
    got: &[T],
    want: &[T],
    bound: impl Fn(usize) -> Bound,
) -> Result<Compare, Error> {
    if got.len() != want.len() {
        return Err(Error::Length {
            got: got.len(),
            want: want.len(),
        });
    }
    let finite = |value: f64| if value.is_finite() { value.abs() } else { 0.0 };
    let tensor_max = want.iter().map(|&w| finite(w.into())).fold(0.0, f64::max);
    let mut outcome = Compare::empty();
    for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
        let bound = bound(index);
        let scale = match bound.scale {
            Scale::Element => finite(want.into()),
            Scale::TensorMax => tensor_max,
        };
        outcome.take(
            index,
            distance(got.into(), want.into()),
            bound.abs + bound.rel * scale,
        );
    }
    if outcome.len > 0 {
        outcome.mean_abs /= outcome.len as f64;
        if let Some(mean_allowed) = bound(0).mean_abs {
            outcome.ok &= outcome.mean_abs <= mean_allowed;
            outcome.worst_ratio = outcome
                .worst_ratio
                .max(ratio(outcome.mean_abs, mean_allowed));
        }
    }
    Ok(outcome)
}

/// Compares numbers that must be equal (ids, positions, bytes). `max_abs` and `mean_abs` count
/// differences: 1 per element that differs.
///
/// # Errors
/// [`Error::Length`] if the lengths differ.
pub fn compare_exact<T: PartialEq>(got: &[T], want: &[T]) -> Result<Compare, Error> {
    if got.len() != want.len() {
        return Err(Error::Length {
            got: got.len(),
            want: want.len(),
        });
    }
    let mut outcome = Compare::empty();
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        outcome.take(index, if got == want { 0.0 } else { 1.0 }, 0.0);
    }
    outcome.mean_abs /= outcome.len.max(1) as f64;
    Ok(outcome)
}

/// The negative control of a comparison: a copy whose largest finite element is moved by
/// `fraction` of itself (by `fraction` where all are 0). A comparison must reject it.
///
/// # Errors
/// [`Error::NothingToPerturb`] if there is no finite element.
pub fn perturbed(values: &[f32], fraction: f32) -> Result<Vec<f32>, Error> {
    let largest = (0..values.len())
        .filter(|&at| values[at].is_finite())
        .max_by(|&a, &b| values[a].abs().total_cmp(&values[b].abs()));
    let at = largest.ok_or(Error::NothingToPerturb { len: values.len() })?;
    let mut moved = values.to_vec();
    moved[at] += fraction * if values[at] == 0.0 { 1.0 } else { values[at] };
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUND: Bound = Bound::new(0.1, 0.01);

    fn run(got: &[f32], want: &[f32]) -> Compare {
        compare(got, want, &BOUND).expect("same length")
    }

    #[test]
    fn bounds_hold_element_by_element() {
        let outcome = run(&[1.0, 10.15, -3.0], &[1.05, 10.0, -3.0]);
        assert!(outcome.ok);
        assert_eq!((outcome.len, outcome.worst_index), (3, Some(1)));
        assert!(
            (outcome.max_abs - 0.15).abs() < 1e-6 && (outcome.mean_abs - 0.2 / 3.0).abs() < 1e-6
        );
        assert!((outcome.worst_ratio - 0.15 / 0.2).abs() < 1e-5);
        let outcome = run(&[1.0, 10.25], &[1.0, 10.0]);
        assert!(!outcome.ok && outcome.worst_ratio > 1.0);
        assert!(run(&[], &[]).ok && run(&[], &[]).worst_index.is_none());
        assert!(matches!(
            compare(&[1.0_f32], &[], &BOUND),
            Err(Error::Length { got: 1, want: 0 })
        ));
    }

    #[test]
    fn nan_and_infinity_never_slip_through() {
        const INF: f32 = f32::INFINITY;
        for (got, want) in [
            (f32::NAN, 1.0),
            (1.0, f32::NAN),
            (f32::NAN, f32::NAN),
            (1.0, INF),
            (INF, 1.0),
            (INF, -INF),
        ] {
            let outcome = run(&[0.0, got], &[0.0, want]);
            assert!(!outcome.ok, "{got} {want}");
            assert_eq!(
                (outcome.worst_index, outcome.max_abs),
                (Some(1), f64::INFINITY)
            );
        }
        assert!(run(&[-INF], &[-INF]).ok, "masked logits are equal");
        let max = Bound {
            scale: Scale::TensorMax,
            ..Bound::new(0.0, 1.0)
        };
        assert!(
            !compare(&[5.0, INF], &[1.0, INF], &max)
                .expect("same length")
                .ok
        );
    }

    #[test]
    fn mean_and_tensor_scale_count() {
        let mean = Bound {
            mean_abs: Some(0.01),
            ..BOUND
        };
        assert!(
            compare(&[0.05_f32, 0.0, 0.0, 0.0, 0.0, 0.0], &[0.0; 6], &mean)
                .expect("length")
                .ok
        );
        let outcome = compare(&[0.05_f32, 0.0], &[0.0; 2], &mean).expect("length");
        assert!(!outcome.ok && (outcome.worst_ratio - 2.5).abs() < 1e-6);
        let tensor = Bound {
            scale: Scale::TensorMax,
            ..Bound::new(0.0, 0.01)
        };
        assert!(
            compare(&[0.5_f64, 100.0], &[0.0, 100.0], &tensor)
                .expect("length")
                .ok
        );
        assert!(
            !compare(&[2.0_f64, 100.0], &[0.0, 100.0], &tensor)
                .expect("length")
                .ok
        );
        let per_row = |index| {
            if index == 1 {
                Bound::new(1.0, 0.0)
            } else {
                Bound::EXACT
            }
        };
        assert!(
            compare_with(&[1.0_f32, 2.5], &[1.0, 2.0], per_row)
                .expect("length")
                .ok
        );
        assert!(
            !compare_with(&[1.5_f32, 2.0], &[1.0, 2.0], per_row)
                .expect("length")
                .ok
        );
    }

    #[test]
    fn exact_comparison_counts_differences() {
        assert!(compare_exact(&[1_i64, 2], &[1, 2]).expect("length").ok);
        let outcome = compare_exact(&[1_i64, 2, 3], &[1, 0, 0]).expect("length");
        assert_eq!(
            (outcome.ok, outcome.worst_index, outcome.mean_abs),
            (false, Some(1), 2.0 / 3.0)
        );
        assert!(compare_exact(&[1_u8], &[]).is_err());
    }

    #[test]
    fn perturbed_moves_the_largest() {
        assert_eq!(
            perturbed(&[1.0, -200.0, f32::NAN], 0.5).expect("finite")[..2],
            [1.0, -300.0]
        );
        assert_eq!(perturbed(&[0.0], 0.5).expect("finite"), [0.5]);
        assert!(perturbed(&[], 0.5).is_err() && perturbed(&[f32::NAN], 0.5).is_err());
    }

    proptest! {
        /// The negative control of every list is rejected by a bound ten times smaller.
        #[test]
        fn control_is_rejected(values in prop::collection::vec(-1e3_f32..1e3, 1..50)) {
            let largest = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            prop_assume!(largest > 1e-3);
            let bound = Bound::new(f64::from(largest) * 1e-4, 1e-4);
            prop_assert!(compare(&values, &values, &bound).expect("length").ok);
            let moved = perturbed(&values, 0.01).expect("finite");
            prop_assert!(!compare(&moved, &values, &bound).expect("length").ok);
        }
    }
}
