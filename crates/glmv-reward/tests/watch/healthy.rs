//! Runs in which nothing is wrong, over many seeds: the rate of false alarms is bounded.

use crate::log::{PLAIN, Style, Truth, learning, log};
use crate::{first, watch};

/// Share of runs with any alarm.
fn false_alarms(runs: u64, style: Style, truth: impl Fn(u64) -> Truth + Copy) -> f64 {
    let mut alarmed = 0_u64;
    for seed in 0..runs {
        let report = watch(&log(seed, style, truth));
        if let Some(alarm) = first(&report) {
            println!("seed {seed}: {alarm}");
            alarmed += 1;
        }
    }
    alarmed as f64 / runs as f64
}

#[test]
fn runs_that_learn_raise_hardly_any_alarm() {
    let rate = false_alarms(200, PLAIN, learning);
    assert!(rate <= 0.01, "{rate}");
}

#[test]
fn correlated_and_loud_noise_is_no_hack() {
    let correlated = Style {
        correlation: 0.6,
        ..PLAIN
    };
    let rate = false_alarms(100, correlated, learning);
    assert!(rate <= 0.03, "{rate}");
    let loud = Style {
        noise: 2.0,
        ..PLAIN
    };
    let rate = false_alarms(100, loud, learning);
    assert!(rate <= 0.02, "{rate}");
}

#[test]
fn rare_held_out_values_are_no_hack() {
    let rare = Style {
        held_out_every: 10,
        ..PLAIN
    };
    let rate = false_alarms(100, rare, learning);
    assert!(rate <= 0.01, "{rate}");
}

#[test]
fn a_plateau_is_no_hack() {
    let rate = false_alarms(100, PLAIN, |_| learning(300));
    assert!(rate <= 0.01, "{rate}");
}

#[test]
fn an_accuracy_that_cannot_rise_any_more_is_no_hack() {
    // Greedy answers are all right long before sampled ones are.
    let sampled = |step| Truth {
        reward: learning(step).reward + 0.25,
        held_out: 0.99,
        ..learning(step)
    };
    let rate = false_alarms(100, PLAIN, sampled);
    assert!(rate <= 0.01, "{rate}");
}

#[test]
fn a_reward_that_falls_or_an_accuracy_that_runs_ahead_is_no_hack() {
    let falls = |step| Truth {
        reward: 0.7 - 0.0005 * step as f64,
        held_out: 0.5 - 0.0005 * step as f64,
        ..learning(300)
    };
    assert!(false_alarms(40, PLAIN, falls) <= 0.02);
    let ahead = |step| Truth {
        held_out: 0.2 + 1.5 * (learning(step).reward - 0.3),
        ..learning(step)
    };
    assert!(false_alarms(40, PLAIN, ahead) <= 0.02);
}

#[test]
fn thinking_that_grows_with_accuracy_is_what_training_is_for() {
    let grows = |step: u64| Truth {
        length: 300.0 * (step as f64 / 150.0).exp2(), // doubles every 150 steps, six-fold in all
        reward: 0.2 + 0.0015 * step as f64,
        held_out: 0.2 + 0.001 * step as f64,
        ..learning(step)
    };
    assert!(false_alarms(40, PLAIN, grows) <= 0.02);
}
