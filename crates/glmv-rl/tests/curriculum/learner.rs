//! A learner without a model: each task has a skill, a completion is right with the logistic function
//! of it, and a group with both right and wrong answers raises the skills of the tasks like it.

use glmv_rl::curriculum::{
    self, Curriculum, CurriculumConfig, Grade, Reply, Selection, Settings, Step, Task,
};
use glmv_sampling::Draws;

/// How the curriculum's knowledge of tasks is spoilt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Knowledge {
    /// As it is.
    True,
    /// Each iteration its tasks are other tasks: neither grades nor rollouts tell anything.
    Shuffled,
}

/// Tasks of one subject, from trivial to out of reach.
#[derive(Debug)]
pub struct Learner {
    difficulty: Vec<f64>,
    skill: Vec<f64>,
    rng: Draws,
}

pub const TASKS: usize = 400;
const BATCH: usize = 16;
const GROUP: usize = 8;

impl Learner {
    pub fn new(seed: u64) -> Self {
        let mut rng = Draws::with_stream(seed, 1000);
        let difficulty: Vec<f64> = (0..TASKS).map(|_| -6.0 + 13.0 * rng.next_unit()).collect();
        Self {
            skill: difficulty.iter().map(|d| -d).collect(),
            difficulty,
            rng,
        }
    }

    fn pass_rate(&self, task: usize) -> f64 {
        1.0 / (1.0 + (-self.skill[task]).exp())
    }

    /// Mean pass rate over all tasks.
    pub fn accuracy(&self) -> f64 {
        (0..TASKS).map(|task| self.pass_rate(task)).sum::<f64>() / TASKS as f64
    }

    /// Rewards of `count` completions.
    fn roll_out(&mut self, task: usize, count: usize) -> Vec<f64> {
        let rate = self.pass_rate(task);
        (0..count)
            .map(|_| f64::from(u8::from(self.rng.next_unit() < rate)))
            .collect()
    }

    /// Offline grades from 8 completions of each task.
    pub fn tasks(&mut self) -> Vec<Task> {
        let grade = |task: usize| {
            let right = self.roll_out(task, 8).iter().filter(|&&r| r == 1.0).count() as u64;
            let grades = vec![Grade {
                model: "start".into(),
                samples: 8,
                right,
            }];
            Task {
                grades,
                ..Task::new(format!("{task}"), "puzzles")
            }
        };
        (0..TASKS).map(grade).collect()
    }

    /// One step of training: the policy gradient of a group is as large as its rewards vary, and
    /// what it teaches serves tasks of like difficulty.
    fn train(&mut self, groups: &[(usize, f64)]) {
        for &(task, variance) in groups {
            for other in 0..TASKS {
                let apart = self.difficulty[task] - self.difficulty[other];
                self.skill[other] += 0.25 * variance / BATCH as f64 * (-apart * apart / 8.0).exp();
            }
        }
    }
}

/// Completions that a curriculum needs until the learner's accuracy is `target`, and the curriculum.
pub fn cost(
    config: &CurriculumConfig,
    seed: u64,
    target: f64,
    knowledge: Knowledge,
) -> (u64, Box<dyn Curriculum>) {
    let mut learner = Learner::new(seed);
    let settings = Settings {
        batch: BATCH,
        group: GROUP,
        seed,
        ..Settings::default()
    };
    let mut curriculum = curriculum::new(config, settings, learner.tasks()).expect("tasks");
    let mut spent = 0;
    let mut shuffle = Draws::with_stream(seed, 77);
    for _ in 0..5000 {
        if learner.accuracy() >= target {
            return (spent, curriculum);
        }
        let mut truth: Vec<usize> = (0..TASKS).collect();
        if knowledge == Knowledge::Shuffled {
            for at in 0..TASKS {
                truth.swap(
                    at,
                    at + (shuffle.next_unit() * (TASKS - at) as f64) as usize,
                );
            }
        }
        let (selection, rewards) = iteration(curriculum.as_mut(), |task, count| {
            learner.roll_out(truth[task], count)
        });
        spent += selection.completions;
        let variance = |task: usize| {
            let of_task = &rewards[&task];
            let rate = of_task.iter().sum::<f64>() / of_task.len() as f64;
            rate * (1.0 - rate)
        };
        let groups: Vec<_> = selection
            .train
            .iter()
            .map(|&t| (truth[t], variance(t)))
            .collect();
        learner.train(&groups);
    }
    panic!(
        "accuracy {} after {spent} completions: target {target}",
        learner.accuracy()
    );
}

/// Rewards of an iteration, by task.
pub type Rewards = std::collections::BTreeMap<usize, Vec<f64>>;

/// Runs one iteration; `roll_out(task, completions)` gives rewards.
pub fn iteration(
    curriculum: &mut dyn Curriculum,
    mut roll_out: impl FnMut(usize, usize) -> Vec<f64>,
) -> (Selection, Rewards) {
    let mut rewards = Rewards::new();
    let mut asks = curriculum.begin().expect("idle");
    loop {
        let mut replies = Vec::new();
        for ask in &asks {
            let new = roll_out(ask.task, ask.completions);
            rewards.entry(ask.task).or_default().extend(&new);
            replies.push(Reply {
                task: ask.task,
                rewards: new,
                counted_tokens: 10,
            });
        }
        match curriculum.receive(&replies).expect("everything was asked") {
            Step::More(more) => asks = more,
            Step::Train(selection) => return (selection, rewards),
        }
    }
}
