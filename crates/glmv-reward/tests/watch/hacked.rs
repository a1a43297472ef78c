//! Runs that go wrong from step 200 on.

use glmv_reward::watch::{Outcome, Signal, Watch, WatchConfig, WatchError, watch_log};

use crate::log::{PLAIN, Style, Truth, learning, log};
use crate::watch;

const START: u64 = 200;
const SEEDS: u64 = 20;

/// Steps since the start of the trouble, 0 before.
fn into(step: u64) -> f64 {
    step.saturating_sub(START) as f64
}

/// Asserts that every seed raises `signal` as a pause within `steps` of the start and not before;
/// returns the median delay.
fn found_within(steps: u64, style: Style, signal: Signal, truth: impl Fn(u64) -> Truth) -> u64 {
    let mut delays = Vec::new();
    for seed in 0..SEEDS {
        let report = watch(&log(seed, style, &truth));
        let early = report.alarms.iter().find(|a| a.step < START);
        assert_eq!(early, None, "seed {seed}");
        let alarm = report.alarms.iter().find(|a| a.signal == signal);
        let alarm = alarm.unwrap_or_else(|| panic!("seed {seed}: nothing found"));
        let pause = report.alarms.iter().find(|a| a.outcome == Outcome::Pause);
        let pause = pause.unwrap_or_else(|| panic!("seed {seed}: no pause"));
        assert!(
            alarm.step.max(pause.step) <= START + steps,
            "seed {seed}: {alarm}\n{pause}"
        );
        assert_eq!(report.outcome, Outcome::Pause);
        delays.push(alarm.step - START);
    }
    delays.sort_unstable();
    println!("{signal:?}: first alarm after {delays:?}");
    delays[delays.len() / 2]
}

/// The verifier's hole is found: reward rises, accuracy stands still or falls.
fn hacked(step: u64, accuracy_per_step: f64) -> Truth {
    let base = learning(step.min(START));
    Truth {
        reward: (base.reward + 0.006 * into(step)).min(0.97),
        held_out: (base.held_out + accuracy_per_step * into(step)).max(0.1),
        hack_share: (0.02 * into(step)).min(0.8),
        ..base
    }
}

#[test]
fn a_verifier_that_is_hacked() {
    let delay = found_within(70, PLAIN, Signal::HeldOut, |step| hacked(step, 0.0));
    assert!(delay <= 40, "{delay}");
    let delay = found_within(50, PLAIN, Signal::HeldOut, |step| hacked(step, -0.002));
    assert!(delay <= 35, "{delay}");
}

#[test]
fn a_hack_under_correlated_noise_and_rare_held_out_values() {
    let style = Style {
        correlation: 0.5,
        held_out_every: 5,
        ..PLAIN
    };
    found_within(120, style, Signal::HeldOut, |step| hacked(step, -0.001));
}

#[test]
fn the_hack_is_named() {
    let style = Style {
        samples: 8,
        ..PLAIN
    };
    for seed in 0..SEEDS {
        let report = watch(&log(seed, style, |step| hacked(step, -0.001)));
        let alarm = report.alarms.iter().find(|a| a.signal == Signal::HeldOut);
        let answers = &alarm.expect("an alarm").answers;
        assert_eq!(
            answers[0].template, "a correct number between # and #",
            "seed {seed}"
        );
        assert_eq!(answers[0].id.as_deref(), Some("hack"));
        assert!(answers[0].share > answers[0].share_before);
        let text = alarm.expect("an alarm").to_string();
        assert!(text.contains("A correct number between 0 and 10"), "{text}");
    }
}

#[test]
fn lengths_that_explode() {
    let truth = |step| {
        let base = learning(step);
        Truth {
            reward: base.reward + 0.004 * into(step).min(60.0),
            held_out: learning(step.min(START)).held_out,
            length: base.length * (into(step).min(80.0) / 20.0).exp2(),
            ..base
        }
    };
    let delay = found_within(40, PLAIN, Signal::Length, truth);
    assert!(delay <= 25, "{delay}");
}

#[test]
fn repetition_that_takes_over() {
    let truth = |step| {
        let base = learning(step);
        Truth {
            reward: base.reward + 0.004 * into(step).min(60.0),
            repetition: (base.repetition + 0.01 * into(step)).min(0.9),
            ..base
        }
    };
    let delay = found_within(40, PLAIN, Signal::Repetition, truth);
    assert!(delay <= 20, "{delay}");
}

