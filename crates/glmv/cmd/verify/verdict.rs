//! The verdict on one golden value, and the words for what differs.

use glmv_testkit::{Bound, Compare};
use serde_json::Value;

/// How a golden value and ours compare.
#[derive(Debug, Clone)]
pub(super) struct TensorReport {
    pub name: String,
    /// Largest error as a share of what is allowed; above 1 is a failure, +inf where nothing is
    /// allowed. `None` where the value is informative.
    pub worst_ratio: Option<f64>,
    /// Largest |got - want|; for exact values 1 where something differs.
    pub max_abs: f64,
    /// Why the comparison failed.
    pub failure: Option<String>,
    /// A remark on an informative value.
    pub note: Option<String>,
}

impl TensorReport {
    /// A comparison with its outcome; `failure` says what differs where it is not ok.
    pub(super) fn rated(name: &str, outcome: &Compare, failure: Option<String>) -> Self {
        TensorReport {
            name: name.to_owned(),
            worst_ratio: Some(outcome.worst_ratio),
            max_abs: outcome.max_abs,
            failure,
            note: None,
        }
    }

    /// A value that is exactly the golden one.
    pub(super) fn equal(name: &str) -> Self {
        TensorReport {
            name: name.to_owned(),
            worst_ratio: Some(0.0),
            max_abs: 0.0,
            failure: None,
            note: None,
        }
    }

    /// A value that could not be compared, or is not the golden one.
    pub(super) fn failed(name: &str, reason: String) -> Self {
        TensorReport {
            name: name.to_owned(),
            worst_ratio: Some(f64::INFINITY),
            max_abs: f64::INFINITY,
            failure: Some(reason),
            note: None,
        }
    }

    /// A value that is reported and cannot fail.
    pub(super) fn informative(name: &str, max_abs: f64, note: String) -> Self {
        TensorReport {
            name: name.to_owned(),
            worst_ratio: None,
            max_abs,
            failure: None,
            note: Some(note),
        }
    }
}

/// Golden values with their shape, for the place in a message.
pub(super) struct Golden<'a> {
    pub values: &'a [f32],
    pub shape: &'a [usize],
}

/// What differs most, and by how much too much.
pub(super) fn describe(
    outcome: &Compare,
    got: &[f32],
    golden: &Golden<'_>,
    bound: &dyn Fn(usize) -> Bound,
) -> String {
    let Some(at) = outcome.worst_index else {
        return "nothing to compare".into();
    };
    // One element compared alone gives what is allowed there.
    let want = golden.values[at];
    let error = (f64::from(got[at]) - f64::from(want)).abs();
    let allowed = bound(at).abs + bound(at).rel * f64::from(want.abs());
    let mut text = format!(
        "worst at {}: got {:e}, want {want:e}, differs by {error:.3e}, allowed {allowed:.3e}",
        place(at, golden.shape),
        got[at],
    );
    if let Some(mean) = bound(0).mean_abs {
        text += &format!(
            "; mean difference {:.3e}, allowed {mean:.3e}",
            outcome.mean_abs
        );
    }
    text
}

/// The index `at` of a row-major tensor as `[i, j, …]`.
pub(super) fn place(at: usize, shape: &[usize]) -> String {
    let mut rest = at;
    let mut index = vec![0; shape.len()];
    for (i, size) in shape.iter().enumerate().rev() {
        let size = (*size).max(1);
        index[i] = rest % size;
        rest /= size;
    }
    format!("{index:?}")
}

/// A JSON value cut to a line.
pub(super) fn short(value: &Value) -> String {
    const MOST: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glmv_testkit::compare;

    #[test]
    fn a_difference_is_described_at_its_place() {
        let (got, want, bound) = (
            [1.0, 2.0, 3.0, 4.5],
            [1.0, 2.0, 3.0, 4.0],
            Bound::new(0.1, 0.01),
        );
        let outcome = compare(&got, &want, &bound).expect("same length");
        let golden = Golden {
            values: &want,
            shape: &[2, 2],
        };
        let text = describe(&outcome, &got, &golden, &|_| bound);
        let wanted = "worst at [1, 1]: got 4.5e0, want 4e0, differs by 5.000e-1, allowed 1.400e-1";
        assert_eq!(text, wanted);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(short(&Value::from("é")), "\"é\"");
        assert!(short(&Value::from("é".repeat(500))).contains("… (502 characters)"));
    }
}
