//! Data sets on disk, and the audit of them.

use glmv_gym::audit::{Fault, audit};
use glmv_gym::write::{Layout, Plan, make};
use glmv_gym::{Domain, Error, Size, Split};
use glmv_reward::RewardSystem;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn plan(split: Split, layout: Layout, n: u64) -> Plan {
    Plan {
        domains: Domain::ALL.to_vec(),
        levels: vec![1, 3],
        tasks: Vec::new(),
        split,
        seed: 100,
        n,
        size: Size { side: 28 },
        layout,
        nothink: 0.25,
    }
}

fn rows(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("readable");
    text.lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect()
}

#[test]
fn sft_rows_have_pictures_a_question_and_a_turn_of_the_model() {
    let dir = tempfile::tempdir().expect("writable");
    let report = make(&plan(Split::Train, Layout::Sft, 88), dir.path()).expect("made");
    assert_eq!((report.rows, report.per_level.len()), (88, 22));
    assert!((8..40).contains(&report.nothink), "{}", report.nothink);
    let mut short = 0;
    for row in rows(&report.file) {
        let user = row["messages"][0]["content"].as_array().expect("parts");
        let (text, media) = user.split_last().expect("parts");
        for part in media {
            let kind = part["type"].as_str().expect("a kind");
            let path = dir.path().join(part[kind].as_str().expect("a path"));
            assert!(if kind == "video" {
                path.join("metadata.json").is_file()
            } else {
                path.is_file()
            });
        }
        let (asked, said) = (
            text["text"].as_str(),
            row["messages"][1]["content"].as_str(),
        );
        let (asked, said) = (asked.expect("text"), said.expect("text"));
        let answer = row["gym"]["answer"].as_str().expect("an answer");
        assert!(said.ends_with(&format!("<|begin_of_box|>{answer}<|end_of_box|>")));
        assert_eq!(
            asked.ends_with("/nothink"),
            said.starts_with("<think></think>")
        );
        assert_eq!(
            row["thinking"].as_bool(),
            Some(!asked.ends_with("/nothink"))
        );
        short += u64::from(asked.ends_with("/nothink"));
    }
    assert_eq!(short, report.nothink);
}

#[test]
fn the_same_plan_writes_the_same_bytes() {
    let write = |layout: Layout| {
        let dir = tempfile::tempdir().expect("writable");
        let report = make(&plan(Split::Test, layout, 30), dir.path()).expect("made");
        fs::read(report.file).expect("readable")
    };
    for layout in Layout::ALL {
        assert_eq!(write(layout), write(layout));
        assert_eq!(Layout::find(layout.name()).expect("a name"), layout);
    }
}

#[test]
fn rl_rows_are_judged_by_the_reward_config_beside_them() {
    let dir = tempfile::tempdir().expect("writable");
    let report = make(&plan(Split::Train, Layout::Rl, 66), dir.path()).expect("made");
    assert_eq!(report.nothink, 0);
    let system = RewardSystem::from_file(&dir.path().join("reward.toml")).expect("a config");
    for row in rows(&report.file) {
        let source = row["data_source"].as_str().expect("a source");
        let truth = row["reward_model"]["ground_truth"]
            .as_str()
            .expect("a truth");
        let said = format!("<think>I look.</think><|begin_of_box|>{truth}<|end_of_box|>");
        let verdict = system
            .source(source)
            .expect("known")
            .completion(&said, truth)
            .expect("a truth");
        assert_eq!(verdict.reward, Some(1.0), "{source}: {truth}");
        let known = &row["extra_info"];
        let tier = ["very-easy", "medium"][usize::from(known["level"] == 3)];
        assert_eq!(known["tier"], tier, "what the curriculum begins with");
        let content = row["prompt"][0]["content"].as_str().expect("text");
        let count = |marker: &str, list: &str| {
            (
                content.matches(marker).count(),
                row[list].as_array().map_or(0, Vec::len),
            )
        };
        let (images, videos) = (count("<image>", "images"), count("<video>", "videos"));
        assert!(images.0 == images.1 && videos.0 == videos.1 && images.0 + videos.0 > 0);
    }
}

