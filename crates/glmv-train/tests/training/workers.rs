//! Workers: what several of them add up to is what one does, whoever is done first.

use crate::adapters::adapter;
use crate::learning::config;
use crate::support::{MODELS, devices, distance, load, micros, samples};
use burn::tensor::Device;
use glmv_kernels::device::read;
use glmv_model::{Glm4v, Precision};
use glmv_train::{
    Error, Grads, Group, Micro, Part, Recompute, Scores, Trainer, TrainerConfig, Worker, mean_loss,
};

/// Relative to the largest value of a gradient, between devices.
const TOLERANCE: f32 = 1e-5;

fn factors(micros: &[Micro]) -> impl FnMut(usize, &Scores) -> Result<glmv_train::Factors, Error> {
    let counted: usize = micros.iter().map(Micro::counted).sum();
    let each = -1.0 / counted as f32;
    move |_, scores: &Scores| Ok(vec![each; scores.logprobs.len()].into())
}

/// Five micro-steps of different lengths, one with a picture.
fn data(model: &Glm4v) -> Vec<Micro> {
    let samples = samples(model, &[12, 30, 8, 21, 9, 14]);
    let groups: [&[_]; 5] = [
        &samples[..1],
        &samples[1..2],
        &samples[2..4],
        &samples[4..5],
        &samples[5..],
    ];
    micros(model, &groups)
}

fn grads(trainer: &Trainer, micros: &[Micro]) -> Grads {
    let (grads, _) = trainer.gradients(micros, &mut factors(micros)).unwrap();
    grads
}

fn steps(trainer: &mut Trainer, micros: &[Micro], n: usize) -> Vec<f64> {
    let step = |_| {
        let report = trainer.step(micros, &mut factors(micros)).unwrap();
        assert!(report.applied);
        report.grad_norm + report.expert_load
    };
    (0..n).map(step).collect()
}

/// Every weight, bit for bit.
fn bits(trainer: &Trainer) -> Vec<u32> {
    let model = trainer.policy();
    let tensors = glmv_model::HubTensors::new(&model);
    let mut bits = Vec::new();
    for name in tensors.names() {
        let values = tensors.read(name).unwrap().unwrap_or_default();
        bits.extend(values.iter().map(|v| v.to_bits()));
    }
    bits
}

#[test]
fn threads_on_the_cpu_change_no_bit() {
    let device = devices().remove(0);
    for (name, recompute) in [(MODELS[0], Recompute::None), (MODELS[1], Recompute::Layer)] {
        let config = TrainerConfig {
            recompute,
            ..config(6)
        };
        let new = || Trainer::new(load(name, &device), config.clone()).unwrap();
        let mut alone = new();
        let micros = data(alone.model());
        let figures = steps(&mut alone, &micros, 3);
        let expected = bits(&alone);
        for shares in [&[1.0][..], &[0.4, 2.0, 1.0]] {
            let mut several = new();
            let workers = shares.iter().map(|share| Worker::sharing("more", *share));
            several.employ("own", workers.collect()).unwrap();
            assert_eq!(steps(&mut several, &micros, 3), figures, "{name}");
            assert_eq!(bits(&several), expected, "{name} {shares:?}");
            let losses = [&several, &alone].map(|t| mean_loss(t, &micros).unwrap());
            assert_eq!(losses[0].to_bits(), losses[1].to_bits(), "{losses:?}");
        }
        // The comparison sees another step.
        let mut other = new();
        steps(&mut other, &micros[..4], 3);
        assert_ne!(bits(&other), expected);
    }
}

#[test]
fn threads_on_one_gpu_do_not_disturb_each_other() {
    let Some(device) = devices().get(1).cloned() else {
        return;
    };
    for name in MODELS {
        let new = || Trainer::new(load(name, &device), config(6)).unwrap();
        let alone = new();
        let micros = data(alone.model());
        let expected = grads(&alone, &micros);
        let mut several = new();
        let workers = vec![
            Worker::sharing("more", 1.0),
            Worker::sharing("yet more", 1.0),
        ];
        several.employ("own", workers).unwrap();
        for _ in 0..4 {
            let found = grads(&several, &micros);
            let (far, at) = distance(alone.model(), &found, &expected);
            assert!(far <= TOLERANCE, "{name}: {far:e} at {at}");
        }
        steps(&mut several, &micros, 3);
        let alone = Trainer::new(several.policy(), config(6)).unwrap();
        let (found, expected) = (grads(&several, &micros), grads(&alone, &micros));
        let (far, at) = distance(alone.model(), &found, &expected);
        assert!(far <= TOLERANCE, "{name}, later: {far:e} at {at}");
    }
}

/// Trainers on device `own`, alone and with a worker on the other one.
fn pair(
    start: &dyn Fn(&Device) -> Glm4v,
    config: &TrainerConfig,
    own: usize,
) -> Option<[Trainer; 2]> {
    let devices = devices();
    let (first, second) = (&devices[own.min(devices.len() - 1)], devices.get(1 - own)?);
    if devices.len() < 2 {
        return None;
    }
    let new = || Trainer::new(start(first), config.clone()).unwrap();
    let (alone, mut two) = (new(), new());
    let worker = Worker::with_replica("other", 1.0, start(second));
    two.employ("own", vec![worker]).unwrap();
    Some([alone, two])
}

