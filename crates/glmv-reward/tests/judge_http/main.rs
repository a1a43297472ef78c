//! The HTTP judge and the HTTP reward model against a server that misbehaves.

mod calls;
mod failures;
#[path = "../support/mod.rs"]
mod support;

use glmv_reward::judge::{
    EndpointConfig, FailureKind, HttpJudge, HttpJudgeConfig, Judge, JudgeRequest,
};
use support::{Action, Received, Server, ok};

/// A chat completion with this text.
pub fn completion(text: &str) -> Action {
    ok(completion_body(text))
}

pub fn completion_body(text: &str) -> String {
    serde_json::json!({
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    })
    .to_string()
}

pub fn endpoint(server: &Server) -> EndpointConfig {
    EndpointConfig {
        timeout_secs: 5.0,
        max_attempts: 3,
        backoff_secs: 0.01,
        ..EndpointConfig::new(server.url())
    }
}

pub fn judge(server: &Server, change: impl FnOnce(&mut HttpJudgeConfig)) -> HttpJudge {
    let mut config = HttpJudgeConfig {
        model: "judge-1".to_owned(),
        endpoint: endpoint(server),
        ..HttpJudgeConfig::default()
    };
    change(&mut config);
    HttpJudge::new(config).expect("usable settings")
}

pub fn request(text: &str) -> JudgeRequest {
    JudgeRequest::new("q", "a", "r").with_user_message(text)
}

/// A server that does `first` with the first request and is well afterwards.
pub fn fails_once(first: impl Fn(&Received) -> Action + Send + Sync + 'static) -> Server {
    Server::start(move |received| match received.number {
        0 => first(received),
        _ => completion("Verdict: 1"),
    })
}

pub fn count(judge: &HttpJudge, kind: FailureKind) -> u64 {
    let stats = judge.stats();
    stats.failed_attempts.get(&kind).copied().unwrap_or(0)
}
