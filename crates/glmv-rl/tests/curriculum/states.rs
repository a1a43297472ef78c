//! A saved curriculum goes on as the first would have, bit for bit, also from the midst of an
//! iteration; another seed does not.

use glmv_rl::curriculum::{
    self, Ask, Curriculum, CurriculumConfig, Grade, Kind, Reply, Settings, State, Step, Task,
};
use glmv_rl::mixture::MixtureConfig;
use glmv_sampling::Draws;

const KINDS: [Kind; 4] = [Kind::Rlcs, Kind::Uniform, Kind::Dapo, Kind::Speed];

fn tasks() -> Vec<Task> {
    let task = |i: usize| Task {
        sub_domain: format!("s{}", i % 3),
        grades: vec![Grade {
            model: "m".into(),
            samples: 7,
            right: (i % 8) as u64,
        }],
        ..Task::new(format!("t{i}"), ["a", "b"][i % 2])
    };
    (0..60).map(task).collect()
}

fn make(kind: Kind, seed: u64) -> Box<dyn Curriculum> {
    let mixture = MixtureConfig {
        domains: [("a".to_owned(), 0.7), ("b".to_owned(), 0.3)].into(),
        thinking: 0.3,
    };
    let settings = Settings {
        batch: 5,
        group: 8,
        seed,
        mixture,
    };
    let config = CurriculumConfig {
        kind,
        ..CurriculumConfig::default()
    };
    curriculum::new(&config, settings, tasks()).expect("allowed")
}

/// Rewards by a generator of their own, with thirds among them, which no binary fraction holds.
fn replies(asks: &[Ask], rng: &mut Draws) -> Vec<Reply> {
    let mut reply = |ask: &Ask| Reply {
        task: ask.task,
        rewards: (0..ask.completions)
            .map(|_| (rng.next_unit() * 3.99).floor() / 3.0)
            .collect(),
        counted_tokens: 3,
    };
    asks.iter().map(&mut reply).collect()
}

/// Goes through `steps` calls (of `begin` or `receive`), with everything asked on the way.
fn go_on(curriculum: &mut dyn Curriculum, steps: usize, rng: &mut Draws) -> Vec<Vec<Ask>> {
    let mut asked = Vec::new();
    for _ in 0..steps {
        let pending = curriculum.pending().to_vec();
        if pending.is_empty() {
            asked.push(curriculum.begin().expect("idle"));
        } else if let Step::More(more) = curriculum.receive(&replies(&pending, rng)).expect("asked")
        {
            asked.push(more);
        }
    }
    asked
}

#[test]
fn a_saved_curriculum_goes_on_bit_for_bit() {
    for kind in KINDS {
        // 20 calls end between iterations for some kinds, 21 in the midst of one.
        for before in [0, 20, 21] {
            let mut first = make(kind, 11);
            let mut rng = Draws::new(4);
            go_on(first.as_mut(), before, &mut rng);
            let json = first.save().to_json().expect("JSON");
            let state = State::from_json(&json).expect("JSON");
            assert_eq!(state, first.save(), "{kind:?}: numbers come back exactly");
            state.check_tasks(&tasks()).expect("the same tasks");
            let mut second = state.into_curriculum();
            let mut rng_of_second = rng.clone();
            let asked = go_on(first.as_mut(), 30, &mut rng);
            assert!(asked.len() >= 15);
            assert_eq!(
                asked,
                go_on(second.as_mut(), 30, &mut rng_of_second),
                "{kind:?}"
            );
            assert_eq!(first.save().to_json(), second.save().to_json(), "{kind:?}");
        }
    }
}

#[test]
fn the_seed_decides() {
    for kind in KINDS {
        let run = |seed| go_on(make(kind, seed).as_mut(), 10, &mut Draws::new(4));
        assert_eq!(run(1), run(1), "{kind:?}");
        assert_ne!(run(1), run(2), "{kind:?}");
    }
}

#[test]
fn other_tasks_and_spoilt_files_are_named() {
    let state = make(Kind::Rlcs, 1).save();
    let mut other = tasks();
    other[7].grades[0].right = 6;
    let error = state
        .check_tasks(&other)
        .expect_err("another grade")
        .to_string();
    assert!(error.contains("task 7 was Some(\"t7\")"), "{error}");
    let error = state
        .check_tasks(&tasks()[..59])
        .expect_err("one less")
        .to_string();
    assert!(
        error.contains("task 59") && error.contains("now None"),
        "{error}"
    );
    let json = state.to_json().expect("JSON");
    let error = State::from_json(&json[..json.len() / 2]).expect_err("half a file");
    assert!(error.to_string().contains("line 1"), "{error}");
    assert!(State::from_json("{\"kind\":\"best\"}").is_err());
    // A file that parses and does not fit together.
    let mut value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let core = &mut value["rlcs"]["core"];
    core["beliefs"].as_array_mut().expect("a list").pop();
    let error = State::from_json(&value.to_string()).expect_err("a belief less");
    assert!(error.to_string().contains("belief"), "{error}");
    for kind in KINDS {
        let mut curriculum = make(kind, 1);
        curriculum.begin().expect("idle");
        let json = curriculum.save().to_json().expect("JSON");
        let asked = curriculum.pending()[0].task;
        let json = json.replace(&format!("\"task\":{asked},"), "\"task\":99,");
        let error = State::from_json(&json).expect_err("no task 99").to_string();
        assert!(error.contains("not there"), "{kind:?}: {error}");
    }
}
