//! Derivatives of every method against finite differences, averages of micro-steps against the
//! batch's, errors, and metrics.

use glmv_rl::Error;
use glmv_rl::objective::{
    AggregationKind, BatchSize, Method, Objective, ObjectiveConfig, Outcome, Sample, k3,
};
use glmv_sampling::SplitMix64;

/// A batch with lengths 5, 1, 0 and 7, masks with holes and advantages of both signs and 0.
#[derive(Clone)]
struct Batch {
    logprobs: Vec<Vec<f64>>,
    old: Vec<Vec<f64>>,
    reference: Vec<Vec<f64>>,
    entropy: Vec<Vec<f64>>,
    mask: Vec<Vec<bool>>,
    advantages: Vec<f64>,
}

fn batch(seed: u64, spread: f64) -> Batch {
    let mut rng = SplitMix64::new(seed);
    let lengths = [5, 1, 0, 7, 3];
    let mut rows = |low: f64, width: f64| -> Vec<Vec<f64>> {
        let mut row = |n: usize| (0..n).map(|_| low + width * rng.next_unit()).collect();
        lengths.iter().map(|&n| row(n)).collect()
    };
    let old = rows(-3.0, 2.5);
    let delta = rows(-spread, 2.0 * spread);
    let add = |a: &[Vec<f64>], b: &[Vec<f64>]| -> Vec<Vec<f64>> {
        let row = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| a + b).collect();
        a.iter().zip(b).map(row).collect()
    };
    Batch {
        logprobs: add(&old, &delta),
        reference: add(&old, &rows(-0.4, 0.8)),
        entropy: rows(0.1, 2.0),
        mask: lengths
            .iter()
            .map(|&n| (0..n).map(|t| t % 3 != 1).collect())
            .collect(),
        advantages: vec![0.8, -1.2, 1.0, -0.5, 0.0],
        old,
    }
}

fn samples(batch: &Batch) -> Vec<Sample<'_, f64>> {
    let sample = |i: usize| Sample {
        logprobs: &batch.logprobs[i],
        old: &batch.old[i],
        reference: Some(&batch.reference[i]),
        entropy: Some(&batch.entropy[i]),
        mask: &batch.mask[i],
        advantage: batch.advantages[i],
    };
    (0..batch.mask.len()).map(sample).collect()
}

fn size(batch: &Batch) -> BatchSize {
    BatchSize::of_masks(batch.mask.iter().map(Vec::as_slice))
}

fn run(objective: &Objective, batch: &Batch) -> Outcome {
    objective
        .evaluate(&samples(batch), &size(batch))
        .expect("finite")
}

const METHODS: [Method; 5] = [
    Method::Grpo,
    Method::Dapo,
    Method::DrGrpo,
    Method::Gspo,
    Method::Cispo,
];
const KINDS: [AggregationKind; 4] = [
    AggregationKind::PerSample,
    AggregationKind::PerSampleAll,
    AggregationKind::PerToken,
    AggregationKind::ConstantLength,
];

/// Every method with every average, with KL and entropy.
fn objectives() -> Vec<(Method, AggregationKind, Objective)> {
    let mut all = Vec::new();
    for method in METHODS {
        for kind in KINDS {
            let config = ObjectiveConfig {
                method,
                aggregation: Some(kind),
                constant_length: (kind == AggregationKind::ConstantLength).then_some(9),
                kl: 0.3,
                entropy: 0.05,
                ..ObjectiveConfig::default()
            };
            all.push((method, kind, config.resolve().expect("allowed")));
        }
    }
    all
}

