//! A run as a whole: its files, resuming them, and the report that is built from them.

use std::path::Path;

use glmv_monitor::{
    Completion, Display, Error, Level, Monitor, MonitorConfig, Picture, RolloutGroup, Sample,
    Values, write_report,
};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn config(resume: Option<u64>) -> MonitorConfig {
    MonitorConfig {
        title: "toy".to_owned(),
        total_steps: Some(4),
        resume,
        display: Display::Silent,
        ..MonitorConfig::default()
    }
}

/// A run in which `text` stands wherever a text can stand.
fn run(dir: &Path, text: &str) -> Monitor {
    let all = MonitorConfig {
        title: text.to_owned(),
        recipe: text.to_owned(),
        ..config(None)
    };
    let mut monitor = Monitor::open(dir, all).expect("a new run");
    let name: String = text.chars().filter(|char| !char.is_control()).collect();
    let name = format!("n{name}");
    for step in 1..=4 {
        if step == 1 {
            monitor
                .step(step, &Values::from([("loss", 1.0)]))
                .expect("recorded");
            continue;
        }
        monitor.step(step, &values(&name, step)).expect("recorded");
        monitor.sample(step, &sample(text)).expect("recorded");
        monitor.note(step, Level::Warn, text).expect("recorded");
        monitor
            .rollouts(step, &[group(text), group(text)])
            .expect("recorded");
    }
    monitor
}

/// Values with `name` in every place of a name.
fn values(name: &str, step: u64) -> Values {
    let mut values = Values::new();
    values
        .set(&format!("{name}/x"), step as f64)
        .set_in(&["domains", name, name], 0.5);
    values
        .set("time/rollout", 2.0)
        .set(&format!("time/{name}"), 1.0);
    values.counts(&format!("curriculum/{name}"), [(name, 1.0)]);
    values
}

fn picture() -> Picture {
    Picture::from_rgb8(2, 2, &[9; 12]).expect("a picture")
}

fn sample(text: &str) -> Sample {
    Sample {
        name: text.to_owned(),
        prompt: text.to_owned(),
        text: text.to_owned(),
        picture: Some(picture()),
    }
}

