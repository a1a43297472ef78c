//! Majority, cache, local and scripted judges.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use glmv_reward::judge::{
    CacheConfig, Cached, FailureKind, Generate, GenerateRequest, Generated, Judge, JudgeError,
    JudgeRequest, LocalJudge, Majority, MajorityRule, RewardModel, RewardQuery, ScoreRule,
    Scripted, ScriptedRewardModel, TieRule, Verdict, VerdictForm,
};
use proptest::prelude::*;

fn request(text: &str) -> JudgeRequest {
    JudgeRequest::new("q", text, "r").with_user_message(text)
}

fn panel(replies: &[&str], rule: MajorityRule) -> Majority {
    let judges = replies
        .iter()
        .map(|reply| {
            let reply = (*reply).to_owned();
            Arc::new(Scripted::with("s", move |_| Ok(reply.clone()))) as Arc<dyn Judge>
        })
        .collect();
    Majority::new(judges, rule).expect("a possible quorum")
}

fn vote(replies: &[&str], rule: MajorityRule) -> Result<Verdict, JudgeError> {
    panel(replies, rule)
        .judge(&request("x"))
        .map(|judgement| judgement.verdict)
}

#[test]
fn more_than_half_of_the_votes_decide() {
    let rule = MajorityRule::default();
    assert_eq!(vote(&["1"], rule), Ok(Verdict::Right));
    assert_eq!(vote(&["1", "0", "1"], rule), Ok(Verdict::Right));
    assert_eq!(vote(&["1", "0", "0"], rule), Ok(Verdict::Wrong));
}

#[test]
fn a_failed_judge_has_no_vote() {
    let rule = MajorityRule::default();
    // Two of three answered, which is the quorum: their votes count alone.
    assert_eq!(vote(&["1", "1", "garbage"], rule), Ok(Verdict::Right));
    assert_eq!(vote(&["0", "0", "garbage"], rule), Ok(Verdict::Wrong));
    let error = vote(&["1", "garbage", "?"], rule).expect_err("one of three");
    assert!(matches!(
        error,
        JudgeError::NoQuorum {
            votes: 1,
            judges: 3,
            quorum: 2,
            ..
        }
    ));
    assert_eq!(error.kind(), FailureKind::NoQuorum);
    let one = MajorityRule {
        quorum: Some(1),
        ..rule
    };
    assert_eq!(vote(&["1", "garbage", "?"], one), Ok(Verdict::Right));
    assert_eq!(
        vote(&["garbage", "?"], one).map_err(|e| e.kind()),
        Err(FailureKind::NoQuorum)
    );
}

#[test]
fn the_tie_rule_is_explicit() {
    let with = |tie| MajorityRule {
        tie,
        ..MajorityRule::default()
    };
    assert_eq!(
        vote(&["1", "0"], MajorityRule::default()),
        Ok(Verdict::Wrong)
    );
    assert_eq!(vote(&["1", "0"], with(TieRule::First)), Ok(Verdict::Right));
    assert_eq!(
        vote(&["?", "0", "1"], with(TieRule::First)),
        Ok(Verdict::Wrong)
    );
    let error = vote(&["1", "0", "0", "1"], with(TieRule::Error)).expect_err("a tie");
    assert_eq!(error, JudgeError::Tie { right: 2, wrong: 2 });
}

#[test]
fn scores_are_combined_not_voted() {
    let score = |replies: &[&str], rule| {
        let rule = MajorityRule {
            score: rule,
            ..MajorityRule::default()
        };
        let asked = request("x").with_form(VerdictForm::Score);
        panel(replies, rule)
            .judge(&asked)
            .map(|j| j.verdict.reward())
    };
    assert_eq!(score(&["0", "0.5", "1"], ScoreRule::Mean), Ok(0.5));
    assert_eq!(score(&["0.75", "0.75", "0"], ScoreRule::Mean), Ok(0.5));
    assert_eq!(score(&["0.75", "0.75", "0"], ScoreRule::Median), Ok(0.75));
    assert_eq!(
        score(&["0", "0.25", "0.75", "1"], ScoreRule::Median),
        Ok(0.5)
    );
}

