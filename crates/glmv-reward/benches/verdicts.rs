//! Rule verdicts per second on one core, short answers; whole completions and extracted answers.
//!
//! `cargo bench -p glmv-reward`

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
const ROUNDS: usize = 5_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut total = 0.0;
    println!("{:<20}{:>14}{:>16}", "domain", "answers/s", "completions/s");
    for (domain, answer, truth) in ANSWERS {
        let scorer = Scorer::of_domain(domain)?;
        let completion = format!(
            "<think>The picture shows it, as far as I can see.</think>\nIt is <|begin_of_box|>{answer}<|end_of_box|>."
        );
        scorer.completion(&completion, truth)?;
        let clock = Instant::now();
        for _ in 0..ROUNDS {
            black_box(scorer.answer(black_box(answer), black_box(truth))?);
        }
        let answers = clock.elapsed().as_secs_f64();
        let clock = Instant::now();
        for _ in 0..ROUNDS {
            black_box(scorer.completion(black_box(&completion), black_box(truth))?);
        }
        let completions = clock.elapsed().as_secs_f64();
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
