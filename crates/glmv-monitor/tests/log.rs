//! The log of metrics: whole after every step, cut when a run is resumed, strict about damage.

use std::path::{Path, PathBuf};

use glmv_monitor::{Error, MetricLog, Values};
use proptest::prelude::*;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("writable");
    let path = dir.path().join("metrics.jsonl");
    (dir, path)
}

/// A log of steps `1..=last`.
fn write(path: &Path, last: u64) {
    let mut log = MetricLog::create(path).expect("writable");
    for step in 1..=last {
        let values = Values::from([("loss", step as f64 / 8.0)]);
        log.append(step, &values).expect("writable");
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("readable")
}

fn steps(path: &Path) -> Vec<u64> {
    let text = text(path);
    let step = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        line["step"].as_u64().expect("a step")
    };
    text.lines().map(step).collect()
}

#[test]
fn a_line_has_step_time_and_values() {
    let (_dir, path) = folder();
    let mut log = MetricLog::create(&path).expect("writable");
    let values = Values::from([("loss/train", 0.25), ("grad/norm", f64::NAN)]);
    log.append(3, &values).expect("writable");
    let text = text(&path); // without dropping the log: it is in the file at once
    assert!(text.starts_with("{\"step\":3,\"time\":"), "{text}");
    assert!(
        text.ends_with(",\"loss/train\":0.25,\"grad/norm\":\"NaN\"}\n"),
        "{text}"
    );
}

#[test]
fn a_resumed_log_has_nothing_after_the_step() {
    let (_dir, path) = folder();
    write(&path, 9);
    let before = text(&path);
    let mut log = MetricLog::resume(&path, 4).expect("a log");
    assert_eq!(log.last_step(), Some(4));
    let kept: String = before.split_inclusive('\n').take(4).collect();
    assert_eq!(text(&path), kept);
    let error = log
        .append(4, &Values::new())
        .expect_err("the step is there");
    assert!(
        matches!(
            error,
            Error::Order {
                step: 4,
                last: 4,
                ..
            }
        ),
        "{error}"
    );
    log.append(5, &Values::new()).expect("the next step");
    drop(log);
    assert_eq!(steps(&path), [1, 2, 3, 4, 5]);
    let log = MetricLog::resume(&path, 100).expect("a log");
    assert_eq!(log.last_step(), Some(5));
    drop(log);
    let log = MetricLog::resume(&path, 0).expect("a log");
    assert_eq!((log.last_step(), text(&path).len()), (None, 0));
}

#[test]
fn a_log_is_not_begun_twice() {
    let (_dir, path) = folder();
    write(&path, 1);
    assert!(matches!(
        MetricLog::create(&path),
        Err(Error::Exists { .. })
    ));
    assert_eq!(steps(&path), [1]);
}

#[test]
fn a_log_that_ends_anywhere_can_be_resumed() {
    let (_dir, path) = folder();
    write(&path, 3);
    let whole = text(&path);
    let ends: Vec<usize> = whole
        .match_indices('\n')
        .map(|(index, _)| index + 1)
        .collect();
    for len in 0..=whole.len() {
        std::fs::write(&path, &whole[..len]).expect("writable");
        drop(MetricLog::resume(&path, 3).expect("torn at most"));
        // A line without its newline is whole where it ends in its brace.
        let kept = ends
            .iter()
            .filter(|end| **end <= len + 1)
            .max()
            .unwrap_or(&0);
        assert_eq!(text(&path), whole[..*kept], "cut at {len}");
    }
}

#[test]
fn damage_before_the_end_is_an_error_with_its_line() {
    let (_dir, path) = folder();
    let damaged = [
        ("{\"step\":1}\nnot JSON\n{\"step\":3}\n", 2),
        ("{\"step\":1}\n{\"step\":2\n", 2),
        ("{\"step\":1}\n\n{\"step\":3}\n", 2),
        ("{\"step\":2}\n{\"step\":2}\n", 2),
        ("{\"step\":2}\n{\"step\":3}\n{\"step\":1}\n", 3),
        ("{\"loss\":2}\n{\"step\":3}\n", 1),
        ("{\"step\":-2}\n", 1),
        ("{\"step\":1}\n\0\0\0\0\n{\"step\":2}\n", 2),
    ];
    for (content, expected) in damaged {
        std::fs::write(&path, content).expect("writable");
        match MetricLog::resume(&path, 9) {
            Err(Error::Line { line, .. }) => assert_eq!(line, expected, "{content}"),
            other => panic!("{content}: {other:?}"),
        }
        assert_eq!(text(&path), content, "a damaged file is left alone");
    }
}

#[test]
fn refused_values_leave_no_line() {
    let (_dir, path) = folder();
    let mut log = MetricLog::create(&path).expect("writable");
    let mut values = Values::new();
    values.set("step", 1.0);
    assert!(matches!(log.append(1, &values), Err(Error::Name { .. })));
    values = Values::new();
    values.set_json(
        &["domains"],
        serde_json::json!({"ocr": {"reward": f64::NAN}}),
    );
    assert!(matches!(log.append(1, &values), Err(Error::Null { .. })));
    assert_eq!(text(&path), "");
    log.append(1, &Values::new())
        .expect("the step is still free");
}

proptest! {
    #[test]
    fn every_number_and_name_comes_back(
        values in prop::collection::btree_map("[^\\p{Cc}]{1,12}", any::<f64>(), 0..6),
    ) {
        let (_dir, path) = folder();
        let mut set = Values::new();
        let values: Vec<_> = values.into_iter().filter(|(name, _)| {
            !["step", "time", "counts"].contains(&name.as_str())
        }).collect();
        for (name, value) in &values {
            set.set(name, *value);
        }
        MetricLog::create(&path).expect("writable").append(1, &set).expect("good names");
        let line = text(&path);
        let parsed: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        prop_assert_eq!(parsed.as_object().expect("an object").len(), values.len() + 2);
        for (name, value) in &values {
            let name = serde_json::Value::from(name.as_str()).to_string();
            let (_, written) = line.split_once(&format!(",{name}:")).expect("the member");
            let end = written.find([',', '}']).expect("its end");
            let back: f64 = written[..end].trim_matches('"').parse().expect("a number");
            prop_assert!(back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan());
        }
    }
}
