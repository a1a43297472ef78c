//! No text makes a verdict panic, hang or eat memory.

use glmv_reward::domain::{DOMAINS, Domain};
use glmv_reward::{Scorer, grammar, lab::CaseFile};
use proptest::prelude::*;
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest a verdict may take.
const LIMIT: Duration = Duration::from_millis(50);
const MEGABYTE: usize = 1 << 20;

/// A truth that the domain reads.
fn truth(domain: &Domain) -> &'static str {
    match domain.name {
        "grounding" | "gui_grounding" => "[[100, 100, 200, 200]]",
        "gui_mobile" => {
            r#"{"action_type": "input_text", "text": "abc", "box_2d": [[1, 2, 30, 40]]}"#
        }
        "gui_computer" => "type(content='abc')",
        "gui_web" => "TYPE(point=(1, 2), text='abc')",
        "temporal_grounding" => "[5, 10]",
        "geo_guess" => r#"{"place_name": "P", "address": "A"}"#,
        _ => "42",
    }
}

/// Time of the processor on this thread where the system tells it (Linux), else of the clock.
fn now(start: Instant) -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = spent.and_then(|s| s.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// The fastest of three runs; other programs on a busy machine do not count.
fn time(run: impl Fn()) -> Duration {
    let start = Instant::now();
    let once = || {
        let before = now(start);
        run();
        now(start) - before
    };
    once().min(once()).min(once())
}

fn check(text: &str, what: &str) {
    let completion = format!("<think>t</think><|begin_of_box|>{text}<|end_of_box|>");
    for domain in DOMAINS {
        let scorer = Scorer::of_domain(domain.name).expect("a domain");
        for input in [text, &completion] {
            let spent = time(|| {
                let verdict = scorer
                    .completion(input, truth(domain))
                    .expect("a good truth");
                assert!(verdict.reward.is_none_or(|r| (0.0..=1.0).contains(&r)));
            });
            assert!(
                spent < LIMIT,
                "{} took {spent:?} as completion for {what}",
                domain.name
            );
        }
        let spent = time(|| {
            let verdict = scorer.answer(text, truth(domain)).expect("a good truth");
            assert!(verdict.reward.is_none_or(|r| (0.0..=1.0).contains(&r)));
            assert!(text.chars().count() <= grammar::MAX_ANSWER_CHARS || !verdict.format_ok);
        });
        assert!(
            spent < LIMIT,
            "{} took {spent:?} as answer for {what}",
            domain.name
        );
    }
}

/// Texts that are cheap to write and dear to read carelessly; replayed at every run.
const CORPUS: [&str; 44] = [
    "(",
    "[",
    "{",
    "((((",
    "\\frac{",
    "\\sqrt",
    "\\sqrt[",
    "^",
    "2^",
    "-",
    "--",
    "!",
    "1!",
    "√",
    "|",
    "1,",
    "1,000,",
    "1e9",
    "9**",
    "10**10**9",
    "a_",
    "\\left(",
    "x=",
    "1<",
    "or ",
    "\\pm",
    "∪",
    "[1,2],",
    "{\"a\":",
    "'\\'",
    "<",
    "<think>",
    "</think>",
    "<|begin_of_box|>",
    "<|end_of_box|>",
    "\\boxed{",
    "click(a='",
    "0:",
    "中",
    "é",
    "\u{202e}",
    "\u{0}",
    "🦀",
    "A. ",
];

#[test]
fn the_corpus_is_harmless_short_long_and_huge() {
    for seed in CORPUS {
        check(seed, seed);
        for size in [600, 19_000, MEGABYTE] {
            let times = size / seed.len();
            check(&seed.repeat(times), &format!("{seed:?} x {times}"));
        }
    }
}

#[test]
fn two_long_texts_are_compared_in_time() {
    for (a, b) in [
        ("ab", "ba"),
        ("中文", "文中国"),
        ("a b,", "x;y "),
        ("0", "1"),
    ] {
        let (a, b) = (
            a.repeat(20_000 / a.chars().count()),
            b.repeat(20_000 / b.chars().count()),
        );
        for domain in DOMAINS {
            let scorer = Scorer::of_domain(domain.name).expect("a domain");
            let spent = time(|| {
                let _ = scorer.answer(&a, &b);
            });
            assert!(spent < LIMIT, "{} took {spent:?}", domain.name);
        }
    }
}

#[test]
fn an_answer_that_is_too_long_is_a_format_failure_with_a_reason() {
    let scorer = Scorer::of_domain("ocr").expect("a domain");
    let long = "字".repeat(20_001);
    let verdict = scorer.answer(&long, "字").expect("a good truth");
    assert_eq!((verdict.reward, verdict.format_ok), (Some(0.0), false));
    assert!(verdict.why.contains("20000"), "{}", verdict.why);
    assert!(
        scorer.answer("字", &long).is_err(),
        "and such a truth is bad data"
    );
}

#[test]
fn deep_nesting_of_a_case_file_is_an_error() {
    let deep = "[".repeat(200_000);
    let file = CaseFile::parse(&deep, "f").expect("one bad line");
    assert!(file.rows.iter().all(Result::is_err));
    assert!(CaseFile::read(Path::new("no such file")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_answer_to_any_truth(at in 0..DOMAINS.len(), parts in prop::collection::vec((0..CORPUS.len(), "\\PC{0,6}"), 0..12), truth in "\\PC{1,30}") {
        let text: String = parts.iter().map(|(i, s)| format!("{}{s}", CORPUS[*i])).collect();
        let scorer = Scorer::of_domain(DOMAINS[at].name).expect("a domain");
        for verdict in [scorer.answer(&text, &truth), scorer.completion(&text, &truth), scorer.answer(&truth, &text)].into_iter().flatten() {
            prop_assert!(verdict.reward.is_none_or(|r| (0.0..=1.0).contains(&r)));
            prop_assert_eq!(verdict.needs_judge, verdict.reward.is_none());
        }
    }

    #[test]
    fn bytes_of_every_kind(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        for domain in DOMAINS {
            let scorer = Scorer::of_domain(domain.name).expect("a domain");
            let _ = scorer.answer(&text, "42");
        }
    }
}