#[test]
fn two_devices_give_the_gradients_of_one_and_keep_giving_them() {
    for (name, own) in [
        (MODELS[0], 0),
        (MODELS[1], 0),
        (MODELS[0], 1),
        (MODELS[1], 1),
    ] {
        let start = |device: &Device| load(name, device);
        let Some([alone, mut two]) = pair(&start, &config(6), own) else {
            return;
        };
        let micros = data(alone.model());
        let expected = grads(&alone, &micros);
        let (far, at) = distance(alone.model(), &grads(&two, &micros), &expected);
        assert!(far <= TOLERANCE, "{name} on {own}: {far:e} at {at}");
        // What was learnt reaches the replica: after some steps it still agrees with a trainer that
        // has the same weights and no worker, and no longer with the old ones.
        steps(&mut two, &micros, 3);
        let after = grads(&two, &micros);
        let alone = Trainer::new(two.policy(), config(6)).unwrap();
        let (far, at) = distance(alone.model(), &after, &grads(&alone, &micros));
        assert!(far <= TOLERANCE, "{name} on {own}, later: {far:e} at {at}");
        let (far, _) = distance(alone.model(), &after, &expected);
        assert!(far > 0.01, "{name}: three steps must show, {far:e}");
    }
}

#[test]
fn adapters_travel_and_their_base_stays() {
    for (name, base) in [(MODELS[0], Precision::F32), (MODELS[1], Precision::Q4)] {
        let start = |device: &Device| {
            let dir = crate::support::folder(name);
            let (model, _) = Glm4v::load(&dir, device, base, &|_, _| {}).unwrap();
            model.with_adapter(adapter(0.0)).unwrap()
        };
        let mut config = config(6);
        config.balance.bias_rate = 0.0;
        let Some([mut alone, mut two]) = pair(&start, &config, 0) else {
            return;
        };
        let micros = data(alone.model());
        let tolerance = match base {
            Precision::F32 => TOLERANCE,
            // Vision in f16, and codes decoded in another order of rounding.
            _ => 2e-2,
        };
        let apart = |a: &Trainer, b: &Trainer| {
            let (found, expected) = (grads(a, &micros), grads(b, &micros));
            distance(a.model(), &found, &expected)
        };
        let (far, at) = apart(&two, &alone);
        assert!(far <= tolerance, "{name}: {far:e} at {at}");
        let before = grads(&alone, &micros);
        steps(&mut alone, &micros, 2);
        steps(&mut two, &micros, 2);
        let (far, at) = apart(&two, &alone);
        assert!(far <= 20.0 * tolerance, "{name}, later: {far:e} at {at}");
        let (far, _) = distance(alone.model(), &grads(&alone, &micros), &before);
        assert!(
            far > 20.0 * tolerance,
            "{name}: two steps must show, {far:e}"
        );
    }
}

#[test]
fn a_replica_with_another_weight_is_noticed() {
    for device in devices() {
        let mut config = config(3);
        config.groups.0.insert(
            Part::Vision,
            Group {
                freeze: true,
                ..Group::default()
            },
        );
        let start = || load(MODELS[0], &device);
        let mut wrong = start();
        let norm = &mut wrong.visual.post_layernorm;
        *norm = norm.clone().map(|w| w * 1.05);
        let alone = Trainer::new(start(), config.clone()).unwrap();
        let micros = data(alone.model());
        let found = |replica: Glm4v| {
            let mut two = Trainer::new(start(), config.clone()).unwrap();
            // Nearly all of the work, the picture included.
            let worker = Worker::with_replica("other", 50.0, replica);
            two.employ("own", vec![worker]).unwrap();
            distance(
                alone.model(),
                &grads(&two, &micros),
                &grads(&alone, &micros),
            )
            .0
        };
        assert_eq!(found(start()), 0.0, "the right weights");
        let far = found(wrong);
        assert!(far > 100.0 * TOLERANCE, "{far:e}");
    }
}

#[test]
fn workers_that_fail_are_named_and_nothing_is_lost() {
    let device = devices().remove(0);
    let mut trainer = Trainer::new(load(MODELS[0], &device), config(3)).unwrap();
    let micros = data(trainer.model());
    let workers = vec![
        Worker::sharing("second", 1.0),
        Worker::sharing("third", 1.0),
    ];
    trainer.employ("first", workers).unwrap();
    let before = read(trainer.policy().language_model.norm.val()).unwrap();
    for bad in 0..micros.len() {
        let mut good = factors(&micros);
        let error = trainer.step(&micros, &mut |index, scores| match index == bad {
            true => Ok(vec![1.0].into()),
            false => good(index, scores),
        });
        let error = error.unwrap_err().to_string();
        let named = ["first", "second", "third"]
            .iter()
            .any(|n| error.contains(n));
        assert!(named && error.contains("1 factors"), "{error}");
    }
    let mut good = factors(&micros);
    let panicking = std::thread::current().id();
    let error = trainer.step(&micros, &mut |index, scores| {
        assert!(
            std::thread::current().id() == panicking || index != 1,
            "no luck"
        );
        good(index, scores)
    });
    // Micro-step 1 is the longest: with three workers it is another one's than 0.
    let error = error.unwrap_err().to_string();
    assert!(error.contains("panicked: no luck"), "{error}");
    assert_eq!(
        read(trainer.policy().language_model.norm.val()).unwrap(),
        before
    );
    assert_eq!(trainer.steps(), 0);
    steps(&mut trainer, &micros, 1);
}

#[test]
fn workers_that_cannot_be_are_refused() {
    let device = devices().remove(0);
    let mut trainer = Trainer::new(load(MODELS[0], &device), config(3)).unwrap();
    let mut refused = |worker: Worker| {
        let refused = trainer.employ("first", vec![worker]);
        refused.unwrap_err().to_string()
    };
    for share in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let text = refused(Worker::sharing("second", share));
        assert!(text.contains("second") && text.contains("share"), "{text}");
    }
    let other = Worker::with_replica("second", 1.0, load(MODELS[1], &device));
    let text = refused(other);
    assert!(
        text.contains("second") && text.contains("trainer"),
        "{text}"
    );
}
