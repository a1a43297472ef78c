//! Process rewards: a well child, and children that fail in every way the protocol knows.

use std::time::{Duration, Instant};

use glmv_reward::judge::FailureKind;
use glmv_reward::user::{
    ProcessConfig, ProcessReward, RewardSample, UserError, UserReward, checked_scores,
};

fn config(mode: &str) -> ProcessConfig {
    let child = env!("CARGO_BIN_EXE_glmv-reward-faulty-child").to_owned();
    ProcessConfig {
        command: vec![child, mode.to_owned()],
        timeout_secs: 5.0,
        start_timeout_secs: 5.0,
        ..ProcessConfig::default()
    }
}

fn start(change: impl FnOnce(&mut ProcessConfig)) -> ProcessReward {
    let mut config = config("well");
    change(&mut config);
    ProcessReward::start(config).expect("a child")
}

fn sample(response: &str, ground_truth: &str) -> RewardSample {
    RewardSample {
        response: response.to_owned(),
        ground_truth: ground_truth.to_owned(),
        ..RewardSample::default()
    }
}

/// `n` samples, every third of which is right.
fn mixed(n: usize) -> (Vec<RewardSample>, Vec<Result<f32, UserError>>) {
    let samples = (0..n).map(|i| sample(&format!("{}", i % 3), "0")).collect();
    let scores = (0..n)
        .map(|i| Ok(if i % 3 == 0 { 1.0 } else { 0.0 }))
        .collect();
    (samples, scores)
}

#[test]
fn a_batch_over_several_children_keeps_its_order() {
    let reward = start(|c| c.workers = 3);
    let (samples, expected) = mixed(500);
    assert_eq!(reward.score(&samples), expected);
    assert!(reward.score(&[]).is_empty());
    let stats = reward.stats();
    assert_eq!((stats.calls, stats.attempts, stats.restarts), (500, 500, 0));
}

#[test]
fn text_of_any_kind_survives_the_pipe() {
    let reward = start(|_| {});
    let texts = [
        "两个 \"苹果\"\n\r\t\u{0} 🍎 \\",
        "\u{2028}\u{feff}",
        &"长".repeat(300_000),
    ];
    let samples: Vec<_> = texts.iter().map(|text| sample(text, text)).collect();
    assert_eq!(reward.score(&samples), vec![Ok(1.0); 3]);
}

#[test]
fn callers_of_many_threads_share_the_children() {
    let reward = start(|c| c.workers = 2);
    std::thread::scope(|scope| {
        for n in 1..9 {
            let reward = &reward;
            scope.spawn(move || {
                let (samples, expected) = mixed(n * 7);
                assert_eq!(reward.score(&samples), expected);
            });
        }
    });
}

