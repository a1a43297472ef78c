//! Exact values of losses and metrics, and what is refused.

use glmv_rl::Error;
use glmv_rl::objective::{BatchSize, Method, ObjectiveConfig, Sample, k3};

use crate::support::{Batch, batch, objectives, run, samples, size};

#[test]
fn f32_slices_give_the_f64_result_of_their_values() {
    let objective = ObjectiveConfig::default().resolve().expect("allowed");
    let logprobs = [-0.5_f32, -1.25];
    let wide = logprobs.map(f64::from);
    fn one<'a, T>(logprobs: &'a [T], old: &'a [T]) -> [Sample<'a, T>; 1] {
        [Sample {
            logprobs,
            old,
            reference: None,
            entropy: None,
            mask: &[true, true],
            advantage: 0.5,
        }]
    }
    let size = BatchSize::of([2]);
    let narrow = objective
        .evaluate(&one(&logprobs, &[-0.5, -1.0]), &size)
        .expect("finite");
    let wide = objective
        .evaluate(&one(&wide, &[-0.5, -1.0]), &size)
        .expect("finite");
    assert_eq!(narrow, wide);
    assert_eq!(narrow.dlogp[0][0], -0.25);
}

#[test]
fn gspo_has_one_ratio_per_sequence() {
    let config = ObjectiveConfig {
        method: Method::Gspo,
        ..ObjectiveConfig::default()
    };
    let objective = config.resolve().expect("allowed");
    let run = |delta: f64, advantage: f64| {
        let sample = Sample {
            logprobs: &[-1.0 + delta, -2.0 - delta],
            old: &[-1.0, -2.0],
            reference: None,
            entropy: None,
            mask: &[true, true],
            advantage,
        };
        objective
            .evaluate(&[sample], &BatchSize::of([2]))
            .expect("finite")
    };
    // The two ratios cancel, however far apart.
    let outcome = run(2.0, 1.0);
    assert_eq!((outcome.loss, outcome.metrics.clip_fraction()), (-1.0, 0.0));
    assert_eq!(outcome.dlogp, [[-0.5, -0.5]]);
}

#[test]
fn nothing_counted_is_zero() {
    for (method, kind, objective) in objectives() {
        let mut data = batch(6, 0.3);
        data.mask.iter_mut().for_each(|mask| mask.fill(false));
        // What is not counted may hold anything.
        data.logprobs[0][0] = f64::NAN;
        let outcome = run(&objective, &data);
        assert_eq!(outcome.loss, 0.0, "{method:?} {kind:?}");
        assert!(outcome.dlogp.concat().iter().all(|&g| g == 0.0));
        assert_eq!(
            (outcome.metrics.empty_samples, outcome.metrics.old_k3()),
            (5, None)
        );
    }
}

#[test]
fn bad_numbers_and_lists_name_their_place() {
    let config = ObjectiveConfig {
        kl: 0.1,
        ..ObjectiveConfig::default()
    };
    let objective = config.resolve().expect("allowed");
    let data = batch(7, 0.3);
    let fail = |change: &dyn Fn(&mut Batch)| {
        let mut data = data.clone();
        change(&mut data);
        objective
            .evaluate(&samples(&data), &size(&data))
            .expect_err("a fault")
            .to_string()
    };
    let error = fail(&|d| d.old[3][2] = f64::NAN);
    assert!(
        error.contains("old log-probability of sample 3, token 2 is NaN"),
        "{error}"
    );
    let error = fail(&|d| d.advantages[1] = f64::INFINITY);
    assert!(error.contains("advantage of sample 1"), "{error}");
    let error = fail(&|d| {
        d.reference[0].pop();
    });
    assert!(
        error.contains("reference log-probability of sample 0: 4 values"),
        "{error}"
    );
    // A ratio that overflows where the clip does not hold it (A < 0).
    let error = fail(&|d| d.old[1][0] = -1e9);
    assert!(error.contains("surrogate of sample 1, token 0"), "{error}");
}

#[test]
fn a_term_needs_its_values() {
    let config = |kl, entropy| ObjectiveConfig {
        kl,
        entropy,
        ..ObjectiveConfig::default()
    };
    let data = batch(7, 0.3);
    let bare: Vec<Sample<'_, f64>> = samples(&data)
        .into_iter()
        .map(|s| Sample {
            reference: None,
            entropy: None,
            ..s
        })
        .collect();
    let run = |config: ObjectiveConfig| {
        let objective = config.resolve().expect("allowed");
        objective
            .evaluate(&bare, &size(&data))
            .map(|outcome| outcome.metrics.entropy())
    };
    let missing = |what, needed_by| {
        Err(Error::Missing {
            what,
            sample: 0,
            needed_by,
        })
    };
    assert_eq!(
        run(config(0.1, 0.0)),
        missing("reference log-probability", "kl")
    );
    assert_eq!(run(config(0.0, 0.1)), missing("entropy", "entropy"));
    assert_eq!(run(config(0.0, 0.0)), Ok(None));
}

#[test]
fn metrics_are_exact() {
    let config = ObjectiveConfig::default().resolve().expect("allowed");
    let ln2 = 2_f64.ln();
    let sample = Sample {
        logprobs: &[-1.0, -1.0, -9.0],
        old: &[-1.0 - ln2, -1.0 + 2.0 * ln2, 0.0],
        reference: Some(&[-1.0, -1.0 + ln2, 0.0]),
        entropy: Some(&[0.5, 1.5, 9.0]),
        mask: &[true, true, false],
        advantage: 1.0,
    };
    let metrics = config
        .evaluate(&[sample], &BatchSize::of([2]))
        .expect("finite")
        .metrics;
    let close = |got: Option<f64>, want: f64| {
        let got = got.expect("tokens");
        assert!((got - want).abs() < 1e-12, "{got} {want}");
    };
    assert_eq!(
        (metrics.clip_fraction_low(), metrics.clip_fraction_high()),
        (0.0, 0.5)
    );
    assert!((metrics.ratio_max - 2.0).abs() < 1e-12);
    close(metrics.ratio_mean(), 1.125);
    close(metrics.old_k1(), ln2 / 2.0);
    close(metrics.old_k3(), (k3(ln2) + k3(-2.0 * ln2)) / 2.0);
    close(metrics.reference_k1(), -ln2 / 2.0);
    close(metrics.reference_k3(), (1.0 - ln2) / 2.0);
    close(metrics.entropy(), 1.0);
    assert!(
        (k3(1e-5) - 5.000_016_666e-11).abs() < 1e-18,
        "small differences keep their digits"
    );
}

#[test]
fn settings_outside_their_range_are_errors() {
    let fail = |config: ObjectiveConfig| config.resolve().expect_err("not allowed").to_string();
    let base = ObjectiveConfig::default();
    assert!(
        fail(ObjectiveConfig {
            clip_low: Some(1.5),
            ..base
        })
        .contains("clip_low = 1.5")
    );
    assert!(
        fail(ObjectiveConfig {
            clip_high: Some(f64::NAN),
            ..base
        })
        .contains("clip_high")
    );
    assert!(fail(ObjectiveConfig { kl: -1.0, ..base }).contains("objective.kl = -1"));
    let dr = ObjectiveConfig {
        method: Method::DrGrpo,
        ..base
    };
    assert!(fail(dr).contains("constant_length"));
    assert!(
        fail(ObjectiveConfig {
            constant_length: Some(4),
            ..base
        })
        .contains("absent")
    );
}
