//! Boxes and points.
#![no_main]

use libfuzzer_sys::fuzz_target;

use glmv_reward::compare::{bbox, point};

fuzz_target!(|text: &str| {
    let _ = (bbox::read(text), point::read(text));
});
