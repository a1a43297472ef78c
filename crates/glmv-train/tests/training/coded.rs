//! Means of 8 bits against those of f32, on a small real training.

use crate::learning::config;
use crate::support::{devices, load, micros, samples};
use burn::tensor::Device;
use glmv_kernels::device::read;
use glmv_train::{Means, Scores, States, Trainer, parameters};

const STEPS: u64 = 24;

/// Losses of the steps, the trained weights of the decoder's first layer, and the trainer.
fn run(model: &str, device: &Device, states: States, rate: f64) -> (Vec<f64>, Vec<f32>, Trainer) {
    let mut config = config(STEPS);
    config.adamw.states = states;
    config.schedule.rate *= rate;
    let mut trainer = Trainer::new(load(model, device), config).unwrap();
    let samples = samples(trainer.model(), &[12, 10, 8, 14]);
    let micros = micros(trainer.model(), &[&samples]);
    let each = -1.0 / micros[0].counted() as f32;
    let mut losses = Vec::new();
    for _ in 0..STEPS {
        let mut mean = |_: usize, s: &Scores| {
            losses.push(s.logprobs.iter().map(|p| f64::from(p * each)).sum());
            Ok(vec![each; s.logprobs.len()].into())
        };
        assert!(trainer.step(&micros, &mut mean).unwrap().applied);
    }
    let layer = &trainer.model().language_model.layers[0];
    let weight = layer.self_attn.o_proj.weight[0].val().dequantise();
    let values = read(weight.inner()).unwrap();
    (losses, values, trainer)
}

/// Root of the mean square difference.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / a.len() as f64).sqrt()
}

#[test]
fn a_training_goes_the_same_way() {
    for device in devices() {
        for model in ["glm4v-f32", "glm4v_moe-f32"] {
            let (exact, weights, _) = run(model, &device, States::F32, 1.0);
            let (coded, found, trainer) = run(model, &device, States::Blocks, 1.0);
            assert!((exact[0] - coded[0]).abs() < 1e-6);
            // From means of zero the first step is exact.
            assert!(
                (exact[1] - coded[1]).abs() < 1e-5,
                "{} {}",
                exact[1],
                coded[1]
            );
            let fall = exact[0] - exact[STEPS as usize - 1];
            assert!(fall > 1.0, "{exact:?}");
            for (step, (a, b)) in exact.iter().zip(&coded).enumerate() {
                assert!((a - b).abs() < 0.02 * fall, "{model}, step {step}: {a} {b}");
            }
            // A rate of 5 % more leads further away.
            let (_, other, _) = run(model, &device, States::F32, 1.05);
            let (near, far) = (apart(&weights, &found), apart(&weights, &other));
            println!("{model}: {near:e} with 8 bits, {far:e} with another rate");
            assert!(near < far, "{near:e} {far:e}");
            forms(&trainer);
        }
    }
}

/// Matrices are coded; norms, biases and small tensors are not.
fn forms(trainer: &Trainer) {
    let mut seen = [0, 0];
    for (index, parameter) in parameters(trainer.model()).iter().enumerate() {
        match trainer.adamw().state(index) {
            None => assert!(!parameter.learnable, "{}", parameter.path),
            Some(Means::Coded(_)) => {
                assert!(!parameter.is_vector() && parameter.len() >= 4096);
                seen[0] += 1;
            }
            Some(Means::Float(_)) => {
                assert!(parameter.is_vector() || parameter.len() < 4096);
                seen[1] += 1;
            }
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
}

#[test]
fn means_decode_to_nearly_those_of_f32() {
    for device in devices() {
        let (_, _, exact) = run("glm4v-f32", &device, States::F32, 1.0);
        let (_, _, coded) = run("glm4v-f32", &device, States::Blocks, 1.0);
        let mut worst = 0f64;
        for (index, parameter) in exact.parameters().iter().enumerate() {
            let (Some(a), Some(b)) = (exact.adamw().state(index), coded.adamw().state(index))
            else {
                continue;
            };
            let n = parameter.len();
            let root = |means: &Means| read(means.decode(n)[1].clone().sqrt()).unwrap();
            let (a, b) = (root(a), root(b));
            let size = apart(&a, &vec![0.0; n]).max(1e-12);
            worst = worst.max(apart(&a, &b) / size);
        }
        println!("roots of the squares are {worst} apart");
        assert!(worst < 0.1, "{worst}");
        assert!(worst > 1e-6, "the means are coded");
    }
}
