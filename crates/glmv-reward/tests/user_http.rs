//! HTTP rewards against a server that misbehaves.

mod support;

use std::time::Duration;

use glmv_reward::judge::{EndpointConfig, FailureKind};
use glmv_reward::user::{HttpReward, HttpRewardConfig, RewardSample, UserError, UserReward};
use serde_json::{Value, json};
use support::{Action, Received, Server, ok};

fn reward(server: &Server, batch_size: usize) -> HttpReward {
    let config = HttpRewardConfig {
        batch_size,
        endpoint: EndpointConfig {
            max_attempts: 2,
            backoff_secs: 0.01,
            timeout_secs: 1.0,
            max_concurrent: 3,
            ..EndpointConfig::new(server.url())
        },
    };
    HttpReward::new(config).expect("usable settings")
}

fn samples(n: usize) -> Vec<RewardSample> {
    (0..n)
        .map(|i| RewardSample {
            response: i.to_string(),
            ..RewardSample::default()
        })
        .collect()
}

/// Rewards each sample with the number it holds, in reverse order.
fn echo(received: &Received) -> Action {
    let is_json = |h: &String| h.eq_ignore_ascii_case("content-type: application/json");
    assert!(
        received.headers.iter().any(is_json),
        "{:?}",
        received.headers
    );
    let body: Value = serde_json::from_str(&received.body).expect("a JSON body");
    assert_eq!(
        (&body["protocol"], &body["version"]),
        (&json!("glmv-reward"), &json!(1))
    );
    let list = body["samples"].as_array().expect("a list");
    let score = |s: &Value| {
        let text = s["sample"]["response"].as_str().expect("a text");
        json!({"id": s["id"], "reward": text.parse::<f32>().expect("a number")})
    };
    ok(json!({"rewards": list.iter().rev().map(score).collect::<Vec<_>>()}).to_string())
}

#[test]
fn batches_are_split_sent_together_and_put_in_order() {
    let server = Server::start(|received| {
        std::thread::sleep(Duration::from_millis(30));
        echo(received)
    });
    let scores = reward(&server, 4).score(&samples(21));
    let expected: Vec<Result<f32, UserError>> = (0_u8..21).map(|i| Ok(f32::from(i))).collect();
    assert_eq!(scores, expected);
    assert_eq!(server.requests().len(), 6);
    assert!(
        (2..=3).contains(&server.most_at_once()),
        "{}",
        server.most_at_once()
    );
}

#[test]
fn replies_that_are_not_complete_are_asked_for_again() {
    type Case = (FailureKind, fn(&Received) -> Action);
    let cases: [Case; 8] = [
        (FailureKind::Server, |_| {
            Action::Reply(502, "", String::new())
        }),
        (FailureKind::Reply, |_| ok("nonsense")),
        (FailureKind::Reply, |_| {
            Action::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec())
        }),
        (FailureKind::Reply, |_| {
            ok("{\"rewards\":[{\"id\":0,\"reward\":1}]}")
        }),
        (FailureKind::Reply, |_| {
            ok("{\"rewards\":[{\"id\":0,\"reward\":1},{\"id\":0,\"reward\":1}]}")
        }),
        (FailureKind::Reply, |_| {
            ok("{\"rewards\":[{\"id\":0,\"reward\":1},{\"id\":2,\"reward\":1}]}")
        }),
        (FailureKind::TimedOut, |_| {
            Action::Hang(Duration::from_secs(2))
        }),
        (FailureKind::RateLimited, |_| {
            Action::Reply(429, "Retry-After: 0\r\n", String::new())
        }),
    ];
    for (index, (kind, first)) in cases.into_iter().enumerate() {
        let server = Server::start(move |received| match received.number {
            0 => first(received),
            _ => echo(received),
        });
        let reward = reward(&server, 8);
        assert_eq!(
            reward.score(&samples(2)),
            [Ok(0.0), Ok(1.0)],
            "case {index}"
        );
        let counted = reward.stats().failed_attempts;
        assert_eq!(counted.get(&kind), Some(&1), "case {index}: {counted:?}");
    }
}

#[test]
fn errors_and_numbers_that_are_not_finite_are_no_scores() {
    let body = "{\"rewards\":[{\"id\":0,\"error\":\"no\"},{\"id\":1,\"reward\":1e300},{\"id\":2,\"reward\":2}]}";
    let server = Server::start(move |_| ok(body));
    let scores = reward(&server, 8).score(&samples(3));
    let kinds: Vec<_> = scores
        .iter()
        .map(|s| s.as_ref().map_err(UserError::kind))
        .collect();
    assert_eq!(
        kinds,
        [
            Err(FailureKind::Declined),
            Err(FailureKind::NotFinite),
            Ok(&2.0)
        ]
    );

    let server = Server::start(|_| ok("{\"rewards\":[{\"id\": 0, \"reward\": NaN}]}"));
    let error = reward(&server, 8)
        .score(&samples(1))
        .remove(0)
        .expect_err("NaN");
    assert_eq!(error.kind(), FailureKind::NotFinite);
    assert!(error.to_string().contains("NaN"), "{error}");
}

#[test]
fn a_server_that_is_down_fails_every_sample() {
    let server = Server::start(|_| Action::Reply(500, "", String::new()));
    let reward = reward(&server, 2);
    let scores = reward.score(&samples(3));
    assert_eq!(scores.len(), 3);
    assert!(
        scores
            .iter()
            .all(|s| s.as_ref().is_err_and(|e| e.kind() == FailureKind::Server))
    );
    assert_eq!(reward.stats().failed_calls(), 2);
}

#[test]
fn bad_settings_are_named() {
    let config = HttpRewardConfig {
        batch_size: 0,
        endpoint: EndpointConfig::new("http://127.0.0.1:1/"),
    };
    let error = HttpReward::new(config).map(|_| ()).expect_err("refused");
    assert!(error.to_string().contains("batch_size"), "{error}");
}
