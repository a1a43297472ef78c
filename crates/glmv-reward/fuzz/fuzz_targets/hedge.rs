//! Vague and multiple answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pair: (&str, &str)| {
    let _ = glmv_reward::compare::hedge::reason(pair.0, pair.1, true, true);
});