#[test]
fn workers_run_at_the_same_time() {
    let reward = start(|c| {
        c.workers = 4;
        c.in_flight = 1;
    });
    let start = Instant::now();
    assert_eq!(
        reward.score(&vec![sample("!slow", ""); 16]),
        vec![Ok(1.0); 16]
    );
    assert!(
        start.elapsed() < Duration::from_millis(1500),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_sample_that_breaks_the_child_fails_alone() {
    let cases = [
        ("!exit", FailureKind::ChildExit, "Traceback: boom"),
        ("!garbage", FailureKind::Reply, "I think it is good"),
        ("!bytes", FailureKind::Reply, "not UTF-8"),
        ("!long", FailureKind::Reply, "max_line_bytes"),
        ("!nan", FailureKind::NotFinite, "NaN is not a finite reward"),
        ("!unknown", FailureKind::Reply, "unknown id"),
    ];
    for (fault, kind, text) in cases {
        let reward = start(|c| c.workers = 2);
        let (mut samples, mut expected) = mixed(60);
        samples[20] = sample(fault, "x");
        let mut scores = reward.score(&samples);
        let error = scores[20].clone().expect_err(fault);
        assert!(
            matches!(error, UserError::Exhausted { attempts: 3, .. }),
            "{fault}: {error}"
        );
        assert_eq!(error.kind(), kind, "{fault}");
        assert!(error.to_string().contains(text), "{fault}: {error}");
        scores.swap_remove(20).expect_err("looked at above");
        expected.swap_remove(20).expect("a score");
        assert_eq!(scores, expected, "{fault}: no other sample is touched");
        let stats = reward.stats();
        assert_eq!(stats.failures.get(&kind), Some(&1), "{fault}");
        assert_eq!(stats.failed_calls(), 1, "{fault}");
        assert!((1..=3).contains(&stats.restarts), "{fault}: {stats:?}");
        assert_eq!(
            reward.score(&[sample("a", "a")]),
            [Ok(1.0)],
            "{fault}: well afterwards"
        );
    }
}

#[test]
fn a_hanging_child_is_killed_and_replaced() {
    let reward = start(|c| {
        c.timeout_secs = 0.4;
        c.max_attempts = 2;
    });
    let start = Instant::now();
    let scores = reward.score(&[sample("a", "a"), sample("!hang", ""), sample("b", "c")]);
    assert_eq!(scores[0], Ok(1.0));
    assert_eq!(
        scores[1].as_ref().map_err(UserError::kind),
        Err(FailureKind::TimedOut)
    );
    assert_eq!(scores[2], Ok(0.0));
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_child_that_fails_once_is_forgiven() {
    let dir = tempfile::tempdir().expect("writable");
    let mark = dir.path().join("mark");
    let reward = start(|_| {});
    let response = format!("!exit-once {}", mark.display());
    assert_eq!(reward.score(&[sample(&response, &response)]), [Ok(1.0)]);
    let stats = reward.stats();
    assert_eq!(
        (stats.retries, stats.restarts, stats.failed_calls()),
        (1, 1, 0)
    );
}

#[test]
fn a_second_reply_is_found_out() {
    let reward = start(|c| c.in_flight = 1);
    let scores = reward.score(&[sample("!twice", ""), sample("a", "a"), sample("b", "b")]);
    assert_eq!(
        scores,
        [Ok(0.25), Ok(1.0), Ok(1.0)],
        "the first reply stands"
    );
    let stats = reward.stats();
    assert_eq!(stats.failed_attempts.get(&FailureKind::Reply), Some(&1));
    assert_eq!(stats.restarts, 1);
}

#[test]
fn errors_and_numbers_out_of_range_belong_to_their_sample() {
    let reward = start(|_| {});
    let scores = reward.score(&[sample("!error", ""), sample("!huge", ""), sample("a", "a")]);
    let declined = UserError::Declined {
        message: "no reference".to_owned(),
    };
    assert_eq!(scores[0], Err(declined));
    assert_eq!(
        scores[1].as_ref().map_err(UserError::kind),
        Err(FailureKind::NotFinite)
    );
    assert_eq!(scores[2], Ok(1.0));
    assert_eq!(reward.stats().restarts, 0);
}

#[test]
fn a_child_that_cannot_start_says_why() {
    for (mode, text) in [
        ("version", "glmv-reward 2"),
        ("chatty", "Loading the model"),
        ("dies", "cannot find my weights"),
        ("silent", "no handshake within 0.5 s"),
    ] {
        let mut config = config(mode);
        config.start_timeout_secs = if mode == "silent" { 0.5 } else { 5.0 };
        let error = ProcessReward::start(config).map(|_| ()).expect_err(mode);
        assert_eq!(error.kind(), FailureKind::Start, "{mode}: {error}");
        assert!(error.to_string().contains(text), "{mode}: {error}");
    }
    let mut missing = config("well");
    missing.command = vec!["glmv-no-such-program".to_owned()];
    let error = ProcessReward::start(missing)
        .map(|_| ())
        .expect_err("missing");
    assert!(
        error.to_string().contains("glmv-no-such-program"),
        "{error}"
    );
}

#[test]
fn a_program_that_disappears_fails_every_sample_instead_of_hanging() {
    let dir = tempfile::tempdir().expect("writable");
    let original = env!("CARGO_BIN_EXE_glmv-reward-faulty-child");
    let copy = dir
        .path()
        .join(format!("child{}", std::env::consts::EXE_SUFFIX));
    let moved = dir.path().join("moved");
    std::fs::copy(original, &copy).expect("copied");
    let reward = start(|c| c.command = vec![copy.display().to_string()]);
    assert_eq!(reward.score(&[sample("a", "a")]), [Ok(1.0)]);
    std::fs::rename(&copy, &moved).expect("moved, which a running program allows");
    let (mut samples, _) = mixed(40);
    samples[0] = sample("!exit", "");
    let scores = reward.score(&samples);
    assert!(
        scores
            .iter()
            .all(|s| s.as_ref().is_err_and(|e| e.kind() == FailureKind::Start) || s.is_ok()),
        "{scores:?}"
    );
    assert_eq!(
        scores[0].as_ref().map_err(UserError::kind),
        Err(FailureKind::Start)
    );
    std::fs::rename(&moved, &copy).expect("back");
    assert_eq!(reward.score(&[sample("a", "a")]), [Ok(1.0)], "well again");
}

#[test]
fn bad_settings_are_named() {
    let field = |change: fn(&mut ProcessConfig)| {
        let mut config = config("well");
        change(&mut config);
        match ProcessReward::start(config).map(|_| ()) {
            Err(UserError::Config { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(field(|c| c.command.clear()), "command");
    assert_eq!(field(|c| c.workers = 0), "workers");
    assert_eq!(field(|c| c.in_flight = 0), "in_flight");
    assert_eq!(field(|c| c.timeout_secs = f64::NAN), "timeout_secs");
    assert_eq!(field(|c| c.max_attempts = 0), "max_attempts");
}

/// Ends with the child: a dropped reward and a killed child leave no process behind.
#[cfg(target_os = "linux")]
#[test]
fn no_process_is_left_behind() {
    let runs = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let gone = |pid: u32| {
        let start = Instant::now();
        while runs(pid) && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(10));
        }
        !runs(pid)
    };
    let reward = start(|_| {});
    let pid = reward.score(&[sample("!pid", "")])[0]
        .clone()
        .expect("a number") as u32;
    assert!(runs(pid));
    drop(reward);
    assert!(gone(pid), "the child outlives its reward");

    let dir = tempfile::tempdir().expect("writable");
    let file = dir.path().join("pid");
    let reward = start(|c| {
        c.timeout_secs = 0.5;
        c.max_attempts = 1;
    });
    let scores = reward.score(&[sample(&format!("!orphan {}", file.display()), "")]);
    assert_eq!(
        scores[0].as_ref().map_err(UserError::kind),
        Err(FailureKind::TimedOut)
    );
    let grandchild = std::fs::read_to_string(&file).expect("written");
    assert!(
        gone(grandchild.parse().expect("a number")),
        "the child's child outlives it"
    );
}

#[test]
fn the_python_example_speaks_the_protocol() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/user_reward.py");
    let reward = start(|c| c.command = vec!["python3".to_owned(), script.to_owned()]);
    let scores = reward.score(&[
        sample("It is Paris.", "paris"),
        sample("It is Paris. Or not.", "paris"),
        sample("Rome", "paris"),
        sample("Rome", ""),
    ]);
    assert_eq!(scores[..3], [Ok(1.0), Ok(0.9), Ok(0.0)]);
    assert_eq!(
        scores[3].as_ref().map_err(UserError::kind),
        Err(FailureKind::Declined)
    );
}

#[test]
fn results_of_a_closure_are_checked() {
    let with = |results: Vec<Result<f32, UserError>>| {
        let reward = move |_: &[RewardSample]| results.clone();
        checked_scores(&reward, &[sample("a", ""), sample("b", "")])
    };
    assert_eq!(with(vec![Ok(1.0), Ok(-2.0)]), [Ok(1.0), Ok(-2.0)]);
    let nan = with(vec![Ok(f32::NAN), Ok(0.0)]);
    assert_eq!(
        nan[0].as_ref().map_err(UserError::kind),
        Err(FailureKind::NotFinite)
    );
    assert_eq!(nan[1], Ok(0.0));
    assert!(matches!(
        with(vec![Ok(1.0)])[1],
        Err(UserError::Count {
            expected: 2,
            found: 1
        })
    ));
}
