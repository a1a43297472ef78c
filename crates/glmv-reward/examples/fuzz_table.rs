//! Attacks every domain and prints the table of the crate's documentation, then every mistake.
//!
//! `cargo run --release -p glmv-reward --example fuzz_table -- [ANSWERS] [SEED]`

use glmv_reward::lab::fuzz::{DOMAINS, fuzz};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let count = args.next().map_or(Ok(2400), |n| n.parse())?;
    let seed = args.next().map_or(Ok(20_250_701), |n| n.parse())?;
    println!("| domain | answers | precision | recall | wrong left to a judge |");
    println!("|---|---|---|---|---|");
    let mut mistakes = Vec::new();
    for domain in DOMAINS {
        let report = fuzz(domain, count, seed)?;
        let asked = 100.0 * report.wrong.asked as f64 / report.wrong.made.max(1) as f64;
        let (precision, recall) = (100.0 * report.precision(), 100.0 * report.recall());
        println!("| {domain} | {count} | {precision:.2} % | {recall:.2} % | {asked:.1} % |");
        mistakes.extend(report.mistakes.into_iter().map(|m| (*domain, m)));
    }
    for (domain, mistake) in mistakes {
        println!("{domain}: {mistake:?}");
    }
    Ok(())
}