#[test]
fn an_impossible_quorum_is_refused_and_stats_are_those_of_the_vote() {
    assert!(Majority::new(Vec::new(), MajorityRule::default()).is_err());
    let judge: Arc<dyn Judge> = Arc::new(Scripted::replies(["1"]));
    let rule = |quorum| MajorityRule {
        quorum: Some(quorum),
        ..MajorityRule::default()
    };
    assert!(Majority::new(vec![Arc::clone(&judge)], rule(2)).is_err());
    assert!(Majority::new(vec![judge], rule(0)).is_err());
    let panel = panel(&["1", "?", "1"], MajorityRule::default());
    let batch = panel.judge_batch(&[request("a"), request("b")]);
    assert!(
        batch
            .iter()
            .all(|r| r.as_ref().is_ok_and(|j| j.verdict == Verdict::Right))
    );
    let stats = panel.stats();
    assert_eq!(
        (stats.calls, stats.attempts, stats.failed_calls()),
        (2, 6, 0)
    );
    assert_eq!(stats.failed_attempts.get(&FailureKind::Unparsed), Some(&2));
}

proptest! {
    #[test]
    fn a_vote_is_the_same_in_every_order(votes in prop::collection::vec(0_u8..3, 1..7), turn in 0_usize..7) {
        let words: Vec<&str> = votes.iter().map(|v| ["0", "1", "?"][usize::from(*v)]).collect();
        let mut turned = words.clone();
        turned.rotate_left(turn % words.len());
        let verdict = |words: &[&str]| vote(words, MajorityRule::default()).map_err(|e| e.kind());
        prop_assert_eq!(verdict(&words), verdict(&turned));
        let right = votes.iter().filter(|v| **v == 1).count();
        let cast = votes.iter().filter(|v| **v < 2).count();
        let expected = match cast > votes.len() / 2 {
            false => Err(FailureKind::NoQuorum),
            true if 2 * right > cast => Ok(Verdict::Right),
            true => Ok(Verdict::Wrong),
        };
        prop_assert_eq!(verdict(&words), expected);
    }
}

#[test]
fn the_same_request_is_asked_once() {
    let cached = Cached::new(Scripted::replies(["1", "0"]), &CacheConfig::default()).expect("fits");
    for _ in 0..3 {
        assert_eq!(
            cached.judge(&request("x")).expect("a verdict").verdict,
            Verdict::Right
        );
    }
    assert_eq!(
        cached.judge(&request("y")).expect("a verdict").verdict,
        Verdict::Wrong
    );
    assert_eq!(cached.inner().asked().len(), 2);
    let stats = cached.stats();
    assert_eq!((stats.calls, stats.cache_hits, stats.attempts), (4, 2, 2));
}

#[test]
fn errors_are_not_remembered_and_a_batch_asks_once() {
    let cached = Cached::new(Scripted::replies(["?", "1"]), &CacheConfig::default()).expect("fits");
    let batch = vec![request("x"); 3];
    let first = cached.judge_batch(&batch);
    assert!(
        first
            .iter()
            .all(|r| r.as_ref().is_err_and(|e| e.kind() == FailureKind::Unparsed))
    );
    assert_eq!(cached.inner().asked().len(), 1);
    let second = cached.judge_batch(&batch);
    assert!(
        second
            .iter()
            .all(|r| r.as_ref().is_ok_and(|j| j.verdict == Verdict::Right))
    );
    assert_eq!(cached.inner().asked().len(), 2);
}

#[test]
fn threads_with_the_same_request_wait_for_one_answer() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let slow = Scripted::with("slow", move |_| {
        std::thread::sleep(Duration::from_millis(50));
        // The first attempt fails: the threads that waited for it have to ask themselves.
        match counter.fetch_add(1, Ordering::SeqCst) {
            0 => Ok("?".to_owned()),
            _ => Ok("1".to_owned()),
        }
    });
    let cached = Cached::new(slow, &CacheConfig::default()).expect("fits");
    let right = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                if cached.judge(&request("x")).is_ok() {
                    right.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(right.load(Ordering::SeqCst), 7);
}

#[test]
fn memory_is_bounded() {
    let config = CacheConfig {
        max_entries: 10,
        ..CacheConfig::default()
    };
    let cached = Cached::new(Scripted::with("s", |_| Ok("1".to_owned())), &config).expect("fits");
    for i in 0..100 {
        cached.judge(&request("often used")).expect("a verdict");
        cached.judge(&request(&i.to_string())).expect("a verdict");
        assert!(cached.len() <= 10);
    }
    assert_eq!(cached.inner().asked().len(), 101, "what is in use stays");
}

fn on_disk(path: &std::path::Path, reply: &'static str) -> Result<Cached<Scripted>, JudgeError> {
    let config = CacheConfig {
        file: Some(path.to_owned()),
        ..CacheConfig::default()
    };
    Cached::new(Scripted::with("s", move |_| Ok(reply.to_owned())), &config)
}