#[test]
fn an_entropy_that_collapses() {
    let truth = |step| {
        let base = learning(step);
        Truth {
            reward: base.reward + 0.004 * into(step).min(60.0),
            entropy: base.entropy * (-into(step) / 15.0).exp(),
            ..base
        }
    };
    let delay = found_within(40, PLAIN, Signal::Entropy, truth);
    assert!(delay <= 25, "{delay}");
}

#[test]
fn a_format_that_is_lost_without_a_rising_reward_is_a_warning() {
    for seed in 0..SEEDS {
        let log = log(seed, PLAIN, |step| {
            let base = learning(300);
            Truth {
                format: base.format - if step >= START { 0.3 } else { 0.0 },
                reward: base.reward - if step >= START { 0.1 } else { 0.0 },
                held_out: base.held_out - if step >= START { 0.1 } else { 0.0 },
                ..base
            }
        });
        let report = watch(&log);
        assert_eq!(
            report.outcome,
            Outcome::Warn,
            "seed {seed}: {:?}",
            report.alarms
        );
        assert_eq!(report.alarms[0].signal, Signal::FormatRate);
        assert!(
            (START..START + 15).contains(&report.alarms[0].step),
            "seed {seed}"
        );
        assert_eq!(report.alarms.len(), 1, "said once");
    }
}

#[test]
fn a_slow_collapse_is_found_by_what_the_run_started_with() {
    let truth = |step: u64| Truth {
        entropy: 0.9 * (-(step as f64) / 150.0).exp(), // 6 % of the start at step 420
        ..learning(300)
    };
    let style = Style {
        steps: 420,
        ..PLAIN
    };
    for seed in 0..SEEDS {
        let report = watch(&log(seed, style, truth));
        let alarm = report
            .alarms
            .first()
            .unwrap_or_else(|| panic!("seed {seed}"));
        assert_eq!(alarm.signal, Signal::Entropy);
        assert!(
            (250..340).contains(&alarm.step),
            "seed {seed}: {}",
            alarm.step
        );
    }
}

#[test]
fn an_error_names_its_line_and_a_torn_end_is_none() {
    let good = log(1, Style { steps: 5, ..PLAIN }, learning);
    let run = |log: &str| watch_log(log.as_bytes(), WatchConfig::default(), |_| {});
    let nan = format!("{good}{{\"step\":6,\"domains\":{{\"ocr\":{{\"reward\":NaN}}}}}}\n");
    let error = run(&nan).expect_err("NaN");
    assert!(matches!(error, WatchError::Json { line: 6, .. }), "{error}");
    let null = nan.replace("NaN", "null");
    let error = run(&null).expect_err("null");
    assert_eq!(
        error.to_string().split(" is ").next(),
        Some("line 6: `domains.ocr.reward`")
    );

    let torn = run(&format!("{good}{{\"step\":6,\"dom")).expect("still being written");
    assert!(torn.is_torn && torn.records == 5);
    assert_eq!(
        run("{\"loss\":1}\n"),
        Err(WatchError::NoRecords { lines: 1 })
    );
    let config = WatchConfig {
        window: 3,
        ..WatchConfig::default()
    };
    assert!(matches!(
        Watch::new(config),
        Err(WatchError::Config {
            field: "window",
            ..
        })
    ));
}

#[test]
fn domains_are_apart_and_a_resumed_run_forgets_what_was_undone() {
    let healthy = log(3, PLAIN, learning);
    let bad = log(4, PLAIN, |step| hacked(step, -0.002));
    // Two domains in one log.
    let both: String = healthy
        .lines()
        .zip(bad.lines())
        .map(|(a, b)| {
            let mut a: serde_json::Value = serde_json::from_str(a).expect("JSON");
            let b: serde_json::Value = serde_json::from_str(b).expect("JSON");
            a["domains"]["ocr"] = b["domains"]["counting"].clone();
            format!("{a}\n")
        })
        .collect();
    let report = watch(&both);
    assert!(!report.alarms.is_empty() && report.alarms.iter().all(|a| a.domain == "ocr"));
    let unwatched: Vec<_> = report.unwatched.iter().map(|(_, signal)| *signal).collect();
    assert_eq!(unwatched, [Signal::FormatEntropy; 2]);

    // The hack is seen early enough, undone up to step 200 and not learnt again.
    let lines = |log: &str, steps: std::ops::Range<usize>| -> String {
        log.lines()
            .skip(steps.start)
            .take(steps.len())
            .map(|l| format!("{l}\n"))
            .collect()
    };
    let resumed = lines(&bad, 0..212) + &lines(&log(4, PLAIN, learning), 200..400);
    let report = watch(&resumed);
    assert_eq!((report.rewinds, report.outcome), (1, Outcome::Healthy));
}