#[test]
fn captions_have_a_marker_per_picture() {
    let dir = tempfile::tempdir().expect("writable");
    let report = make(&plan(Split::Train, Layout::Caption, 44), dir.path()).expect("made");
    for row in rows(&report.file) {
        let text = row["text"].as_str().expect("text");
        let listed = row["images"]
            .as_array()
            .or_else(|| row["videos"].as_array());
        let markers = text.matches("<image>").count() + text.matches("<video>").count();
        assert_eq!(Some(markers), listed.map(Vec::len));
        assert!(text.len() > "<image>".len() * markers + 5);
    }
}

/// A training and a test file that are apart.
fn written(dir: &Path) -> (PathBuf, PathBuf) {
    let train = make(&plan(Split::Train, Layout::Sft, 66), &dir.join("train")).expect("made");
    let test = make(&plan(Split::Test, Layout::Rl, 44), &dir.join("test")).expect("made");
    (train.file, test.file)
}

fn faults(train: &Path, eval: &Path) -> Vec<Fault> {
    let found = audit(&[train.to_owned()], &[eval.to_owned()]).expect("readable");
    assert_eq!(found.is_clean(), found.findings.is_empty());
    found.findings.into_iter().map(|f| f.fault).collect()
}

#[test]
fn files_of_different_splits_are_apart() {
    let dir = tempfile::tempdir().expect("writable");
    let (train, test) = written(dir.path());
    let found = audit(&[train], &[test]).expect("readable");
    assert!(found.is_clean(), "{found}");
    assert_eq!((found.train_rows, found.eval_rows), (66, 44));
    assert!(!audit(&[], &[]).expect("nothing to read").is_clean());
}

#[test]
fn an_evaluation_row_among_training_rows_is_found() {
    let dir = tempfile::tempdir().expect("writable");
    let (train, test) = written(dir.path());
    // As it is, without its files being moved: they are found by their path.
    let leaked = dir.path().join("test/leaked.jsonl");
    let first = fs::read_to_string(&test)
        .expect("readable")
        .lines()
        .next()
        .expect("a row")
        .to_owned();
    fs::write(&leaked, format!("{first}\n")).expect("writable");
    let all = [
        Fault::HeldOut,
        Fault::SameId,
        Fault::SameContent,
        Fault::SameCombination,
    ];
    assert_eq!(faults(&leaked, &test), all);
    // Renamed to a training seed: it is no longer what its seed makes.
    let mut row: Value = serde_json::from_str(&first).expect("JSON");
    row["gym"]["seed"] = 5.into();
    row["gym"]["id"] = "counting-1-5".into();
    fs::write(&leaked, format!("{row}\n")).expect("writable");
    let found = faults(&leaked, &test);
    assert!(
        found.contains(&Fault::Altered) && found.contains(&Fault::SameContent),
        "{found:?}"
    );
    assert_eq!(
        faults(&train, &train)
            .iter()
            .filter(|f| **f == Fault::NotHeldOut)
            .count(),
        66
    );
}

#[test]
fn a_row_that_says_something_else_than_it_shows_is_found() {
    let dir = tempfile::tempdir().expect("writable");
    let (train, test) = written(dir.path());
    let text = fs::read_to_string(&train).expect("readable");
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut row: Value =
            serde_json::from_str(text.lines().next().expect("a row")).expect("JSON");
        edit(&mut row);
        let file = dir.path().join("train/changed.jsonl");
        fs::write(&file, format!("{row}\n")).expect("writable");
        faults(&file, &test)
    };
    assert_eq!(change(&|_| ()), []);
    let parts = change(&|row| {
        let parts = row["messages"][0]["content"].as_array_mut().expect("parts");
        parts.last_mut().expect("text")["text"] = "Something else?".into();
    });
    assert_eq!(parts, [Fault::Altered]);
    let said = change(&|row| row["messages"][1]["content"] = "<think></think>99".into());
    assert_eq!(said, [Fault::Altered]);
    let other = rows(&train)[1]["gym"]["media"][0].clone();
    let shown = change(&|row| row["messages"][0]["content"][0]["image"] = other.clone());
    assert_eq!(shown, [Fault::Altered]);
    assert_eq!(
        change(&|row| row["gym"]["answer"] = "99".into()),
        [Fault::Altered]
    );
    let factor = change(&|row| row["gym"]["factors"]["count"] = "77".into());
    assert!(factor.contains(&Fault::Altered), "{factor:?}");
    let path = rows(&train)[0]["gym"]["media"][0]
        .as_str()
        .expect("a path")
        .to_owned();
    let picture = dir.path().join("train").join(path);
    let mut pixels = image::open(&picture).expect("a picture").to_rgb8();
    pixels.get_pixel_mut(1, 1).0[0] ^= 1;
    pixels.save(&picture).expect("writable");
    assert_eq!(change(&|_| ()), [Fault::Altered]);
}

