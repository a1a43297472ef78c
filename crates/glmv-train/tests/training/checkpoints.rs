//! Saving, resuming, and dying in between.

use crate::learning::config;
use crate::support::{devices, folder, load, micros, samples};
use burn::tensor::Device;
use glmv_model::{Glm4v, Precision};
use glmv_train::{AdamW, Checkpoints, Micro, Trainer};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

const MODEL: &str = "glm4v_moe-f32";
const STEPS: u64 = 6;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct State {
    step: u64,
    updates: u64,
    skipped: [u64; 2],
}

fn data(trainer: &Trainer) -> Vec<Vec<Micro>> {
    (0..STEPS as usize)
        .map(|i| {
            let samples = samples(trainer.model(), &[7 + i, 9]);
            micros(trainer.model(), &[&samples])
        })
        .collect()
}

fn run(trainer: &mut Trainer, data: &[Vec<Micro>]) {
    for micros in data {
        let counted: usize = micros.iter().map(Micro::counted).sum();
        let each = -1.0 / counted as f32;
        let mut mean = |_: usize, s: &glmv_train::Scores| Ok(vec![each; s.logprobs.len()].into());
        trainer.step(micros, &mut mean).unwrap();
    }
}

fn save(checkpoints: &Checkpoints, trainer: &Trainer) {
    let state = State {
        step: trainer.steps(),
        updates: trainer.adamw().steps(),
        skipped: trainer.skipped(),
    };
    let parts = (trainer.model(), trainer.parameters(), trainer.adamw());
    let best = Some(1);
    checkpoints
        .save(trainer.steps(), parts, &folder(MODEL), &state, best)
        .unwrap();
}

fn resume(checkpoints: &Checkpoints, device: &Device) -> Trainer {
    let resumed = checkpoints
        .latest::<State>()
        .unwrap()
        .expect("a checkpoint");
    let model = Glm4v::load(&resumed.dir, device, Precision::F32, &|_, _| {});
    let config = config(STEPS);
    let mut adamw = AdamW::new(config.adamw);
    let mut trainer = Trainer::new(model.unwrap().0, config).unwrap();
    let State {
        step,
        updates,
        skipped,
    } = resumed.state;
    let inner = trainer.policy().device();
    resumed
        .restore(&mut adamw, trainer.parameters(), updates, &inner)
        .unwrap();
    trainer.resume(step, skipped, adamw);
    trainer
}

/// Every file of a checkpoint, by name.
fn bytes(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for folder in [dir.to_path_buf(), dir.join("optimizer")] {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                all.push((
                    path.file_name().unwrap().to_string_lossy().into(),
                    fs::read(&path).unwrap(),
                ));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_resumed_run_is_the_same_byte_for_byte() {
    for device in devices() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| Checkpoints::open(&dir.path().join(name), 2).unwrap();
        let (whole, parts) = (open("whole"), open("parts"));
        let mut trainer = Trainer::new(load(MODEL, &device), config(STEPS)).unwrap();
        let data = data(&trainer);
        run(&mut trainer, &data);
        save(&whole, &trainer);

        let mut trainer = Trainer::new(load(MODEL, &device), config(STEPS)).unwrap();
        run(&mut trainer, &data[..3]);
        save(&parts, &trainer);
        drop(trainer);
        let mut trainer = resume(&parts, &device);
        assert_eq!(trainer.steps(), 3);
        run(&mut trainer, &data[3..]);
        save(&parts, &trainer);
        assert_eq!(bytes(&whole.dir(STEPS)), bytes(&parts.dir(STEPS)));
        assert_ne!(
            bytes(&whole.dir(STEPS)),
            bytes(&parts.dir(3)),
            "the control"
        );
    }
}

#[test]
fn old_checkpoints_go_and_the_best_stays() {
    let device = devices().remove(0);
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path(), 2).unwrap();
    let mut trainer = Trainer::new(load(MODEL, &device), config(STEPS)).unwrap();
    let data = data(&trainer);
    for step in &data[..4] {
        run(&mut trainer, std::slice::from_ref(step));
        save(&checkpoints, &trainer);
    }
    assert_eq!(checkpoints.steps().unwrap(), [1, 3, 4]);
    let parts = (trainer.model(), trainer.parameters(), trainer.adamw());
    let again = checkpoints.save(4, parts, &folder(MODEL), &(), None);
    assert!(again.unwrap_err().to_string().contains("saved before"));
}

#[test]
fn unfinished_and_damaged_checkpoints_are_not_taken() {
    let device = devices().remove(0);
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(dir.path(), 3).unwrap();
    assert!(checkpoints.latest::<State>().unwrap().is_none());
    let trainer = Trainer::new(load(MODEL, &device), config(STEPS)).unwrap();
    save(&checkpoints, &trainer);
    for left in [".partial-00000009", ".old-00000000"] {
        fs::create_dir(dir.path().join(left)).unwrap();
    }
    let checkpoints = Checkpoints::open(dir.path(), 3).unwrap();
    assert_eq!(checkpoints.steps().unwrap(), [0]);
    assert!(!dir.path().join(".partial-00000009").exists());
    // A folder that cannot be written fails and leaves what there was.
    let missing = dir.path().join("no-such-model");
    let parts = (trainer.model(), trainer.parameters(), trainer.adamw());
    let error = checkpoints.save(5, parts, &missing, &(), None).unwrap_err();
    assert!(error.to_string().contains("no-such-model"), "{error}");
    assert_eq!(checkpoints.steps().unwrap(), [0]);
    assert!(!dir.path().join(".partial-00000005").exists());
    // State that is no JSON is named.
    fs::write(checkpoints.dir(0).join("state.json"), "{").unwrap();
    let error = checkpoints.latest::<State>().unwrap_err();
    assert!(error.to_string().contains("state.json"), "{error}");
}
