//! Whole verdicts, every domain.
#![no_main]

use libfuzzer_sys::fuzz_target;

use glmv_reward::Scorer;
use glmv_reward::domain::DOMAINS;

fuzz_target!(|pair: (&str, &str)| {
    for domain in DOMAINS {
        let Ok(scorer) = Scorer::of_domain(domain.name) else {
            unreachable!("a row of the table")
        };
        for verdict in [
            scorer.answer(pair.0, pair.1),
            scorer.completion(pair.0, pair.1),
        ] {
            if let Ok(Some(reward)) = verdict.map(|v| v.reward) {
                assert!((0.0..=1.0).contains(&reward));
            }
        }
    }
});
