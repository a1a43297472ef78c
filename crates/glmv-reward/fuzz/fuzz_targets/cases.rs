//! Case files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = glmv_reward::lab::CaseFile::parse(text, "fuzz");
});
