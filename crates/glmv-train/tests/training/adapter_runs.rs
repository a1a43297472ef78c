//! Runs with an adapter: they go on byte for byte, and what cannot learn is refused.

use crate::adapters::adapter;
use crate::learning::config;
use crate::support::{MODELS, devices, folder, load, micros, samples};
use glmv_model::{Glm4v, Precision};
use glmv_train::{AdamW, Checkpoints, Group, Micro, Part, Scores, Trainer, TrainerConfig};
use std::path::Path;

fn run_config() -> TrainerConfig {
    let mut config = config(4);
    config.balance.bias_rate = 0.0;
    config
}

fn steps(trainer: &mut Trainer, data: &[Vec<Micro>]) {
    for micros in data {
        let counted: usize = micros.iter().map(Micro::counted).sum();
        let each = -1.0 / counted as f32;
        let mut mean = |_: usize, s: &Scores| Ok(vec![each; s.logprobs.len()].into());
        trainer.step(micros, &mut mean).unwrap();
    }
}

fn keep(trainer: &Trainer, checkpoints: &Checkpoints, name: &str) -> std::path::PathBuf {
    let parts = (trainer.model(), trainer.parameters(), trainer.adamw());
    let state = trainer.adamw().steps();
    checkpoints
        .save(trainer.steps(), parts, &folder(name), &state, None)
        .unwrap()
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for folder in [dir.to_path_buf(), dir.join("optimizer")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                all.push((name, std::fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn four_steps_are_two_and_two_byte_for_byte() {
    for device in devices() {
        for (name, base) in [(MODELS[0], Precision::F32), (MODELS[1], Precision::Q4)] {
            let dir = tempfile::tempdir().unwrap();
            let open = |part: &str| Checkpoints::open(&dir.path().join(part), 3).unwrap();
            let start = || {
                Glm4v::load(&folder(name), &device, base, &|_, _| {})
                    .unwrap()
                    .0
            };
            let trainer = |model: Glm4v| Trainer::new(model, run_config()).unwrap();
            let new = || trainer(start().with_adapter(adapter(0.1)).unwrap());
            let mut whole = new();
            let data: Vec<Vec<Micro>> = (0..4)
                .map(|i| micros(whole.model(), &[&samples(whole.model(), &[7 + i, 9])]))
                .collect();
            steps(&mut whole, &data);
            let wanted = keep(&whole, &open("whole"), name);
            let mut first = new();
            steps(&mut first, &data[..2]);
            let parts = open("parts");
            let early = keep(&first, &parts, name);
            drop(first);
            let resumed = parts.latest::<u64>().unwrap().expect("a checkpoint");
            let mut second = trainer(start().with_adapter_from(&resumed.dir, 11).unwrap());
            let mut adamw = AdamW::new(run_config().adamw);
            resumed
                .restore(&mut adamw, second.parameters(), resumed.state, &device)
                .unwrap();
            second.resume(2, [0, 0], adamw);
            steps(&mut second, &data[2..]);
            let found = keep(&second, &parts, name);
            assert_eq!(files(&found), files(&wanted), "{name}");
            assert_ne!(files(&early), files(&wanted), "{name}: the control");
            assert!(
                !found.join("model.safetensors").exists(),
                "the base was saved"
            );
        }
    }
}

#[test]
fn what_cannot_learn_beside_an_adapter_is_refused() {
    let device = devices().remove(0);
    let refused = |change: &dyn Fn(&mut TrainerConfig)| {
        let model = load(MODELS[1], &device).with_adapter(adapter(0.0)).unwrap();
        let mut config = run_config();
        change(&mut config);
        Trainer::new(model, config).unwrap_err().to_string()
    };
    let group = |freeze| Group {
        freeze,
        ..Group::default()
    };
    let vision = refused(&|c| c.groups.0 = [(Part::Vision, group(false))].into());
    assert!(vision.contains("vision"), "{vision}");
    let none = refused(&|c| c.groups.0 = [(Part::Adapters, group(true))].into());
    assert!(none.contains("frozen"), "{none}");
    let bias = refused(&|c| c.balance.bias_rate = 1e-3);
    assert!(bias.contains("bias_rate"), "{bias}");
    let twice = load(MODELS[0], &device).with_adapter(adapter(0.0)).unwrap();
    let twice = twice.with_adapter(adapter(0.0)).unwrap_err().to_string();
    assert!(twice.contains("already"), "{twice}");
}
