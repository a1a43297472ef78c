//! Steps of the trainer.

use crate::support::{devices, load, micros, samples};
use glmv_kernels::device::read;
use glmv_train::{
    AdamWConfig, Balance, Decay, Error, Group, Groups, Part, Recompute, Schedule, Scores, Trainer,
    TrainerConfig,
};

pub fn config(steps: u64) -> TrainerConfig {
    TrainerConfig {
        steps,
        schedule: Schedule {
            rate: 1e-3,
            warmup: 2,
            decay: Decay::Cosine,
            floor: 0.1,
        },
        adamw: AdamWConfig::default(),
        groups: Groups::default(),
        balance: Balance {
            sequence: 1e-4,
            softmax: 0.0,
            bias_rate: 1e-3,
        },
        recompute: Recompute::Layer,
        recompute_vision: None,
        patience: 2,
    }
}

fn loss(scores: &Scores) -> f32 {
    -scores.logprobs.iter().sum::<f32>() / scores.logprobs.len() as f32
}

#[test]
fn the_loss_falls_and_frozen_parts_stay() {
    for device in devices() {
        let model = load("glm4v_moe-f32", &device);
        let mut config = config(12);
        config.groups.0.insert(
            Part::Vision,
            Group {
                freeze: true,
                ..Group::default()
            },
        );
        let before = read(model.visual.post_layernorm.val()).unwrap();
        let bias = |trainer: &Trainer| {
            let layers = &trainer.model().language_model.layers;
            let moe = layers.iter().find_map(|l| l.mlp.experts()).unwrap();
            read(moe.e_score_correction_bias.val().inner()).unwrap()
        };
        let mut trainer = Trainer::new(model, config).unwrap();
        let biases = bias(&trainer);
        let samples = samples(trainer.model(), &[12, 10, 8]);
        let micros = micros(trainer.model(), &[&samples[..2], &samples[2..]]);
        let counted: usize = micros.iter().map(|m| m.counted()).sum();
        let mut losses = Vec::new();
        for _ in 0..12 {
            let mut first = None;
            let report = trainer.step(&micros, &mut |index, scores| {
                if index == 0 {
                    first = Some(loss(scores));
                }
                Ok(vec![-1.0 / counted as f32; scores.logprobs.len()].into())
            });
            assert!(report.unwrap().applied);
            losses.extend(first);
        }
        assert!(losses[11] < 0.6 * losses[0], "{losses:?}");
        let after = read(trainer.policy().visual.post_layernorm.val()).unwrap();
        assert_eq!(before, after, "the frozen tower moved");
        assert_ne!(biases, bias(&trainer), "the routers' biases did not move");
    }
}

#[test]
fn steps_that_are_not_finite_change_nothing_and_end_the_run() {
    for device in devices() {
        let mut trainer = Trainer::new(load("glm4v-f32", &device), config(9)).unwrap();
        let samples = samples(trainer.model(), &[6]);
        let micros = micros(trainer.model(), &[&samples]);
        let weights = |t: &Trainer| read(t.policy().language_model.norm.val()).unwrap();
        let before = weights(&trainer);
        // Too large for f32 once it is squared.
        let mut huge = |_: usize, scores: &Scores| Ok(vec![1e30; scores.logprobs.len()].into());
        let report = trainer.step(&micros, &mut huge).unwrap();
        assert!(!report.applied && trainer.skipped() == [1, 1]);
        assert_eq!(before, weights(&trainer));
        assert_eq!(trainer.adamw().steps(), 0);
        let error = trainer.step(&micros, &mut huge).unwrap_err();
        assert!(
            matches!(error, Error::NotFinite { steps: 2, .. }),
            "{error}"
        );
        assert_eq!(before, weights(&trainer));
    }
}

#[test]
fn wrong_settings_and_samples_are_named() {
    let device = devices().remove(0);
    let refused = |change: &dyn Fn(&mut TrainerConfig)| {
        let mut config = config(3);
        change(&mut config);
        let refused = Trainer::new(load("glm4v-f32", &device), config);
        refused.unwrap_err().to_string()
    };
    let text = refused(&|c| c.schedule.rate = f64::NAN);
    assert!(text.contains("schedule.rate"), "{text}");
    let text = refused(&|c| c.adamw.beta2 = 1.0);
    assert!(text.contains("adamw.beta2"), "{text}");
    let frozen = Group {
        freeze: true,
        ..Group::default()
    };
    let text = refused(&|c| c.groups.0 = Part::ALL.map(|p| (p, frozen)).into());
    assert!(text.contains("frozen"), "{text}");

    let mut trainer = Trainer::new(load("glm4v-f32", &device), config(3)).unwrap();
    let samples = samples(trainer.model(), &[6]);
    let micros = micros(trainer.model(), &[&samples]);
    let error = trainer
        .step(&micros, &mut |_, _| Ok(vec![1.0].into()))
        .unwrap_err();
    assert!(error.to_string().contains("1 factors"), "{error}");
    let error = trainer
        .step(&[], &mut |_, _| Ok(vec![].into()))
        .unwrap_err();
    assert!(
        error.to_string().contains("without a counted token"),
        "{error}"
    );
}
