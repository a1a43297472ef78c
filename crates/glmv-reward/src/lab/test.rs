//! Checks rows against the outcomes they allow.

use super::cases::{CaseFile, Expected};
use super::score::{RowScore, score_all};
use crate::{Error, RewardSystem};
use serde::Serialize;
use std::fmt;

/// How far a reward may be from the expected one.
pub const TOLERANCE: f64 = 1e-5;

/// Outcome of a test run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TestReport {
    /// Rows that gave an outcome they allow.
    pub passed: usize,
    /// Every other row: its name and what happened.
    pub failed: Vec<(String, String)>,
    /// Rows of formulas that belong to other parts of the project.
    pub foreign: usize,
}

impl TestReport {
    /// True where every row passed.
    pub fn is_ok(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for TestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, reason) in &self.failed {
            writeln!(f, "FAILED {id}: {reason}")?;
        }
        if self.foreign > 0 {
            writeln!(
                f,
                "{} rows are of other parts of the project and were left out",
                self.foreign
            )?;
        }
        writeln!(f, "{} passed, {} failed", self.passed, self.failed.len())
    }
}

/// Scores every row and compares with `expected`; a row without it fails, and so does one that is
/// no case.
pub fn test(file: CaseFile, system: Option<&RewardSystem>, name: &str) -> TestReport {
    let mut report = TestReport {
        foreign: file.foreign,
        ..TestReport::default()
    };
    for (case, scored) in score_all(file.rows, system, name) {
        let id = case
            .as_ref()
            .map_or_else(|| "?".to_owned(), |c| c.id.clone());
        let expected = case.map(|c| c.expected).unwrap_or_default();
        match check(&expected, scored) {
            Ok(()) => report.passed += 1,
            Err(reason) => report.failed.push((id, reason)),
        }
    }
    report
}

fn check(expected: &[Expected], scored: Result<RowScore, Error>) -> Result<(), String> {
    let scored = scored.map_err(|e| e.to_string())?;
    if expected.is_empty() {
        return Err("the row has no `expected`".into());
    }
    let allowed = expected.iter().any(|e| match (e, scored.reward) {
        (Expected::NeedsJudge, None) => scored.needs_judge,
        (Expected::Reward(x), Some(reward)) => (reward - x).abs() <= TOLERANCE,
        _ => false,
    });
    if allowed {
        return Ok(());
    }
    let got = scored
        .reward
        .map_or_else(|| "needs_judge".to_owned(), |r| r.to_string());
    Err(format!("{got} ({}), allowed: {expected:?}", scored.why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(expected: &str, response: &str) -> TestReport {
        let row = format!(
            r#"{{"id": "a", "domain": "vqa", "level": "judge", "response": "{response}", "ground_truth": "cat", "expected": {expected}}}"#
        );
        test(CaseFile::parse(&row, "f").expect("a row"), None, "f")
    }

    #[test]
    fn outcomes_are_compared() {
        for (expected, response) in [
            ("1.0", "cat"),
            ("[0.0, 1.0]", "cat"),
            ("\"needs_judge\"", "dog"),
            ("[1.0, \"needs_judge\"]", "dog"),
            ("0.999995", "cat"),
        ] {
            assert!(run(expected, response).is_ok(), "{expected} {response}");
        }
        for (expected, response) in [
            ("0.0", "cat"),
            ("\"needs_judge\"", "cat"),
            ("0.0", "dog"),
            ("0.9999", "cat"),
        ] {
            let report = run(expected, response);
            assert!(
                !report.is_ok() && report.to_string().contains("FAILED a"),
                "{expected} {response}"
            );
        }
    }

    #[test]
    fn what_cannot_be_tested_fails() {
        let row = r#"{"id": "a", "domain": "vqa", "level": "judge", "response": "cat", "ground_truth": "cat"}"#;
        for text in [
            row.to_owned(),
            format!("{row}\n{row}"),
            "nonsense".into(),
            row.replace("vqa", "vqaa"),
        ] {
            assert!(
                !test(CaseFile::parse(&text, "f").expect("rows"), None, "f").is_ok(),
                "{text}"
            );
        }
    }
}
