//! What is sent and read, how many at a time, and the settings.

use std::time::{Duration, Instant};

use glmv_reward::judge::{
    EndpointConfig, FailureKind, HttpJudge, HttpJudgeConfig, HttpRewardModel,
    HttpRewardModelConfig, Judge, JudgeError, Message, RewardModel, RewardQuery, Role, Verdict,
    VerdictForm,
};

use crate::support::{Action, Server, ok};
use crate::{completion, count, endpoint, fails_once, judge, request};

#[test]
fn a_verdict_with_its_text_and_tokens() {
    let server = Server::start(|_| completion("They are equal.\nVerdict: 1"));
    let judge = judge(&server, |config| {
        config.max_tokens = Some(99);
        config.top_p = Some(0.5);
    });
    let mut request = request("Equal?");
    request.temperature = 0.25;
    request
        .messages
        .insert(0, Message::new(Role::System, "Be strict."));
    request.messages[1] = request.messages[1]
        .clone()
        .with_picture("image/png", b"abc");
    let judgement = judge.judge(&request).expect("a verdict");
    assert_eq!(judgement.verdict, Verdict::Right);
    assert_eq!(judgement.raw, "They are equal.\nVerdict: 1");
    assert_eq!(judgement.usage.prompt_tokens, 11);
    let stats = judge.stats();
    assert_eq!((stats.calls, stats.attempts, stats.retries), (1, 1, 0));
    assert_eq!((stats.prompt_tokens, stats.completion_tokens), (11, 3));
    assert!(stats.failures.is_empty() && stats.failed_attempts.is_empty());

    let sent: serde_json::Value =
        serde_json::from_str(&server.requests()[0].body).expect("a JSON body");
    let expected = serde_json::json!({
        "model": "judge-1", "temperature": 0.25, "stream": false, "max_tokens": 99, "top_p": 0.5,
        "messages": [
            {"role": "system", "content": "Be strict."},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj"}},
                {"type": "text", "text": "Equal?"},
            ]},
        ],
    });
    assert_eq!(sent, expected);
    let has_key = |h: &String| h.to_lowercase().starts_with("authorization");
    assert!(
        !server.requests()[0].headers.iter().any(has_key),
        "no key was configured"
    );
}

#[test]
fn a_batch_is_concurrent_bounded_and_in_order() {
    let server = Server::start(|received| {
        std::thread::sleep(Duration::from_millis(30));
        completion(if received.body.contains("even") {
            "0"
        } else {
            "1"
        })
    });
    let judge = judge(&server, |config| config.endpoint.max_concurrent = 4);
    let requests: Vec<_> = (0..24)
        .map(|i| request(if i % 2 == 0 { "even" } else { "odd" }))
        .collect();
    for (index, result) in judge.judge_batch(&requests).into_iter().enumerate() {
        let wanted = if index % 2 == 0 {
            Verdict::Wrong
        } else {
            Verdict::Right
        };
        assert_eq!(result.expect("a verdict").verdict, wanted, "{index}");
    }
    assert!(
        (2..=4).contains(&server.most_at_once()),
        "{}",
        server.most_at_once()
    );
    assert_eq!(judge.stats().calls, 24);
}