#[test]
fn a_file_keeps_judgements_and_survives_a_torn_end() {
    let dir = tempfile::tempdir().expect("writable");
    let path = dir.path().join("judge.jsonl");
    let verdict = |cached: &Cached<Scripted>, text: &str| {
        cached.judge(&request(text)).expect("a verdict").verdict
    };
    {
        let cached = on_disk(&path, "1").expect("a new file");
        verdict(&cached, "a");
        verdict(&cached, "b");
        assert!(
            matches!(on_disk(&path, "1"), Err(JudgeError::Cache { .. })),
            "in use"
        );
    }
    let whole = std::fs::read(&path).expect("readable");
    let second_line = whole.iter().position(|b| *b == b'\n').expect("a header") + 1;
    // Cut at every byte: what was whole stays, the torn rest goes, and the file goes on growing.
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).expect("writable");
        let cached = on_disk(&path, "0").unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        let lines = whole[..cut].iter().filter(|b| **b == b'\n').count();
        assert_eq!(cached.len(), lines.saturating_sub(1), "cut at {cut}");
        assert_eq!(verdict(&cached, "c"), Verdict::Wrong);
        drop(cached);
        let again = on_disk(&path, "1").expect("whole again");
        assert_eq!(again.len(), lines.saturating_sub(1) + 1, "cut at {cut}");
        assert_eq!(verdict(&again, "c"), Verdict::Wrong, "from the file");
    }
    // Damage before the end is an error with its line; so is a file of another kind.
    let mut damaged = whole.clone();
    damaged[second_line] = b'x';
    std::fs::write(&path, &damaged).expect("writable");
    let error = on_disk(&path, "1").expect_err("damaged").to_string();
    assert!(error.contains("line 2"), "{error}");
    std::fs::write(&path, "my notes").expect("writable");
    assert!(on_disk(&path, "1").is_err());
    assert_eq!(
        std::fs::read(&path).expect("readable"),
        b"my notes",
        "left alone"
    );
}

#[test]
fn a_local_judge_generates_in_batches_and_tries_again() {
    let engine = |prompts: &[GenerateRequest<'_>]| -> Vec<Result<Generated, String>> {
        let answer = |p: &GenerateRequest<'_>| match (p.messages[0].text.as_str(), p.attempt) {
            ("good", _) | ("late", 2) => Ok(Generated {
                text: "1".to_owned(),
                ..Default::default()
            }),
            ("long", _) => Ok(Generated {
                text: "1".to_owned(),
                cut_off: true,
                ..Default::default()
            }),
            ("broken", _) => Err("out of memory".to_owned()),
            _ => Ok(Generated {
                text: "well".to_owned(),
                ..Default::default()
            }),
        };
        prompts.iter().map(answer).collect()
    };
    let judge = LocalJudge::new("own", engine, 2);
    let batch = ["good", "late", "never", "long", "broken"].map(request);
    let kinds: Vec<_> = judge
        .judge_batch(&batch)
        .into_iter()
        .map(|r| r.map(|j| j.verdict).map_err(|e| e.kind()))
        .collect();
    assert_eq!(
        kinds,
        [
            Ok(Verdict::Right),
            Ok(Verdict::Right),
            Err(FailureKind::Unparsed),
            Err(FailureKind::CutOff),
            Err(FailureKind::Generate),
        ]
    );
    let stats = judge.stats();
    assert_eq!((stats.calls, stats.attempts, stats.retries), (5, 9, 4));
    assert_eq!(stats.failed_calls(), 3);
}

struct Short;

impl Generate for Short {
    fn generate(&self, _: &[GenerateRequest<'_>]) -> Vec<Result<Generated, String>> {
        Vec::new()
    }
}

#[test]
fn an_engine_that_loses_prompts_is_an_error() {
    let judge = LocalJudge::new("short", Short, 1);
    let error = judge.judge(&request("x")).expect_err("nothing came");
    assert!(
        error.to_string().contains("0 texts for 1 prompts"),
        "{error}"
    );
}

#[test]
fn a_scripted_judge_and_model_do_as_told() {
    let judge = Scripted::replies(["Verdict: 0"]);
    assert_eq!(
        judge.judge(&request("x")).expect("a verdict").verdict,
        Verdict::Wrong
    );
    assert_eq!(
        judge.judge(&request("x")).expect_err("used up").kind(),
        FailureKind::Generate
    );
    let model = ScriptedRewardModel::new(|query| match query.answer.len() {
        0 => f64::NAN,
        length => length as f64,
    });
    let queries = ["abc", ""].map(|answer| RewardQuery {
        messages: Vec::new(),
        answer: answer.to_owned(),
    });
    let scores = model.score(&queries);
    assert_eq!(scores[0], Ok(3.0));
    assert_eq!(
        scores[1].as_ref().map_err(JudgeError::kind),
        Err(FailureKind::NotFinite)
    );
}
