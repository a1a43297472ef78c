//! Exact iterations of RLCS, and groups that lose rewards.

use std::collections::BTreeSet;

use glmv_rl::curriculum::{
    self, Ask, Curriculum, CurriculumConfig, Kind, Reply, RlcsConfig, Settings, SpeedConfig, Step,
    Task,
};
use glmv_rl::group::Validity;
use glmv_rl::mixture::MixtureConfig;

use crate::learner::iteration;

pub fn tasks(counts: &[(&str, usize)]) -> Vec<Task> {
    let of = |&(domain, count): &(&str, usize)| {
        let domain = domain.to_owned();
        (0..count).map(move |i| Task::new(format!("{domain}-{i}"), domain.clone()))
    };
    counts.iter().flat_map(of).collect()
}

pub fn make(config: CurriculumConfig, batch: usize, tasks: Vec<Task>) -> Box<dyn Curriculum> {
    let settings = Settings {
        batch,
        group: 4,
        seed: 5,
        ..Settings::default()
    };
    curriculum::new(&config, settings, tasks).expect("allowed")
}

pub fn of(kind: Kind) -> CurriculumConfig {
    CurriculumConfig {
        kind,
        ..CurriculumConfig::default()
    }
}

/// `right` right completions among `count`.
pub fn rewards(right: usize, count: usize) -> Vec<f64> {
    (0..count).map(|i| f64::from(u8::from(i < right))).collect()
}

pub fn reply(ask: &Ask, right: usize) -> Reply {
    Reply {
        task: ask.task,
        rewards: rewards(right, ask.completions),
        counted_tokens: 1,
    }
}

#[test]
fn rlcs_keeps_the_most_balanced_groups() {
    let config = CurriculumConfig {
        rlcs: RlcsConfig {
            expansion_decay: 0.0,
            ..RlcsConfig::default()
        },
        ..CurriculumConfig::default()
    };
    let mut curriculum = make(config, 4, tasks(&[("a", 30)]));
    // Every other group is all right, so the ratio is 2 and the next iteration asks for 8.
    let mut all_right = false;
    iteration(curriculum.as_mut(), |_, count| {
        all_right = !all_right;
        rewards(if all_right { count } else { 1 }, count)
    });
    assert_eq!(curriculum.report().expansion, Some(2.0));
    let asks = curriculum.begin().expect("idle");
    assert_eq!(asks.len(), 8);
    let distinct: BTreeSet<usize> = asks.iter().map(|ask| ask.task).collect();
    assert_eq!(distinct.len(), 8, "no task twice");
    let right = [0, 1, 4, 2, 3, 2, 1, 4];
    let replies: Vec<Reply> = asks
        .iter()
        .zip(right)
        .map(|(ask, n)| reply(ask, n))
        .collect();
    let Step::Train(selection) = curriculum.receive(&replies).expect("asked") else {
        panic!("RLCS has one round");
    };
    let want = [3, 5, 1, 4].map(|at| asks[at].task);
    assert_eq!(
        selection.train, want,
        "2 of 4 first, then 1 and 3 of 4 in the order of asking"
    );
    assert_eq!((selection.filler.len(), selection.completions), (0, 32));
    let validity = Validity {
        useful: 5,
        all_right: 2,
        all_wrong: 1,
        ..Validity::default()
    };
    assert_eq!(selection.validity, validity);
    let report = curriculum.report();
    assert_eq!(
        (report.iteration, report.completions, report.last),
        (2, 16 + 32, validity)
    );
    assert_eq!(curriculum.report().expansion, Some(1.0 / (1.0 - 3.0 / 8.0)));
}

#[test]
fn rlcs_fills_up_and_survives_a_rate_of_one() {
    for fill in [true, false] {
        let config = CurriculumConfig {
            rlcs: RlcsConfig {
                fill,
                expansion_decay: 0.5,
                ..RlcsConfig::default()
            },
            ..CurriculumConfig::default()
        };
        let mut curriculum = make(config, 4, tasks(&[("a", 12)]));
        let (selection, _) = iteration(curriculum.as_mut(), |_, count| rewards(count, count));
        assert_eq!(
            (selection.train.len(), selection.filler.len()),
            (0, if fill { 4 } else { 0 })
        );
        assert_eq!(selection.validity.not_valid_rate(), Some(1.0));
        assert_eq!(curriculum.report().expansion, Some(2.5));
        // 10 prompts, later all 12: never more than there are.
        assert_eq!(
            iteration(curriculum.as_mut(), |_, n| rewards(0, n))
                .0
                .completions,
            40
        );
        for _ in 0..20 {
            assert!(
                iteration(curriculum.as_mut(), |_, n| rewards(0, n))
                    .0
                    .completions
                    <= 48
            );
        }
    }
}

#[test]
fn groups_reduced_to_one_are_dropped_and_counted() {
    for kind in [Kind::Rlcs, Kind::Uniform, Kind::Dapo, Kind::Speed] {
        let mut config = of(kind);
        (config.dapo.max_rounds, config.speed.max_rounds) = (1, 1);
        config.speed = SpeedConfig {
            screen: 2,
            pool: 1.0,
            max_rounds: 1,
        };
        let mut curriculum = make(config, 2, tasks(&[("a", 2)]));
        let asks = curriculum.begin().expect("idle");
        // The first has one reward left, the second none at all.
        let replies = [Reply {
            task: asks[0].task,
            rewards: vec![1.0],
            counted_tokens: 5,
        }];
        let Step::Train(selection) = curriculum.receive(&replies).expect("asked") else {
            panic!("{kind:?}: nothing to go on with");
        };
        assert_eq!(
            (selection.train.len(), selection.filler.len()),
            (0, 0),
            "{kind:?}"
        );
        assert_eq!(
            (selection.validity.alone, selection.completions),
            (2, 1),
            "{kind:?}"
        );
        assert_eq!(selection.validity.not_valid_rate(), None);
    }
}

#[test]
fn domains_keep_their_share_of_what_is_asked_and_kept() {
    let mixture = MixtureConfig {
        domains: [("a".to_owned(), 3.0), ("b".to_owned(), 1.0)].into(),
        thinking: 0.5,
    };
    let settings = Settings {
        batch: 8,
        group: 4,
        seed: 1,
        mixture,
    };
    let all = tasks(&[("a", 40), ("b", 40)]);
    let mut curriculum = curriculum::new(&of(Kind::Rlcs), settings, all).expect("allowed");
    for _ in 0..4 {
        let asks = curriculum.begin().expect("idle");
        let in_b = |tasks: &[usize]| tasks.iter().filter(|&&task| task >= 40).count();
        let asked: Vec<usize> = asks.iter().map(|ask| ask.task).collect();
        assert_eq!((asked.len(), in_b(&asked)), (8, 2));
        assert_eq!(asks.iter().filter(|ask| ask.thinking).count(), 4);
        let replies: Vec<Reply> = asks.iter().map(|ask| reply(ask, 2)).collect();
        let Step::Train(selection) = curriculum.receive(&replies).expect("asked") else {
            panic!("RLCS has one round");
        };
        assert_eq!((selection.train.len(), in_b(&selection.train)), (8, 2));
    }
}
