//! The cases of the project: every row gives an outcome it allows.

use glmv_reward::lab::{CaseFile, test};
use std::path::Path;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/reward_cases.json");

#[test]
fn every_case_gives_its_expected_outcome() {
    let file = CaseFile::read(Path::new(CASES)).expect("the cases");
    let report = test(file, None, "reward_cases.json");
    assert!(report.is_ok(), "{report}");
    assert!(
        report.passed >= 143,
        "135 cases and 8 grounding formulas: {report}"
    );
}

#[test]
fn a_changed_expectation_would_be_seen() {
    let text = std::fs::read_to_string(CASES).expect("the cases");
    let changed = text.replacen("\"expected\": 1.0", "\"expected\": 0.5", 1);
    assert_ne!(text, changed);
    let report = test(
        CaseFile::parse(&changed, "changed").expect("rows"),
        None,
        "changed",
    );
    assert_eq!(report.failed.len(), 1);
}
