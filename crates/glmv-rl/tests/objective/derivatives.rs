//! Derivatives of every method against finite differences, and averages of micro-steps against the
//! batch's.

use glmv_rl::objective::{BatchSize, Method, Metrics, Objective, ObjectiveConfig, Outcome};

use crate::support::{Batch, batch, objectives, run, samples, size};

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
        let mut metrics = Metrics::default();
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