#[test]
fn requests_per_minute_are_kept() {
    let server = Server::start(|_| completion("1"));
    let judge = judge(&server, |config| {
        config.endpoint.requests_per_minute = Some(300.0)
    });
    let start = Instant::now();
    let requests = vec![request("x"); 8]; // 5 per second, 5 of them at once
    assert!(judge.judge_batch(&requests).iter().all(Result::is_ok));
    assert!(
        start.elapsed() >= Duration::from_millis(590),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_key_comes_from_the_environment_and_stays_secret() {
    // A variable of cargo stands for the key: setting one would need unsafe code.
    let variable = "CARGO_PKG_NAME";
    let key = std::env::var(variable).expect("cargo sets it");
    let server = Server::start(|received| {
        let key = received
            .headers
            .iter()
            .find_map(|h| h.split_once("Bearer "));
        Action::Reply(403, "", format!("bad key {}", key.expect("a key").1))
    });
    let judge = judge(&server, |config| {
        config.endpoint.api_key_env = Some(variable.to_owned());
    });
    let error = judge.judge(&request("x")).expect_err("refused").to_string();
    assert!(
        error.contains("bad key ***") && !error.contains(&key),
        "{error}"
    );
    assert!(!format!("{judge:?}").contains(&format!("{key}\"")));
    let header = format!("authorization: bearer {key}");
    let sent = &server.requests()[0].headers;
    assert!(sent.iter().any(|h| h.to_lowercase() == header), "{sent:?}");
}

#[test]
fn a_missing_key_and_bad_settings_are_found_before_the_first_request() {
    let make = |change: fn(&mut HttpJudgeConfig)| {
        let mut config = HttpJudgeConfig {
            model: "m".to_owned(),
            endpoint: EndpointConfig::new("http://127.0.0.1:1/"),
            ..HttpJudgeConfig::default()
        };
        change(&mut config);
        HttpJudge::new(config)
            .map(|_| ())
            .expect_err("refused")
            .to_string()
    };
    let name = "GLMV_TEST_VARIABLE_THAT_IS_NOT_SET";
    assert!(
        make(|c| c.endpoint.api_key_env = Some("GLMV_TEST_VARIABLE_THAT_IS_NOT_SET".to_owned()))
            .contains(name)
    );
    assert!(make(|c| c.model.clear()).contains("model"));
    assert!(make(|c| c.top_p = Some(2.0)).contains("top_p"));
    assert!(make(|c| c.endpoint.url.clear()).contains("url"));
    let unknown = serde_json::from_str::<HttpJudgeConfig>("{\"modle\": \"x\"}");
    assert!(
        unknown
            .expect_err("unknown key")
            .to_string()
            .contains("modle")
    );
}

#[test]
fn scores_of_a_judge_are_in_range_or_errors() {
    let server = fails_once(|_| completion("Score: 85"));
    let judge = judge(&server, |_| {});
    let asked = request("x").with_form(VerdictForm::Score);
    let server_says_one = judge.judge(&asked).expect("a score").verdict;
    assert_eq!(
        server_says_one,
        Verdict::Score(1.0),
        "\"Verdict: 1\" of the second attempt"
    );
    assert_eq!(count(&judge, FailureKind::Unparsed), 1);
}

#[test]
fn a_reward_model_scores_the_answer() {
    let server = Server::start(|received| match received.number {
        0 => ok("{\"data\": [{\"data\": [-1.5]}]}"),
        1 | 2 => ok("{\"data\": []}"),
        _ => ok("{\"data\": [{\"data\": [1e300]}]}"),
    });
    let config = HttpRewardModelConfig {
        model: "rm".to_owned(),
        score_pointer: "/data/0/data/0".to_owned(),
        endpoint: EndpointConfig {
            max_attempts: 2,
            ..endpoint(&server)
        },
    };
    let model = HttpRewardModel::new(config).expect("usable settings");
    let query = RewardQuery {
        messages: vec![Message::new(Role::User, "Write a haiku.")],
        answer: "Frogs.".to_owned(),
    };
    let scores: Vec<_> = (0..3)
        .flat_map(|_| model.score(std::slice::from_ref(&query)))
        .collect();
    assert_eq!(scores[0], Ok(-1.5));
    assert_eq!(
        scores[1].as_ref().map_err(JudgeError::kind),
        Err(FailureKind::Reply)
    );
    assert_eq!(
        scores[2].as_ref().map_err(JudgeError::kind),
        Err(FailureKind::NotFinite)
    );
    assert!(
        server.requests()[0]
            .body
            .contains("\"role\":\"assistant\",\"content\":\"Frogs.\"")
    );
    assert_eq!(model.stats().failed_calls(), 2);
}
