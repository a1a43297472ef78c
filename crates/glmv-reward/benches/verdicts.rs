//! Rule verdicts per second on one core, short answers; whole completions and extracted answers.
//!
//! Time is that of the processor where the system tells it (Linux), so that other programs on the
//! machine do not count; else that of the clock. `cargo bench -p glmv-reward`

use glmv_reward::Scorer;
use std::hint::black_box;
use std::time::Instant;

const ANSWERS: [(&str, &str, &str); 20] = [
    ("math", "42", "42.0"),
    ("math", "\\frac{1}{2}", "0.5"),
    ("math", "(x+1)^2", "x^2+2x+1"),
    ("math", "\\{1, 2, 3\\}", "{3,2,1}"),
    ("physics", "9.8 m/s^2", "9.80 m/s²"),
    ("physics", "1e3", "1000"),
    ("chemistry", "H₂O", "H2O"),
    ("chart", "1,234", "1234"),
    ("chart", "2010", "2011"),
    ("counting", "seven", "7"),
    ("counting", "a correct number between 0 and 10", "7"),
    ("vqa", "Red car.", "red car"),
    ("vqa", "B", "C"),
    ("spatial", "50 %", "0.5"),
    ("geography", "长江、黄河", "黄河,长江"),
    ("ocr", "Price: $99.99", "Price: $100.00"),
    ("grounding", "[[100,100,200,200]]", "[[110,100,210,200]]"),
    (
        "gui_computer",
        "left_click(start_box='[110, 190]')",
        "left_click(start_box='[100, 200]')",
    ),
    (
        "gui_web",
        "CLICK(point=(214, 100))",
        "CLICK(point=(214, 100))",
    ),
    ("temporal_grounding", "00:05 - 00:15", "[5, 16]"),
];
const ROUNDS: usize = 20_000;

/// Seconds this thread has run, or seconds since the first call.
fn seconds(start: Instant) -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = spent.and_then(|s| s.split(' ').next()?.parse::<u64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns as f64 / 1e9)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut total = 0.0;
    println!("{:<20}{:>14}{:>16}", "domain", "answers/s", "completions/s");
    for (domain, answer, truth) in ANSWERS {
        let scorer = Scorer::of_domain(domain)?;
        let completion = format!(
            "<think>The picture shows it, as far as I can see.</think>\nIt is <|begin_of_box|>{answer}<|end_of_box|>."
        );
        scorer.completion(&completion, truth)?;
        let before = seconds(start);
        for _ in 0..ROUNDS {
            black_box(scorer.answer(black_box(answer), black_box(truth))?);
        }
        let answers = seconds(start) - before;
        let before = seconds(start);
        for _ in 0..ROUNDS {
            black_box(scorer.completion(black_box(&completion), black_box(truth))?);
        }
        let completions = seconds(start) - before;
        total += completions;
        let rate = |seconds: f64| ROUNDS as f64 / seconds;
        println!(
            "{domain:<20}{:>14.0}{:>16.0}",
            rate(answers),
            rate(completions)
        );
    }
    let all = (ROUNDS * ANSWERS.len()) as f64 / total;
    println!("all together: {all:.0} completions per second on one core");
    Ok(())
}
