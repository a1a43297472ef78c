//! Reward models: a scalar score of the answer segment, for answers no rule or judge can call right
//! or wrong (instruction following, fluency). Source: GLM-V paper (arXiv 2507.01006), section on the
//! reward system: the reward model scores the answer segment directly.

use serde::Deserialize;
use serde_json::{Value, json};

use super::net::{Counters, HttpClient, excerpt, parallel_map};
use super::{CallStats, EndpointConfig, JudgeError, Message, Role};

/// One answer to score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardQuery {
    /// The conversation before the answer.
    pub messages: Vec<Message>,
    /// The answer segment, without thinking.
    pub answer: String,
}

/// Somebody who scores answers. The scale is the model's own: any finite number.
pub trait RewardModel: Send + Sync {
    /// Name of the model, for messages.
    fn name(&self) -> &str;

    /// One finite score or error per query, in order.
    fn score(&self, queries: &[RewardQuery]) -> Vec<Result<f32, JudgeError>>;

    /// What has been counted since the model was made.
    fn stats(&self) -> CallStats;
}

/// Settings of an [`HttpRewardModel`]; `model` and `endpoint.url` are required.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpRewardModelConfig {
    /// The model to ask, as the server calls it.
    pub model: String,
    /// Where the score stands in the reply, as a JSON pointer (RFC 6901). Default `/score`; a server
    /// of pooling models answers at `/data/0/data/0`.
    pub score_pointer: String,
    /// Address, key, patience.
    pub endpoint: EndpointConfig,
}

impl Default for HttpRewardModelConfig {
    fn default() -> Self {
        Self {
            model: String::new(),
            score_pointer: "/score".to_owned(),
            endpoint: EndpointConfig::default(),
        }
    }
}

/// Asks a server: `{"model", "messages"}` with the answer as the last message goes out, a JSON reply
/// with a number at the pointer comes back.
#[derive(Debug)]
pub struct HttpRewardModel {
    model: String,
    pointer: String,
    client: HttpClient,
}

impl HttpRewardModel {
    /// A reward model with these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// If a setting cannot be used or the key is missing.
    pub fn new(config: HttpRewardModelConfig) -> Result<Self, JudgeError> {
        let bad = |field, reason: &str| JudgeError::Config {
            field,
            reason: reason.to_owned(),
        };
        if config.model.is_empty() {
            return Err(bad("model", "it is missing"));
        }
        if !config.score_pointer.starts_with('/') {
            return Err(bad("score_pointer", "a JSON pointer starts with /"));
        }
        Ok(Self {
            model: config.model,
            pointer: config.score_pointer,
            client: HttpClient::new(config.endpoint)?,
        })
    }

    fn read(&self, reply: &str) -> Result<f32, JudgeError> {
        let unusable = |reason: &str| {
            let reason = format!("{reason}: \"{}\"", excerpt(reply, 120));
            JudgeError::Http(self.client.unusable(&reason))
        };
        let value: Value = serde_json::from_str(reply).map_err(|e| unusable(&e.to_string()))?;
        let score = value
            .pointer(&self.pointer)
            .and_then(Value::as_f64)
            .ok_or_else(|| unusable(&format!("no number at {}", self.pointer)))?;
        finite(&self.model, score)
    }
}

impl RewardModel for HttpRewardModel {
    fn name(&self) -> &str {
        &self.model
    }

    fn score(&self, queries: &[RewardQuery]) -> Vec<Result<f32, JudgeError>> {
        let threads = self.client.config().max_concurrent;
        parallel_map(queries, threads, |_, query| {
            let answer = Message::new(Role::Assistant, query.answer.as_str());
            let messages: Vec<_> = query
                .messages
                .iter()
                .chain([&answer])
                .map(Message::to_openai)
                .collect();
            let body = json!({"model": self.model, "messages": messages}).to_string();
            self.client.post(body.as_bytes(), |reply| self.read(reply))
        })
    }

    fn stats(&self) -> CallStats {
        self.client.counters.snapshot()
    }
}

/// The score as f32, if it is one.
fn finite(model: &str, score: f64) -> Result<f32, JudgeError> {
    #[expect(clippy::cast_possible_truncation, reason = "checked below")]
    let short = score as f32;
    if short.is_finite() {
        return Ok(short);
    }
    Err(JudgeError::NotFinite {
        model: model.to_owned(),
        value: score.to_string(),
    })
}

type Script = Box<dyn Fn(&RewardQuery) -> f64 + Send + Sync>;

/// A reward model that is a function, for tests.
pub struct ScriptedRewardModel {
    script: Script,
    counters: Counters,
}

impl ScriptedRewardModel {
    /// A model that scores with `script`; a score that is not finite is an error.
    pub fn new(script: impl Fn(&RewardQuery) -> f64 + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            counters: Counters::default(),
        }
    }
}

impl RewardModel for ScriptedRewardModel {
    fn name(&self) -> &str {
        "scripted"
    }

    fn score(&self, queries: &[RewardQuery]) -> Vec<Result<f32, JudgeError>> {
        let scored = queries.iter().map(|query| {
            self.counters.attempt(false);
            let score = finite(self.name(), (self.script)(query));
            self.counters
                .call(score.as_ref().err().map(JudgeError::kind));
            score
        });
        scored.collect()
    }

    fn stats(&self) -> CallStats {
        self.counters.snapshot()
    }
}

impl std::fmt::Debug for ScriptedRewardModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedRewardModel")
            .finish_non_exhaustive()
    }
}
