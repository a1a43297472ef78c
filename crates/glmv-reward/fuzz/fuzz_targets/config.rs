//! Reward configs.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = glmv_reward::RewardSystem::from_toml(text, "fuzz");
});
