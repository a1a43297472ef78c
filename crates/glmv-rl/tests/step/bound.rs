//! The check before the first update: figures, refusals, and that a small fault is caught.

use glmv_rl::Error;
use glmv_rl::bound::{Bound, BoundConfig, StepZero};

fn measured(difference: f64) -> StepZero {
    let rollout: Vec<f64> = (0..50).map(|t| -0.1 * f64::from(t)).collect();
    let mut trainer = rollout.clone();
    trainer[20] += difference;
    trainer[30] = f64::NAN;
    let mask: Vec<bool> = (0..50).map(|t| t != 30).collect();
    let mut zero = StepZero::default();
    zero.take(0, &rollout, &rollout, &[true; 50])
        .expect("finite");
    zero.take(1, &rollout, &trainer, &mask)
        .expect("the NaN does not count");
    zero
}

#[test]
fn equal_numbers_pass_and_figures_are_exact() {
    measured(0.0).check(&Bound::F32).expect("equal");
    let zero = measured(1e-3);
    assert_eq!((zero.tokens, zero.sample, zero.token), (99, 1, 20));
    assert!((zero.max_difference - 1e-3).abs() < 1e-15);
    let want = (1e-3_f64.exp_m1() - 1e-3) / 99.0;
    assert!((zero.mean_kl().expect("tokens") - want).abs() < 1e-18);
}

#[test]
fn each_bound_refuses_with_its_figures() {
    // One token 2e-4 off: the mean KL is far below its bound, the largest difference is not.
    let error = measured(2e-4).check(&Bound::F32).expect_err("beyond 1e-4");
    let words = error.to_string();
    for word in [
        "2.000e-4",
        "bound 1.0e-4",
        "sample 1, token 20",
        "99 tokens",
    ] {
        assert!(words.contains(word), "{words}: {word}");
    }
    measured(2e-4)
        .check(&Bound::REDUCED)
        .expect("within 1e-4 in the mean");
    let error = measured(-0.2)
        .check(&Bound::REDUCED)
        .expect_err("a mean beyond 1e-4");
    let Error::Mismatch {
        mean_kl,
        bound_max_difference,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert!(mean_kl > 1e-4 && bound_max_difference == "none");
    // Every token off by less than the largest difference, but the mean is too much.
    let mut zero = StepZero::default();
    let trainer: Vec<f32> = (0..9).map(|_| -1.0 + 9e-4).collect();
    zero.take(0, &[-1.0; 9], &trainer, &[true; 9])
        .expect("finite");
    let wide = Bound {
        mean_kl: 1e-8,
        max_difference: Some(1e-2),
    };
    assert!(matches!(zero.check(&wide), Err(Error::Mismatch { .. })));
}

#[test]
fn nothing_measured_and_bad_input_are_errors() {
    let nothing = StepZero::default().check(&Bound::F32);
    assert!(matches!(nothing, Err(Error::NothingMeasured { .. })));
    let mut zero = StepZero::default();
    let error = zero.take(4, &[-1.0_f32, f32::NAN], &[-1.0, -1.0], &[true, true]);
    assert!(
        matches!(
            error,
            Err(Error::NotFinite {
                sample: 4,
                token: 1,
                ..
            })
        ),
        "{error:?}"
    );
    assert!(
        zero.take(0, &[-1.0_f32], &[-1.0, -1.0], &[true, true])
            .is_err()
    );
    assert_eq!(zero, StepZero::default(), "an error adds nothing");
}

#[test]
fn the_recipe_may_change_the_bound() {
    let config = BoundConfig {
        mean_kl: Some(1e-6),
        max_difference: None,
    };
    let f32 = config.resolve(true).expect("allowed");
    assert_eq!((f32.mean_kl, f32.max_difference), (1e-6, Some(1e-4)));
    assert_eq!(
        BoundConfig::default().resolve(false).expect("allowed"),
        Bound::REDUCED
    );
    assert!(
        BoundConfig {
            mean_kl: Some(0.0),
            max_difference: None
        }
        .resolve(true)
        .is_err()
    );
}
