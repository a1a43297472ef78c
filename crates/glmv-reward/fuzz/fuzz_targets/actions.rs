//! Actions on a phone, on a computer, in a browser.
#![no_main]

use libfuzzer_sys::fuzz_target;

use glmv_reward::compare::{gui_computer, gui_mobile, gui_web};

fuzz_target!(|text: &str| {
    let _ = (
        gui_computer::read(text),
        gui_mobile::read(text),
        gui_web::read(text),
    );
});
