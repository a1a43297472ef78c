//! Models, samples and comparisons.

use burn::tensor::Device;
use glmv_kernels::device::{Choice, read, select};
use glmv_model::{Glm4v, Precision};
use glmv_train::{
    Grads, Groups, Micro, Outcome, PassOptions, Sample, freeze, gradients, parameters,
};
use std::path::PathBuf;

/// Both families.
pub const MODELS: [&str; 2] = ["glm4v-f32", "glm4v_moe-f32"];

/// The CPU device, and the GPU where there is one or one is required.
pub fn devices() -> Vec<Device> {
    let required = std::env::var_os("GLMV_REQUIRE_GPU").is_some_and(|v| v == "1");
    let mut devices = vec![select(Choice::Cpu).expect("the CPU device").device];
    match select(Choice::Gpu) {
        Ok(gpu) => devices.push(gpu.device),
        Err(error) => assert!(!required, "{error}"),
    }
    devices
}

/// Folder of a golden checkpoint.
pub fn folder(name: &str) -> PathBuf {
    glmv_testkit::golden_dir().join(name)
}

/// A golden checkpoint on a device, without gradients.
pub fn load(name: &str, device: &Device) -> Glm4v {
    let loaded = Glm4v::load(&folder(name), device, Precision::F32, &|_, _| {});
    loaded.expect("the golden checkpoint loads").0
}

/// A golden checkpoint, all of it learning.
pub fn learner(name: &str, device: &Device) -> Glm4v {
    freeze(load(name, device), &Groups::default()).expect("something learns")
}

/// Text samples and one with a picture; every second half is counted.
pub fn samples(model: &Glm4v, lengths: &[usize]) -> Vec<Sample> {
    let config = model.config();
    let mut next = 7u32;
    let mut random = |below: u32| {
        next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (next >> 8) % below
    };
    let mut samples: Vec<Sample> = (lengths.iter())
        .map(|n| Sample {
            input_ids: (0..*n).map(|_| random(400)).collect(),
            modality: vec![0; *n],
            counted: (0..*n).map(|i| i > n / 2).collect(),
            ..Sample::default()
        })
        .collect();
    let grid = [1, 2, 4];
    let width = config.vision.patch_len();
    let picture = &mut samples[0];
    let tokens = 8 / config.vision.spatial_merge_size.pow(2);
    for _ in 0..tokens {
        picture.input_ids.insert(1, config.image_token_id);
        picture.modality.insert(1, 1);
        picture.counted.insert(1, false);
    }
    let values = (0..8 * width).map(|_| random(1000) as f32 / 500.0 - 1.0);
    picture.images = (values.collect(), vec![grid]);
    samples
}

/// The samples as one micro-step each group.
pub fn micros(model: &Glm4v, groups: &[&[Sample]]) -> Vec<Micro> {
    let merge = model.config().vision.spatial_merge_size as u32;
    let micro = |group: &&[Sample]| Micro::new(group.iter(), merge).expect("sound samples");
    groups.iter().map(micro).collect()
}

/// Gradients of the mean cross-entropy over all micro-steps together.
pub fn sum(model: &Glm4v, micros: &[Micro], options: &PassOptions) -> (Grads, Vec<Outcome>) {
    let counted: usize = micros.iter().map(Micro::counted).sum();
    let tokens: usize = micros.iter().map(Micro::tokens).sum();
    let (mut grads, mut outcomes) = (Grads::new(), Vec::new());
    for micro in micros {
        let options = PassOptions {
            share: micro.tokens() as f64 / tokens as f64,
            ..options.clone()
        };
        let factors = vec![-1.0 / counted as f32; micro.counted()];
        let outcome = gradients(
            model,
            micro,
            &options,
            &mut |_| Ok(factors.clone().into()),
            &mut grads,
        );
        outcomes.push(outcome.expect("a pass"));
    }
    (grads, outcomes)
}

/// Largest difference of any gradient over its largest value, and where it is. A gradient that only
/// one side has is infinitely far.
pub fn distance(model: &Glm4v, a: &Grads, b: &Grads) -> (f32, String) {
    let mut worst = (0.0, "none".to_string());
    for (index, parameter) in parameters(model).iter().enumerate() {
        let found = match (a.get(index), b.get(index)) {
            (None, None) => continue,
            (Some(a), Some(b)) => {
                let (a, b) = (read(a).unwrap(), read(b).unwrap());
                let size = b.iter().fold(1e-12f32, |m, v| m.max(v.abs()));
                let far = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
                far.fold(0.0, |m: f32, d| if d <= m { m } else { d }) / size
            }
            _ => f32::INFINITY,
        };
        if found > worst.0 || found.is_nan() {
            worst = (found, parameter.path.clone());
        }
    }
    worst
}
