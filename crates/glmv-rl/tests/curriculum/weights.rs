//! How RLCS weighs tiers and sub-domains: exact figures, the floor, and the turn of a tier that the
//! model has learned.

use glmv_rl::curriculum::{
    self, BeliefConfig, Cell, Curriculum, CurriculumConfig, Grade, RlcsConfig, Settings, Task, Tier,
};

use crate::learner::iteration;

/// `counts[i]` tasks of tier `i`, of one sub-domain, graded so surely that the prior is the middle of
/// the tier.
fn tasks(sub_domain: &str, counts: [usize; 5]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (tier, count) in Tier::ALL.into_iter().zip(counts) {
        for i in 0..count {
            let right = (tier.middle() * 1000.0).round() as u64;
            tasks.push(Task {
                sub_domain: sub_domain.to_owned(),
                grades: vec![Grade {
                    model: "m".into(),
                    samples: 1000,
                    right,
                }],
                ..Task::new(format!("{sub_domain}-{}-{i}", tier.name()), "a")
            });
        }
    }
    tasks
}

fn make(rlcs: RlcsConfig, batch: usize, tasks: Vec<Task>) -> Box<dyn Curriculum> {
    let belief = BeliefConfig {
        offline: 1000.0,
        unknown: 1e-3,
        ..BeliefConfig::default()
    };
    let config = CurriculumConfig {
        rlcs,
        belief,
        ..CurriculumConfig::default()
    };
    let settings = Settings {
        batch,
        group: 4,
        seed: 3,
        ..Settings::default()
    };
    curriculum::new(&config, settings, tasks).expect("allowed")
}

fn cells(curriculum: &mut dyn Curriculum) -> Vec<Cell> {
    curriculum.begin().expect("idle");
    curriculum.report().cells
}

#[test]
fn weights_are_exact() {
    let rlcs = RlcsConfig {
        floor: 0.01,
        count_power: 1.0,
        deficit: 0.0,
        ..RlcsConfig::default()
    };
    let mut curriculum = make(rlcs, 10, tasks("s", [20, 0, 10, 0, 20]));
    let cells = cells(curriculum.as_mut());
    let want = [
        (Tier::VeryEasy, 20.0 * (0.95 * 0.05 + 0.01)),
        (Tier::Medium, 10.0 * (0.25 + 0.01)),
        (Tier::VeryHard, 20.0 * (0.95 * 0.05 + 0.01)),
    ];
    let sum: f64 = want.iter().map(|w| w.1).sum();
    assert_eq!(cells.len(), 3);
    for (cell, (tier, weight)) in cells.iter().zip(want) {
        assert_eq!(cell.tier, tier);
        assert!((cell.weight - weight).abs() < 1e-4, "{cell:?} {weight}");
        assert!((cell.share - weight / sum).abs() < 1e-5, "{cell:?}");
    }
    // 0.23, 0.53 and 0.23 of ten.
    assert_eq!(cells.iter().map(|c| c.asked).collect::<Vec<_>>(), [3, 5, 2]);
}

#[test]
fn a_tier_is_not_asked_by_its_size_alone() {
    let asked = |count_power: f64| {
        let rlcs = RlcsConfig {
            count_power,
            ..RlcsConfig::default()
        };
        let mut curriculum = make(rlcs, 16, tasks("s", [400, 0, 20, 0, 0]));
        cells(curriculum.as_mut())[1].asked
    };
    // Of 16 prompts, of the twentieth part of the tasks that is of middle difficulty.
    assert!(asked(0.0) >= 12 && asked(0.5) > asked(1.0) && asked(1.0) >= 2);
}

#[test]
fn sub_domains_that_lag_are_preferred() {
    let mut all = tasks("ahead", [0, 40, 0, 0, 0]);
    all.extend(tasks("behind", [0, 0, 0, 40, 0]));
    let share = |deficit: f64| {
        let rlcs = RlcsConfig {
            deficit,
            ..RlcsConfig::default()
        };
        let mut curriculum = make(rlcs, 20, all.clone());
        let cells = cells(curriculum.as_mut());
        assert_eq!(cells[1].sub_domain, "behind");
        (cells[1].share, cells[0].deficit, cells[1].deficit)
    };
    let (even, ..) = share(0.0);
    assert!((even - 0.5).abs() < 1e-3, "0.8 and 0.2 vary alike: {even}");
    // The domain's mean is 0.5, the sub-domains are 0.3 from it.
    let (lagging, ahead, behind) = share(1.0);
    assert!(
        (ahead - 0.7).abs() < 1e-3 && (behind - 1.3).abs() < 1e-3,
        "{ahead} {behind}"
    );
    assert!((lagging - 0.65).abs() < 1e-3, "{lagging}");
    let (_, ahead, behind) = share(100.0);
    assert_eq!((ahead, behind), (0.5, 2.0), "held");
}

