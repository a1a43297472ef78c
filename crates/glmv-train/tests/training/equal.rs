//! What must not change a gradient: packing, accumulation, recompute. What must: a sample more.

use crate::support::{MODELS, devices, distance, learner, micros, samples, sum};
use glmv_model::Glm4v;
use glmv_train::{Balance, Grads, PassOptions, Recompute, Sample, Scores, scores};

/// Relative to the largest value of a gradient.
const TOLERANCE: f32 = 1e-5;
const LENGTHS: [usize; 4] = [9, 14, 5, 20];

fn options(recompute: Recompute, balance: Balance) -> PassOptions {
    PassOptions {
        recompute,
        balance,
        share: 1.0,
        dropout: None,
    }
}

fn plain() -> PassOptions {
    options(Recompute::None, Balance::default())
}

/// Runs `check` for both families on every device.
fn each(check: impl Fn(&Glm4v, &[Sample])) {
    for device in devices() {
        for name in MODELS {
            let model = learner(name, &device);
            check(&model, &samples(&model, &LENGTHS));
        }
    }
}

fn close(model: &Glm4v, what: &str, a: &Grads, b: &Grads) {
    let (far, path) = distance(model, a, b);
    assert!(far <= TOLERANCE, "{what}: {far:e} at {path}");
}

#[test]
fn packed_and_accumulated_equal_one_by_one() {
    each(|model, samples| {
        let alone: Vec<&[Sample]> = samples.chunks(1).collect();
        let (one_by_one, _) = sum(model, &micros(model, &alone), &plain());
        let (packed, _) = sum(model, &micros(model, &[samples]), &plain());
        close(model, "packed", &packed, &one_by_one);
        let halves: Vec<&[Sample]> = samples.chunks(2).collect();
        let (halves, _) = sum(model, &micros(model, &halves), &plain());
        close(model, "accumulated", &halves, &one_by_one);
        // The check sees a sample less.
        let (fewer, _) = sum(model, &micros(model, &[&samples[1..]]), &plain());
        assert!(distance(model, &fewer, &one_by_one).0 > 0.01);
    });
}

#[test]
fn recomputed_equals_kept() {
    each(|model, samples| {
        let micros = micros(model, &[samples]);
        let (kept, a) = sum(model, &micros, &plain());
        let (again, b) = sum(
            model,
            &micros,
            &options(Recompute::Layer, Balance::default()),
        );
        close(model, "recomputed", &again, &kept);
        let same = |a: &Scores, b: &Scores| {
            let pairs = a.logprobs.iter().zip(&b.logprobs);
            a.logprobs.len() == b.logprobs.len() && pairs.clone().all(|(a, b)| (a - b).abs() < 2e-5)
        };
        assert!(same(&a[0].scores, &b[0].scores));
        let alone = scores(model, &micros[0]).unwrap();
        assert!(same(&alone, &a[0].scores));
    });
}

#[test]
fn balance_losses_reach_the_routers_and_nothing_else_changes_kind() {
    let balance = Balance {
        sequence: 0.5,
        softmax: 0.5,
        bias_rate: 0.0,
    };
    for device in devices() {
        let model = learner("glm4v_moe-f32", &device);
        let samples = samples(&model, &LENGTHS);
        let micros = micros(&model, &[&samples]);
        let (without, _) = sum(&model, &micros, &plain());
        let (kept, a) = sum(&model, &micros, &options(Recompute::None, balance));
        let (again, b) = sum(&model, &micros, &options(Recompute::Layer, balance));
        close(&model, "recomputed with balance", &again, &kept);
        let (far, _) = distance(&model, &without, &kept);
        assert!(far > 1e-3, "the losses must show, {far:e}");
        let top_k = model.config().text.moe.as_ref().unwrap().top_k as u64;
        for outcome in [&a[0], &b[0]] {
            assert!(outcome.softmax_loss.unwrap() > 0.9);
            for load in &outcome.loads {
                let tokens = micros[0].tokens() as u64;
                assert_eq!(load.iter().sum::<u64>(), tokens * top_k);
            }
        }
    }
}