/// Largest |derivative - finite difference| over all log-probabilities; the loss as a function
/// has CISPO's weight as a constant, so there `frozen` holds the ratio still.
fn worst(objective: &Objective, batch: &Batch, is_frozen: bool) -> f64 {
    const STEP: f64 = 1e-6;
    let base = run(objective, batch);
    let mut worst = 0.0_f64;
    for i in 0..batch.mask.len() {
        for t in 0..batch.mask[i].len() {
            let at = |step: f64| {
                let mut moved = batch.clone();
                moved.logprobs[i][t] += step;
                if is_frozen {
                    moved.old[i][t] += step;
                }
                run(objective, &moved).loss
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            worst = worst.max((base.dlogp[i][t] - slope).abs());
        }
    }
    worst
}

#[test]
fn derivatives_match_finite_differences() {
    for (method, kind, objective) in objectives() {
        for (seed, spread) in [(1, 0.4), (2, 0.05), (3, 1.5)] {
            let found = worst(&objective, &batch(seed, spread), method == Method::Cispo);
            assert!(found < 1e-8, "{method:?} {kind:?} seed {seed}: {found:e}");
        }
    }
}

/// The control: a derivative that ignores the clip, or CISPO's taken through its weight, is noticed.
#[test]
fn wrong_derivatives_are_noticed() {
    let objective = |method, clip| {
        let config = ObjectiveConfig {
            method,
            clip_low: Some(clip),
            clip_high: Some(clip),
            ..ObjectiveConfig::default()
        };
        config.resolve().expect("allowed")
    };
    let data = batch(1, 0.4);
    assert!(worst(&objective(Method::Cispo, 1.0), &data, false) > 1e-3);
    let clipped = run(&objective(Method::Grpo, 0.1), &data);
    let open = run(&objective(Method::Grpo, 1.0), &data);
    let difference = |a: &Outcome, b: &Outcome| -> f64 {
        let (a, b) = (a.dlogp.concat(), b.dlogp.concat());
        a.iter()
            .zip(&b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max)
    };
    assert!(clipped.metrics.clipped_low + clipped.metrics.clipped_high > 0);
    assert!(difference(&clipped, &open) > 1e-3);
}

#[test]
fn entropy_weights_are_the_derivative_by_the_entropy() {
    for (method, kind, objective) in objectives() {
        let mut data = batch(4, 0.2);
        let base = run(&objective, &data);
        data.entropy[3][2] += 1.0;
        let found = run(&objective, &data).loss - base.loss;
        assert!(
            (found - base.dentropy[3][2]).abs() < 1e-12,
            "{method:?} {kind:?}"
        );
        assert!(base.dentropy[3][2] < 0.0, "more entropy is less loss");
        assert_eq!(base.dentropy[3][1], 0.0, "a token that does not count");
    }
}

/// Shares of the whole batch's size add up, and so do parts averaged over themselves and weighed.
#[test]
fn parts_add_up_to_the_batch() {
    for (method, kind, objective) in objectives() {
        let data = batch(5, 0.4);
        let (all, whole) = (samples(&data), size(&data));
        let expected = run(&objective, &data);
        let (mut added, mut weighed) = (0.0, 0.0);
        let mut metrics = glmv_rl::objective::Metrics::default();
        let mut gradients = Vec::new();
        for part in [&all[..2], &all[2..3], &all[3..]] {
            let counted = BatchSize::of_masks(part.iter().map(|s| s.mask));
            let direct = objective.evaluate(part, &whole).expect("finite");
            let own = objective.evaluate(part, &counted).expect("finite");
            let share = objective.aggregation.share(&counted, &whole);
            added += direct.loss;
            weighed += share * own.loss;
            metrics.merge(&direct.metrics);
            for (a, b) in direct.dlogp.concat().iter().zip(own.dlogp.concat()) {
                assert!(
                    (a - share * b).abs() < 1e-15,
                    "{method:?} {kind:?}: {a} {b}"
                );
            }
            gradients.extend(direct.dlogp);
        }
        assert!((added - expected.loss).abs() < 1e-12, "{method:?} {kind:?}");
        assert!(
            (weighed - expected.loss).abs() < 1e-12,
            "{method:?} {kind:?}"
        );
        assert_eq!(gradients, expected.dlogp, "{method:?} {kind:?}");
        assert_eq!(metrics.tokens, expected.metrics.tokens);
        let (merged, whole) = (metrics.old_k3(), expected.metrics.old_k3());
        assert!((merged.expect("tokens") - whole.expect("tokens")).abs() < 1e-12);
    }
}

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
    let bare: Vec<Sample<'_, f64>> = samples(&data)
        .into_iter()
        .map(|s| Sample {
            reference: None,
            ..s
        })
        .collect();
    let error = objective
        .evaluate(&bare, &size(&data))
        .expect_err("no reference");
    assert!(
        matches!(
            error,
            Error::Missing {
                sample: 0,
                needed_by: "kl",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn metrics_are_exact() {
    let config = ObjectiveConfig::default().resolve().expect("allowed");
    let ln2 = 2_f64.ln();
    let sample = Sample {
        logprobs: &[-1.0, -1.0, -9.0],
        old: &[-1.0 - ln2, -1.0 + ln2, 0.0],
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
    close(metrics.ratio_mean(), 1.25);
    close(metrics.old_k1(), 0.0);
    close(metrics.old_k3(), (k3(ln2) + k3(-ln2)) / 2.0);
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