fn group(text: &str) -> RolloutGroup {
    RolloutGroup {
        domain: text.to_owned(),
        tier: Some(text.to_owned()),
        prompt: text.to_owned(),
        pictures: vec![picture()],
        truth: Some(text.to_owned()),
        completions: vec![Completion {
            text: text.to_owned(),
            num_tokens: 3,
            reward: Some(1.0),
            parts: vec![(text.to_owned(), f64::INFINITY)],
            advantage: Some(-0.5),
            flags: vec![text.to_owned()],
            replay_id: Some(text.to_owned()),
        }],
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn num_lines(dir: &Path) -> [usize; 4] {
    let files = ["metrics", "samples", "notes", "rollouts"];
    files.map(|name| read(&dir.join(format!("{name}.jsonl"))).lines().count())
}

/// How often the characters that make markup are there.
fn markup(html: &str) -> [usize; 4] {
    ["<", ">", "\"", "'"].map(|mark| html.matches(mark).count())
}

#[test]
fn the_report_is_built_from_the_files_alone() {
    let dir = tempfile::tempdir().expect("writable");
    let report = run(dir.path(), "seven").finish().expect("a report");
    let first = read(&report);
    for expected in [
        "seven/x",
        "step 4 of 4",
        "parts of a step",
        "curriculum/nseven, shares",
        "replay",
        "data:image/png;base64,",
    ] {
        assert!(first.contains(expected), "{expected}");
    }
    std::fs::remove_file(&report).expect("there");
    let again = write_report(dir.path()).expect("the same report");
    assert_eq!(read(&again), first);
    assert_eq!(
        std::fs::read_dir(dir.path().join("pictures"))
            .expect("a folder")
            .count(),
        1
    );
    let copy = tempfile::tempdir().expect("writable");
    assert!(matches!(write_report(copy.path()), Err(Error::Io { .. })));
}

#[test]
fn the_report_needs_nothing_else_and_runs_its_own_script_only() {
    let dir = tempfile::tempdir().expect("writable");
    let html = read(&run(dir.path(), "x").finish().expect("a report"));
    let (_, script) = html.split_once("<script>").expect("a script");
    let (script, rest) = script.split_once("</script>").expect("its end");
    assert!(!rest.contains("<script"));
    let digest = Sha256::digest(script);
    let hash: String = base64_of(&digest);
    assert!(
        html.contains(&format!("script-src 'sha256-{hash}'")),
        "the page blocks its own script"
    );
    assert!(html.contains("default-src 'none'"));
    let addresses = html.matches("http").count();
    assert_eq!(
        addresses, 2,
        "http-equiv and the name of SVG, no address that is loaded"
    );
}

/// Base64 with padding.
fn base64_of(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut bits = 0_usize;
        for index in 0..3 {
            bits = bits << 8 | usize::from(*chunk.get(index).unwrap_or(&0));
        }
        for index in 0..4 {
            let sign = SIGNS[bits >> (18 - 6 * index) & 63];
            text.push(if index <= chunk.len() {
                char::from(sign)
            } else {
                '='
            });
        }
    }
    text
}

#[test]
fn hostile_texts_stay_texts() {
    let html = |text: &str| {
        let dir = tempfile::tempdir().expect("writable");
        read(&run(dir.path(), text).finish().expect("a report"))
    };
    let harmless = html("seven");
    let hostile = [
        "</script><script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></style></pre><!--",
        "&lt;script&gt;",
        "<svg/onload=alert(1)>]]>",
    ];
    for text in hostile {
        let page = html(text);
        assert_eq!(markup(&page), markup(&harmless), "{text}");
        // The control: without escaping, the count would see it.
        if markup(text) != [0; 4] {
            assert_ne!(
                markup(&page.replacen("</h1>", &format!("{text}</h1>"), 1)),
                markup(&harmless)
            );
        }
    }
    let escaped = html("&lt;");
    assert!(escaped.contains("&amp;lt;"));
}

#[test]
fn a_resumed_run_forgets_what_came_after() {
    let dir = tempfile::tempdir().expect("writable");
    drop(run(dir.path(), "x"));
    assert_eq!(num_lines(dir.path()), [4, 3, 3, 6]);
    assert!(matches!(
        Monitor::open(dir.path(), config(None)),
        Err(Error::Exists { .. })
    ));
    let mut monitor = Monitor::open(dir.path(), config(Some(2))).expect("a run");
    assert_eq!(monitor.last_step(), Some(2));
    assert_eq!(
        num_lines(dir.path()),
        [2, 1, 2, 2],
        "a note says that it was resumed"
    );
    monitor
        .step(3, &Values::from([("loss", 0.5)]))
        .expect("the next step");
    let html = read(&monitor.finish().expect("a report"));
    assert!(html.contains("resumed after step 2"));
    let events = std::fs::read_dir(dir.path().join("tensorboard")).expect("a folder");
    assert_eq!(events.count(), 2);
}

#[test]
fn one_process_writes_at_a_time() {
    let dir = tempfile::tempdir().expect("writable");
    let first = Monitor::open(dir.path(), config(None)).expect("a new run");
    let second = Monitor::open(dir.path(), config(Some(0)));
    assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
    drop(first);
    Monitor::open(dir.path(), config(Some(0))).expect("free again");
}

#[test]
fn a_running_or_killed_run_has_a_report_too() {
    let dir = tempfile::tempdir().expect("writable");
    let monitor = run(dir.path(), "x");
    write_report(dir.path()).expect("while it runs");
    drop(monitor);
    for name in ["metrics", "rollouts", "notes", "samples"] {
        let path = dir.path().join(format!("{name}.jsonl"));
        let text = read(&path);
        std::fs::write(&path, &text[..text.len() - 5]).expect("writable");
    }
    let html = read(&write_report(dir.path()).expect("torn last lines are left out"));
    assert!(html.contains("step 3 of 4"));
    let path = dir.path().join("rollouts.jsonl");
    std::fs::write(
        &path,
        read(&path).replace("\"num_tokens\":3", "\"num_tokens\":\"3\""),
    )
    .expect("writable");
    let error = write_report(dir.path()).expect_err("damage").to_string();
    assert!(
        error.contains("rollouts.jsonl:1: `num_tokens` is \"3\""),
        "{error}"
    );
}

#[test]
fn a_missing_picture_is_said() {
    let dir = tempfile::tempdir().expect("writable");
    let monitor = run(dir.path(), "x");
    std::fs::remove_dir_all(dir.path().join("pictures")).expect("there");
    let html = read(&monitor.finish().expect("a report"));
    assert!(html.contains("cannot read") && !html.contains("data:image/png"));
}

#[test]
fn an_empty_run_has_a_report() {
    let dir = tempfile::tempdir().expect("writable");
    let monitor = Monitor::open(dir.path(), config(None)).expect("a new run");
    let html = read(&monitor.finish().expect("a report"));
    assert!(html.contains("no step is recorded yet"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_text_stays_text(text in "[<>\"'&/=a-c \\n\\PC]{0,40}") {
        let dir = tempfile::tempdir().expect("writable");
        let page = read(&run(dir.path(), &format!("x{text}")).finish().expect("a report"));
        let other = tempfile::tempdir().expect("writable");
        let harmless = read(&run(other.path(), "x").finish().expect("a report"));
        prop_assert_eq!(markup(&page), markup(&harmless));
    }
}
