//! What is taken for fine-tuning, in which order, and why the rest is not.

use glmv_rl::harvest::{Candidate, Harvest, HarvestConfig, harvest};

const A: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 8];
/// As `A` but for its last token: 4 of 6 runs of 4 tokens are common.
const A_ALIKE: &[u32] = &[1, 2, 3, 4, 5, 6, 7, 9];
const B: &[u32] = &[11, 12, 13, 14, 15, 16, 17, 18, 19];
const SHORT: &[u32] = &[1, 2];

fn good(task: usize, pass_rate: f64, tokens: &[u32]) -> Candidate<'_> {
    Candidate {
        task,
        pass_rate,
        reward: 1.0,
        is_well_formed: true,
        is_truncated: false,
        is_forced: false,
        tokens,
    }
}

fn run(candidates: &[Candidate<'_>], config: HarvestConfig) -> Harvest {
    harvest(candidates, &config).expect("allowed")
}

/// One good rollout, spoilt in every way, and others of its task.
fn mixed() -> Vec<Candidate<'static>> {
    let base = good(0, 0.5, A);
    let spoilt = [
        Candidate {
            reward: 0.5,
            ..base
        },
        Candidate {
            reward: f64::NAN,
            ..base
        },
        Candidate {
            is_well_formed: false,
            ..base
        },
        Candidate {
            is_truncated: true,
            ..base
        },
        Candidate {
            is_forced: true,
            ..base
        },
        Candidate {
            tokens: &[],
            ..base
        },
    ];
    let tokens = [A, A_ALIKE, B, SHORT].map(|tokens| good(0, 0.5, tokens));
    let others = [good(1, 0.9, B), good(2, 0.05, B)];
    [&[base][..], &spoilt, &others, &tokens].concat()
}

#[test]
fn each_reason_is_counted() {
    let result = run(&mixed(), HarvestConfig::default());
    // The shortest first: SHORT, then A; what is like them is left out, B is one too many.
    let want = Harvest {
        taken: vec![12, 0],
        not_right: 2,
        not_well_formed: 4,
        not_informative: 2,
        not_different: 2,
        surplus: 1,
    };
    assert_eq!(result, want);
    let forced = HarvestConfig {
        forced: true,
        ..HarvestConfig::default()
    };
    assert_eq!(run(&mixed(), forced).not_well_formed, 3);
}

#[test]
fn similarity_is_a_share_of_common_runs() {
    let candidates = [good(0, 0.5, A), good(0, 0.5, A_ALIKE)];
    let taken = |similarity: f64| {
        run(
            &candidates,
            HarvestConfig {
                similarity,
                ..HarvestConfig::default()
            },
        )
        .taken
        .len()
    };
    assert_eq!((taken(0.66), taken(0.67)), (1, 2), "4 of 6 are common");
    let same = [good(0, 0.5, A), good(0, 0.5, A), good(1, 0.5, A)];
    let config = HarvestConfig {
        similarity: 1.0,
        ..HarvestConfig::default()
    };
    assert_eq!(
        run(&same, config).taken,
        [0, 2],
        "other tasks are not compared"
    );
}

#[test]
fn the_best_of_a_task_comes_before_the_shortest() {
    let better = Candidate {
        reward: 0.9,
        ..good(0, 0.5, A)
    };
    let shorter = Candidate {
        reward: 0.8,
        ..good(0, 0.5, SHORT)
    };
    let equal = Candidate {
        reward: 0.9,
        ..good(0, 0.5, B)
    };
    let config = HarvestConfig {
        min_reward: 0.5,
        per_task: 3,
        ..HarvestConfig::default()
    };
    assert_eq!(run(&[shorter, equal, better], config).taken, [2, 1, 0]);
}

#[test]
fn tasks_take_turns_middle_first() {
    let candidates = [
        good(0, 0.2, A),
        good(0, 0.2, B),
        good(1, 0.5, A),
        good(1, 0.5, B),
        good(2, 0.65, A),
    ];
    let all = run(&candidates, HarvestConfig::default());
    assert_eq!(all.taken, [2, 4, 0, 3, 1]);
    let limited = run(
        &candidates,
        HarvestConfig {
            total: Some(3),
            ..HarvestConfig::default()
        },
    );
    assert_eq!((limited.taken, limited.surplus), (vec![2, 4, 0], 2));
    assert_eq!(run(&[], HarvestConfig::default()), Harvest::default());
}

#[test]
fn settings_outside_their_range_are_errors() {
    let base = HarvestConfig::default();
    for (config, key) in [
        (
            HarvestConfig {
                min_pass_rate: 0.8,
                ..base
            },
            "max_pass_rate",
        ),
        (
            HarvestConfig {
                per_task: 0,
                ..base
            },
            "per_task",
        ),
        (
            HarvestConfig {
                similarity: 0.0,
                ..base
            },
            "similarity",
        ),
        (HarvestConfig { run: 0, ..base }, "harvest.run"),
        (
            HarvestConfig {
                total: Some(0),
                ..base
            },
            "total",
        ),
        (
            HarvestConfig {
                min_reward: f64::NAN,
                ..base
            },
            "min_reward",
        ),
    ] {
        let error = harvest(&[], &config).expect_err(key).to_string();
        assert!(error.contains(key), "{error}");
    }
}