#[test]
fn rows_that_are_not_ours_are_errors_with_file_and_line() {
    let dir = tempfile::tempdir().expect("writable");
    let file = dir.path().join("x.jsonl");
    for (text, words) in [
        ("{}\n", ["line 1", "gym", "missing"]),
        ("{\"gym\": {\"id\": 5}}\n", ["line 1", "gym", "string"]),
        ("nothing\n", ["line 1", "row", "expected"]),
    ] {
        fs::write(&file, text).expect("writable");
        let error = audit(std::slice::from_ref(&file), &[])
            .expect_err(text)
            .to_string();
        assert!(error.contains("x.jsonl"), "{error}");
        for word in words {
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}

#[test]
fn one_task_alone_is_made_and_audited() {
    let dir = tempfile::tempdir().expect("writable");
    let mut files = Vec::new();
    for split in [Split::Train, Split::Test] {
        let plan = Plan {
            domains: vec![Domain::Vqa],
            levels: vec![1, 2],
            tasks: vec!["colour".into(), "shape".into()],
            ..plan(split, Layout::Sft, 40)
        };
        let report = make(&plan, dir.path()).expect("made");
        let templates: Vec<String> = rows(&report.file)
            .iter()
            .map(|row| row["gym"]["template"].as_str().expect("a name").to_owned())
            .collect();
        let of = |task: &str| templates.iter().filter(|t| t.starts_with(task)).count();
        assert_eq!(of("vqa/colour/") + of("vqa/shape/"), 40, "{templates:?}");
        assert!(of("vqa/colour/") > 9 && of("vqa/shape/") > 9);
        files.push(report.file);
    }
    let found = audit(&files[..1], &files[1..]).expect("audited");
    assert!(found.is_clean(), "{found}");
    // A row that claims a task of another domain is no error, but it is not genuine.
    let text = fs::read_to_string(&files[0]).expect("readable");
    fs::write(&files[0], text.replacen("vqa/colour/", "vqa/together/", 1)).expect("writable");
    let found = audit(&files[..1], &files[1..]).expect("audited");
    assert!(!found.is_clean());
}

#[test]
fn plans_that_cannot_be_are_errors() {
    let dir = tempfile::tempdir().expect("writable");
    let good = plan(Split::Train, Layout::Sft, 1);
    for (wrong, word) in [
        (
            Plan {
                domains: Vec::new(),
                ..good.clone()
            },
            "domains",
        ),
        (
            Plan {
                levels: Vec::new(),
                ..good.clone()
            },
            "levels",
        ),
        (
            Plan {
                levels: vec![6],
                ..good.clone()
            },
            "level 6",
        ),
        (
            Plan {
                tasks: vec!["color".into()],
                domains: vec![Domain::Vqa],
                ..good.clone()
            },
            "color; others: colour, exists, shape",
        ),
        (
            Plan {
                nothink: f64::NAN,
                ..good.clone()
            },
            "nothink",
        ),
    ] {
        let error = make(&wrong, dir.path()).expect_err(word).to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(matches!(Layout::find("csv"), Err(Error::Layout { .. })));
}
