//! Numbers and number words.
#![no_main]

use libfuzzer_sys::fuzz_target;

use glmv_reward::compare::{number, range, words};

fuzz_target!(|text: &str| {
    let _ = (
        number::read(text),
        number::plain(text),
        number::decimal_comma(text),
    );
    let _ = (words::read(text), range::is_span(text, true));
});
