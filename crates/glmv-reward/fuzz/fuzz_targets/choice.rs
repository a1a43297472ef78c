//! Choice letters.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = glmv_reward::compare::choice::read(text);
});
