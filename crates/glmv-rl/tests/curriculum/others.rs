//! Exact iterations of the alternatives, and calls out of turn.

use glmv_rl::Error;
use glmv_rl::curriculum::{
    self, CurriculumConfig, DapoConfig, Kind, Reply, Settings, SpeedConfig, Task,
};

use crate::iterations::{make, of, reply, rewards, tasks};
use crate::learner::iteration;

#[test]
fn uniform_asks_every_task_once_a_pass() {
    let mut curriculum = make(of(Kind::Uniform), 3, tasks(&[("a", 12)]));
    for pass in 0..3 {
        let mut seen = Vec::new();
        for _ in 0..4 {
            let (selection, rewards) = iteration(curriculum.as_mut(), |task, n| {
                rewards(if task < 6 { n } else { 1 }, n)
            });
            assert_eq!(selection.train.len() + selection.filler.len(), 3);
            assert!(selection.filler.iter().all(|&task| task < 6));
            seen.extend(rewards.into_keys());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..12).collect::<Vec<_>>(), "pass {pass}");
    }
}

#[test]
fn each_pass_has_an_order_of_its_own() {
    let mut curriculum = make(of(Kind::Uniform), 6, tasks(&[("a", 12)]));
    let mut halves = std::collections::BTreeSet::new();
    for _ in 0..6 {
        let (_, rolled) = iteration(curriculum.as_mut(), |_, count| rewards(1, count));
        halves.insert(rolled.into_keys().collect::<Vec<_>>());
        iteration(curriculum.as_mut(), |_, count| rewards(1, count));
    }
    assert!(
        halves.len() >= 5,
        "the first half of a pass is another each time: {halves:?}"
    );
}

#[test]
fn dapo_retries_until_the_batch_is_full() {
    let config = CurriculumConfig {
        dapo: DapoConfig { max_rounds: 3 },
        ..of(Kind::Dapo)
    };
    let mut curriculum = make(config, 4, tasks(&[("a", 40)]));
    let mut calls = 0;
    let (selection, _) = iteration(curriculum.as_mut(), |_, count| {
        calls += 1;
        rewards(if calls <= 3 { 0 } else { 2 }, count)
    });
    assert_eq!(
        (calls, selection.train.len(), selection.validity.useful),
        (8, 4, 5)
    );
    // Nothing valid: it gives up after its rounds.
    let (selection, rolled) = iteration(curriculum.as_mut(), |_, count| rewards(0, count));
    assert_eq!((rolled.len(), selection.train.len()), (12, 0));
    // And where no task is left.
    let mut small = make(of(Kind::Dapo), 4, tasks(&[("a", 6)]));
    let (_, rolled) = iteration(small.as_mut(), |_, count| rewards(0, count));
    assert_eq!(rolled.len(), 6);
}

#[test]
fn speed_screens_and_completes() {
    let speed = SpeedConfig {
        screen: 2,
        pool: 2.0,
        max_rounds: 2,
    };
    let config = CurriculumConfig {
        speed,
        ..of(Kind::Speed)
    };
    let mut curriculum = make(config, 2, tasks(&[("a", 40)]));
    let (selection, rolled) = iteration(curriculum.as_mut(), |task, count| {
        rewards(if task % 4 == 0 { 1 } else { 0 }, count)
    });
    for task in &selection.train {
        assert_eq!(
            rolled[task],
            [1.0, 0.0, 1.0, 0.0],
            "a screen of 2 and the rest"
        );
    }
    let screened = rolled.values().filter(|r| r.len() == 2).count();
    assert!(
        screened >= 2 && rolled.len() - screened == selection.train.len(),
        "{rolled:?}"
    );
    assert!(selection.train.iter().all(|task| task % 4 == 0));
    let (selection, rolled) = iteration(curriculum.as_mut(), |_, count| rewards(0, count));
    assert_eq!(
        (selection.train.len(), rolled.len(), selection.completions),
        (0, 8, 16)
    );
}

/// More tasks pass the screen than a batch holds: the rest of their groups is not rolled out, and
/// they are not trained on.
#[test]
fn speed_trains_on_full_groups_only() {
    let speed = SpeedConfig {
        screen: 2,
        pool: 3.0,
        max_rounds: 2,
    };
    let config = CurriculumConfig {
        speed,
        ..of(Kind::Speed)
    };
    let mut curriculum = make(config, 2, tasks(&[("a", 40)]));
    let (selection, rolled) = iteration(curriculum.as_mut(), |_, count| rewards(1, count));
    assert_eq!((selection.train.len(), rolled.len()), (2, 6));
    assert_eq!(selection.completions, 6 * 2 + 2 * 2);
    assert!(selection.train.iter().all(|task| rolled[task].len() == 4));
}

#[test]
fn calls_out_of_turn_leave_the_state_alone() {
    for kind in [Kind::Rlcs, Kind::Uniform, Kind::Dapo, Kind::Speed] {
        let mut config = of(kind);
        config.speed.screen = 2;
        let mut curriculum = make(config, 2, tasks(&[("a", 8)]));
        assert!(matches!(
            curriculum.receive(&[]),
            Err(Error::OutOfTurn { .. })
        ));
        let asks = curriculum.begin().expect("idle");
        assert_eq!(curriculum.pending(), asks);
        let saved = curriculum.save();
        assert!(matches!(
            curriculum.begin(),
            Err(Error::OutOfTurn { iteration: 0, .. })
        ));
        let ask = asks[0];
        let other = (0..8)
            .find(|task| asks.iter().all(|ask| ask.task != *task))
            .expect("one");
        let bad = |task: usize, rewards: Vec<f64>| Reply {
            task,
            rewards,
            counted_tokens: 1,
        };
        for replies in [
            vec![bad(other, vec![1.0])],
            vec![bad(99, vec![1.0])],
            vec![bad(ask.task, vec![1.0; 9])],
            vec![bad(ask.task, vec![0.0, f64::NAN])],
            vec![bad(ask.task, vec![0.0]), bad(ask.task, vec![0.0])],
        ] {
            assert!(
                curriculum.receive(&replies).is_err(),
                "{kind:?} {replies:?}"
            );
            assert_eq!(curriculum.save(), saved, "{kind:?}");
        }
        let replies: Vec<Reply> = asks.iter().map(|ask| reply(ask, 1)).collect();
        assert!(curriculum.receive(&replies).is_ok());
    }
}

#[test]
fn bad_tasks_and_settings_are_errors() {
    let with = |settings: Settings, tasks: Vec<Task>| {
        let made = curriculum::new(&CurriculumConfig::default(), settings, tasks);
        made.expect_err("a fault").to_string()
    };
    let settings = Settings {
        batch: 2,
        ..Settings::default()
    };
    let twice = vec![Task::new("x", "a"), Task::new("x", "a")];
    assert!(with(settings.clone(), twice).contains("\"x\": the id is there twice"));
    assert!(with(settings.clone(), tasks(&[("a", 1)])).contains("a step of 2 groups"));
    let group = Settings {
        group: 1,
        ..settings.clone()
    };
    assert!(with(group, tasks(&[("a", 4)])).contains("group_size = 1"));
    let mut graded = tasks(&[("a", 2)]);
    graded[1].grades.push(curriculum::Grade {
        model: "m".into(),
        samples: 4,
        right: 5,
    });
    assert!(with(settings, graded).contains("grade 5 of 4"));
}
