//! Rollout and trainer agree on the same weights, for both families, one sequence or sixteen, with
//! pictures; a broken kernel is found and named.

use crate::support::{MODELS, devices, load};
use glmv_kernels::{Op, with_broken};
use glmv_model::Glm4v;
use glmv_reward::RewardSystem;
use glmv_train::rl::{
    Agreement, Examined, Iteration, Rewards, RlRecipe, RlRun, RlWatch, Rollouts, Tasks,
};
use glmv_train::{Checkpoints, Error, Group, Part, Trainer, Worker};
use std::path::Path;

/// Looks at nothing.
struct Blind;

impl RlWatch for Blind {
    fn phase(&mut self, _: &str, _: u64, _: u64) {}
    fn agreed(&mut self, _: &Agreement) -> Result<(), Error> {
        Ok(())
    }
    fn iteration(&mut self, _: &Iteration, _: &Tasks) -> Result<(), Error> {
        Ok(())
    }
    fn examined(&mut self, _: u64, _: &Examined) -> Result<(), Error> {
        Ok(())
    }
    fn saved(&mut self, _: u64, _: &Path) -> Result<(), Error> {
        Ok(())
    }
    fn warn(&mut self, _: u64, _: &str) -> Result<(), Error> {
        Ok(())
    }
    fn stop(&mut self) -> bool {
        false
    }
}

const RECIPE: &str = r#"
[data]
tasks = ["tasks.jsonl"]
rewards = "reward.toml"
[rl.rollout]
temperature = 0.8
thinking_tokens = 6
answer_tokens = 6
[rl.pack]
capacity = 2048
[train]
steps = 1
schedule = { rate = 1e-3 }
"#;

/// Pictures and text alone, in turn.
fn tasks() -> String {
    let row = |i: usize| {
        let (text, images) = match i % 2 {
            0 => (format!("<image>What is it, {i}?"), "[\"grad.png\"]"),
            _ => (format!("What is {i}?"), "[]"),
        };
        format!(
            "{{\"data_source\":\"a\",\"prompt\":[{{\"role\":\"user\",\"content\":\"{text}\"}}],\
             \"reward_model\":{{\"ground_truth\":\"1\"}},\"images\":{images},\
             \"extra_info\":{{\"id\":\"{i}\"}}}}\n"
        )
    };
    (0..8).map(row).collect()
}

/// Checks a trainer on `model` against rollouts of it, in `groups` groups of `size`.
fn check(model: Glm4v, name: &str, groups: usize, size: usize) -> Result<Agreement, Error> {
    check_beside(model, name, [groups, size], Vec::new())
}

/// The same beside `workers`, with a tower that learns nothing where there are some.
fn check_beside(
    model: Glm4v,
    name: &str,
    [groups, size]: [usize; 2],
    workers: Vec<Worker>,
) -> Result<Agreement, Error> {
    let dir = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
    write("recipe.toml", RECIPE);
    write("reward.toml", "[sources.a]\ndomain = \"math\"\n");
    write("tasks.jsonl", &tasks());
    let golden = glmv_testkit::golden_dir();
    std::fs::copy(golden.join("media/grad.png"), dir.path().join("grad.png")).unwrap();
    let settings = [
        format!("rl.batch_groups={groups}"),
        format!("rl.group_size={size}"),
    ];
    let recipe = RlRecipe::read(&dir.path().join("recipe.toml"), &settings).unwrap();
    let system = RewardSystem::from_file(&recipe.data.rewards).unwrap();
    let tasks = Tasks::read(&recipe.data.tasks, &system, &[]).unwrap();
    let origin = golden.join(name);
    let mut rollouts = Rollouts::new(model.clone(), &origin, &recipe.rl).unwrap();
    let mut config = recipe.train.clone();
    if !workers.is_empty() {
        let frozen = Group {
            freeze: true,
            ..Group::default()
        };
        config.groups.0.insert(Part::Vision, frozen);
    }
    let mut trainer = Trainer::new(model, config).unwrap();
    trainer.employ("own", workers).unwrap();
    rollouts.employ(&trainer, &origin).unwrap();
    let checkpoints = Checkpoints::open(&dir.path().join("checkpoints"), 1).unwrap();
    let run = RlRun {
        trainer: &mut trainer,
        rollouts: &mut rollouts,
        rewards: &Rewards::of_rules(),
        tasks: &tasks,
        held_out: &Tasks::default(),
        reference: None,
        checkpoints: &checkpoints,
        origin: &origin,
        folder: dir.path(),
        recipe: &recipe,
        resumed: None,
    };
    run.check(&mut Blind)
}

#[test]
fn both_sides_agree_for_one_sequence_and_for_sixteen() {
    for device in devices() {
        for name in MODELS {
            for (groups, size) in [(1, 2), (2, 8)] {
                let model = load(name, &device);
                let found = check(model, name, groups, size);
                let found = found.unwrap_or_else(|e| panic!("{name}, {groups} x {size}: {e}"));
                assert!(found.tokens >= groups * size, "{found:?}");
                assert!(
                    found.max_difference <= 1e-4 && found.mean_kl <= 1e-8,
                    "{found:?}"
                );
            }
        }
    }
}

#[test]
fn a_broken_kernel_is_found_and_named() {
    for device in devices() {
        let name = "glm4v_moe-f32";
        let model = load(name, &device);
        let error = with_broken(Op::Attention, || check(model, name, 1, 2));
        let Err(Error::Disagreement(found)) = error else {
            panic!("a kernel that is a hundredth off was not found: {error:?}");
        };
        assert_eq!(found.divergence.first, Some(1), "{found}");
        assert_eq!(found.divergence.kernels, [Op::Attention], "{found}");
        let text = found.to_string();
        for part in ["decoder layer 0", "GLMV_KERNELS=twin:attention"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn every_worker_is_held_against_the_trainer() {
    for device in devices() {
        for name in MODELS {
            let start = || load(name, &device);
            let worker = |model| vec![Worker::with_replica("other", 1.0, model)];
            let found = check_beside(start(), name, [4, 2], worker(start())).unwrap();
            assert_eq!(found.workers, ["0 (own)", "1 (other)"]);
            assert!(found.tokens >= 8, "{found:?}");
            let mut wrong = start();
            let norm = &mut wrong.visual.post_layernorm;
            *norm = norm.clone().map(|w| w * 1.5);
            let error = check_beside(start(), name, [4, 2], worker(wrong)).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("do not agree") && text.contains("worker 1 (other)"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_worker_on_another_kind_of_device_agrees() {
    let devices = devices();
    let [cpu, gpu] = devices.as_slice() else {
        return;
    };
    for name in MODELS {
        for (own, other) in [(cpu, gpu), (gpu, cpu)] {
            let worker = Worker::with_replica("other", 1.0, load(name, other));
            let found = check_beside(load(name, own), name, [4, 2], vec![worker]);
            let found = found.unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(found.workers.len(), 2);
            let within = found.max_difference <= 1e-4 && found.mean_kl <= 1e-8;
            assert!(within, "{found:?}");
        }
    }
}
