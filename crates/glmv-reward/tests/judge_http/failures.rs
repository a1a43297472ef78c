//! Every way a call can fail: what is tried again, what is not, and what it is counted as.

use std::time::{Duration, Instant};

use glmv_reward::judge::{
    EndpointConfig, FailureKind, HttpJudge, HttpJudgeConfig, Judge, JudgeError, Verdict,
};

use crate::support::{Action, Received, Server, ok};
use crate::{completion, completion_body, count, fails_once, judge, request};

#[test]
fn what_may_pass_is_tried_again() {
    type Case = (FailureKind, fn(&Received) -> Action);
    let cases: [Case; 9] = [
        (FailureKind::RateLimited, |_| {
            Action::Reply(429, "", "slow down".to_owned())
        }),
        (FailureKind::Server, |_| {
            Action::Reply(500, "", "oops".to_owned())
        }),
        (FailureKind::Server, |_| {
            Action::Reply(503, "", String::new())
        }),
        (FailureKind::Reply, |_| ok("<html>not JSON</html>")),
        (FailureKind::Reply, |_| ok("{\"choices\": []}")),
        (FailureKind::Unparsed, |_| {
            completion("It is about 1.0 or so")
        }),
        (FailureKind::Reply, |_| {
            let body = completion_body("Verdict: 0");
            let half = &body[..body.len() / 2];
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{half}",
                body.len()
            );
            Action::Raw(head.into_bytes())
        }),
        (FailureKind::Connection, |_| Action::Raw(Vec::new())),
        (FailureKind::CutOff, |_| {
            ok(completion_body("so\nVerdict: 0").replace("\"stop\"", "\"length\""))
        }),
    ];
    for (index, (kind, first)) in cases.into_iter().enumerate() {
        let server = fails_once(first);
        let judge = judge(&server, |_| {});
        let judgement = judge.judge(&request("x"));
        let verdict = judgement
            .unwrap_or_else(|e| panic!("case {index}: {e}"))
            .verdict;
        assert_eq!(verdict, Verdict::Right, "case {index}");
        assert_eq!(count(&judge, kind), 1, "case {index}: {:?}", judge.stats());
        let stats = judge.stats();
        assert_eq!((stats.attempts, stats.retries), (2, 1), "case {index}");
        assert_eq!(stats.failed_calls(), 0, "case {index}");
    }
}

#[test]
fn a_slow_server_is_given_up_and_asked_again() {
    let server = fails_once(|_| Action::Hang(Duration::from_secs(3)));
    let judge = judge(&server, |config| config.endpoint.timeout_secs = 0.3);
    let start = Instant::now();
    let verdict = judge.judge(&request("x")).expect("a verdict").verdict;
    assert_eq!(verdict, Verdict::Right);
    assert_eq!(count(&judge, FailureKind::TimedOut), 1);
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn retry_after_is_waited_for() {
    let server = fails_once(|_| Action::Reply(429, "Retry-After: 1\r\n", String::new()));
    let judge = judge(&server, |_| {});
    let start = Instant::now();
    judge.judge(&request("x")).expect("a verdict");
    assert!(
        start.elapsed() >= Duration::from_millis(990),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_retry_after_beyond_the_limit_fails_at_once() {
    let server = Server::start(|_| Action::Reply(429, "Retry-After: 3600\r\n", String::new()));
    let judge = judge(&server, |config| {
        config.endpoint.max_retry_after_secs = 10.0
    });
    let error = judge.judge(&request("x")).expect_err("an hour is too long");
    assert!(error.to_string().contains("retry after 3600 s"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_failure_that_stays_is_an_error_and_never_a_score() {
    let server = Server::start(|_| Action::Reply(500, "", "down".to_owned()));
    let judge = judge(&server, |_| {});
    let error = judge.judge(&request("x")).expect_err("the server is down");
    assert!(
        matches!(error, JudgeError::Exhausted { attempts: 3, .. }),
        "{error}"
    );
    assert_eq!(error.kind(), FailureKind::Server);
    assert!(error.to_string().contains("status 500: down"), "{error}");
    let stats = judge.stats();
    assert_eq!(stats.failures.get(&FailureKind::Server), Some(&1));
    assert_eq!(stats.failed_attempts.get(&FailureKind::Server), Some(&3));
}

#[test]
fn what_cannot_pass_is_tried_once() {
    type Case = (FailureKind, fn(&Received) -> Action);
    let cases: [Case; 4] = [
        (FailureKind::Client, |_| {
            Action::Reply(401, "", "who are you?".to_owned())
        }),
        (FailureKind::Client, |_| {
            Action::Reply(307, "Location: http://127.0.0.1:1/\r\n", String::new())
        }),
        (FailureKind::Refused, |_| {
            ok(completion_body("x").replace("\"stop\"", "\"content_filter\""))
        }),
        (FailureKind::Refused, |_| {
            ok(completion_body("x")
                .replace("\"content\":\"x\"", "\"content\":null,\"refusal\":\"no\""))
        }),
    ];
    for (index, (kind, action)) in cases.into_iter().enumerate() {
        let server = Server::start(action);
        let error = judge(&server, |_| {})
            .judge(&request("x"))
            .expect_err("a failure");
        assert_eq!(error.kind(), kind, "case {index}: {error}");
        assert_eq!(server.requests().len(), 1, "case {index}");
    }
}

#[test]
fn nobody_there_is_a_connection_error() {
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}/", listener.local_addr().expect("bound"))
    };
    let config = HttpJudgeConfig {
        model: "m".to_owned(),
        endpoint: EndpointConfig {
            max_attempts: 2,
            backoff_secs: 0.01,
            ..EndpointConfig::new(url)
        },
        ..HttpJudgeConfig::default()
    };
    let judge = HttpJudge::new(config).expect("usable settings");
    let error = judge.judge(&request("x")).expect_err("nobody listens");
    assert_eq!(error.kind(), FailureKind::Connection, "{error}");
}

#[test]
fn a_reply_without_end_is_bounded() {
    let server = Server::start(|_| ok("x".repeat(100_000)));
    let judge = judge(&server, |config| config.endpoint.max_reply_bytes = 1000);
    let error = judge.judge(&request("x")).expect_err("too long");
    assert_eq!(error.kind(), FailureKind::Reply, "{error}");
}
