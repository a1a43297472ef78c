//! Completions: grammar and extraction.
#![no_main]

use libfuzzer_sys::fuzz_target;

use glmv_reward::grammar::{Boxed, Think, read, truth_answer};

fuzz_target!(|text: &str| {
    for think in [Think::Required, Think::Opened, Think::Optional] {
        for boxed in [Boxed::One, Boxed::None] {
            let _ = read(text, think, boxed);
        }
    }
    let _ = truth_answer(text);
});
