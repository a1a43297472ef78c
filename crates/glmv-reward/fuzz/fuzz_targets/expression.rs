//! Mathematics: parsing, evaluation and comparison.
#![no_main]

use libfuzzer_sys::fuzz_target;

use glmv_reward::compare::expression::{Same, compare};
use glmv_reward::compare::number::Tolerance;

fuzz_target!(|pair: (&str, &str)| {
    let (a, b) = pair;
    let _ = compare(a, b, Tolerance::Mixed(0.01));
    let same = compare(a, a, Tolerance::Relative(1e-6));
    assert!(
        matches!(same, None | Some(Same::Yes | Same::Unknown)),
        "{a} is {same:?} to itself"
    );
});