/// Every tier is graded again in time, also one that varies next to nothing; without the floor's
/// carried credit a share below one prompt would never be asked.
#[test]
fn the_floor_reaches_every_tier() {
    let mut curriculum = make(RlcsConfig::default(), 4, tasks("s", [10, 10, 10, 10, 10]));
    let mut seen = [0; 5];
    for _ in 0..40 {
        iteration(curriculum.as_mut(), |task, count| {
            seen[task / 10] += 1;
            // As graded, so that tiers stay what they are.
            let right = [4, 3, 2, 1, 0][task / 10];
            (0..count).map(|i| f64::from(u8::from(i < right))).collect()
        });
    }
    assert!(seen.iter().all(|&n| n >= 5), "{seen:?}");
    assert!(
        seen[2] > 2 * seen[0] && seen[2] > 2 * seen[4],
        "toward the middle: {seen:?}"
    );
}

#[test]
fn what_is_learned_is_asked_less() {
    let all = tasks("s", [0, 0, 12, 0, 12]);
    let belief = BeliefConfig {
        decay: 0.0,
        ..BeliefConfig::default()
    };
    let config = CurriculumConfig {
        belief,
        ..CurriculumConfig::default()
    };
    let settings = Settings {
        batch: 8,
        group: 8,
        seed: 3,
        ..Settings::default()
    };
    let mut curriculum = curriculum::new(&config, settings, all).expect("allowed");
    let first = curriculum.report();
    assert_eq!(
        first.tiers["a"],
        [0, 0, 12, 12, 0],
        "a prior of 4 and 1: 0.05 becomes 0.14"
    );
    let mut asked = [[0; 2]; 2];
    for step in 0..60 {
        iteration(curriculum.as_mut(), |task, count| {
            asked[step / 30][task / 12] += 1;
            // The middle is solved from the start, the hard become middling.
            let right = if task < 12 { count } else { count / 2 };
            (0..count).map(|i| f64::from(u8::from(i < right))).collect()
        });
    }
    let last = curriculum.report();
    assert_eq!(last.tiers["a"], [0, 12, 12, 0, 0], "{:?}", last.tiers);
    assert!(last.pass_rate["a"] > first.pass_rate["a"] + 0.2);
    let [_, [solved, middling]] = asked;
    assert!(middling > solved, "{asked:?}");
}

/// A model that has learnt is told apart from the one that was graded: tasks that were never asked leave
/// their tier with those graded alike, and no others do.
#[test]
fn tasks_graded_alike_move_together() {
    let moved = |drift: f64| {
        let config = CurriculumConfig {
            belief: BeliefConfig {
                drift,
                ..BeliefConfig::default()
            },
            ..CurriculumConfig::default()
        };
        let settings = Settings {
            batch: 4,
            group: 8,
            seed: 3,
            ..Settings::default()
        };
        let mut all = tasks("s", [0, 0, 0, 0, 300]);
        all.extend(tasks("other", [0, 0, 0, 0, 300]));
        let mut curriculum = curriculum::new(&config, settings, all).expect("allowed");
        let mut asked = std::collections::BTreeSet::new();
        for _ in 0..20 {
            iteration(curriculum.as_mut(), |task, count| {
                asked.insert(task);
                // The first sub-domain has become easy, the second is as it was.
                let right = if task < 300 { count } else { 0 };
                (0..count).map(|i| f64::from(u8::from(i < right))).collect()
            });
        }
        assert!(asked.len() < 250, "{} of 600 were asked", asked.len());
        let cells = cells(curriculum.as_mut());
        let hard = |sub: &str| {
            let cells = cells.iter().filter(|c| c.sub_domain == sub);
            let hard = cells.filter(|c| c.tier >= Tier::Hard);
            hard.map(|c| c.tasks).sum::<usize>()
        };
        (hard("s"), hard("other"))
    };
    let (easy, as_it_was) = moved(BeliefConfig::default().drift);
    assert_eq!((easy, as_it_was), (0, 300));
    let (easy, as_it_was) = moved(0.0);
    assert!(easy > 150 && as_it_was == 300, "the control: {easy}");
}
