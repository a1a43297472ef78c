//! How many items a second one core makes: 200 are asked for.

use glmv_gym::{Domain, LEVELS, Size, generate};
use std::time::Instant;

#[test]
fn items_are_made_fast_enough() {
    let mut slowest: (f64, &str) = (f64::MAX, "");
    let (n, all) = (20, Instant::now());
    for domain in Domain::ALL {
        let start = Instant::now();
        for level in 1..=LEVELS {
            for seed in 0..n {
                let item = generate(domain, level, seed, Size::default()).expect("an item");
                assert!(!item.answer.is_empty());
            }
        }
        let speed = (n * u64::from(LEVELS)) as f64 / start.elapsed().as_secs_f64();
        println!(
            "{:10} {speed:8.0} items/s at 112 x 112 pixels",
            domain.name()
        );
        if speed < slowest.0 {
            slowest = (speed, domain.name());
        }
    }
    let total = Domain::ALL.len() as u64 * n * u64::from(LEVELS);
    let speed = total as f64 / all.elapsed().as_secs_f64();
    println!("all        {speed:8.0} items/s; slowest: {}", slowest.1);
    assert!(speed > 200.0, "{speed:.0} items/s");
}
