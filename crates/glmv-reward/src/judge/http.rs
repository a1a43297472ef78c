//! A judge behind OpenAI's chat completions API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::net::{HttpClient, excerpt, parallel_map};
use super::{
    CallStats, EndpointConfig, Judge, JudgeError, JudgeRequest, Judgement, TokenUsage, VerdictForm,
};

/// Settings of an [`HttpJudge`]; `model` and `endpoint.url` are required.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpJudgeConfig {
    /// The model to ask, as the server calls it.
    pub model: String,
    /// Name of the judge in messages and cache keys; default `model@url`.
    pub name: Option<String>,
    /// Most tokens of a reply where the request does not say. Default: the server's.
    pub max_tokens: Option<u32>,
    /// Nucleus of the sampling in 0..=1. Default: the server's.
    pub top_p: Option<f32>,
    /// Address, key, patience.
    pub endpoint: EndpointConfig,
}

/// Asks a server; may be shared by threads, which share its pace.
#[derive(Debug)]
pub struct HttpJudge {
    name: String,
    model: String,
    max_tokens: Option<u32>,
    top_p: Option<f32>,
    client: HttpClient,
}

impl HttpJudge {
    /// A judge with these settings. Nothing is sent yet; the API key is read from the environment.
    ///
    /// # Errors
    /// If a setting cannot be used or the key is missing.
    pub fn new(config: HttpJudgeConfig) -> Result<Self, JudgeError> {
        if config.model.is_empty() {
            return Err(JudgeError::Config {
                field: "model",
                reason: "it is missing".to_owned(),
            });
        }
        if config.top_p.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(JudgeError::Config {
                field: "top_p",
                reason: "it is not in 0..=1".to_owned(),
            });
        }
        let name = config
            .name
            .unwrap_or_else(|| format!("{}@{}", config.model, config.endpoint.url));
        Ok(Self {
            name,
            model: config.model,
            max_tokens: config.max_tokens,
            top_p: config.top_p,
            client: HttpClient::new(config.endpoint)?,
        })
    }

    fn body(&self, request: &JudgeRequest) -> Vec<u8> {
        let messages: Vec<_> = request.messages.iter().map(|m| m.to_openai()).collect();
        let mut body = json!({
            "model": self.model,
            "messages": messages,
            "temperature": request.temperature,
            "stream": false,
        });
        if let Some(max_tokens) = request.max_tokens.or(self.max_tokens) {
            body["max_tokens"] = json!(max_tokens);
        }
        if let Some(top_p) = self.top_p {
            body["top_p"] = json!(top_p);
        }
        body.to_string().into_bytes()
    }

    fn read(&self, reply: &str, form: VerdictForm) -> Result<Judgement, JudgeError> {
        let unusable = |reason: &str| {
            let reason = format!("{reason}: \"{}\"", excerpt(reply, 120));
            JudgeError::Http(self.client.unusable(&reason))
        };
        let reply: Completion =
            serde_json::from_str(reply).map_err(|error| unusable(&error.to_string()))?;
        let usage = reply.usage.unwrap_or_default();
        self.client.counters.update(|stats| {
            stats.prompt_tokens += usage.prompt_tokens;
            stats.completion_tokens += usage.completion_tokens;
        });
        let choice = reply
            .choices
            .into_iter()
            .next()
            .ok_or_else(|| unusable("no choice"))?;
        if let Some(reason) = choice.message.refusal {
            return Err(self.refused(self.client.quote(&reason)));
        }
        match choice.finish_reason.as_deref() {
            Some(finish_reason @ "length") => {
                return Err(JudgeError::CutOff {
                    judge: self.name.clone(),
                    finish_reason: finish_reason.to_owned(),
                });
            }
            Some("content_filter") => return Err(self.refused("content filter".to_owned())),
            _ => {}
        }
        let raw = match choice.message.content {
            Some(Value::String(text)) => text,
            _ => return Err(unusable("`content` is not a text")),
        };
        parsed(&self.name, form, raw, usage)
    }

    fn refused(&self, reason: String) -> JudgeError {
        JudgeError::Refused {
            judge: self.name.clone(),
            reason,
        }
    }
}

impl Judge for HttpJudge {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, request: &JudgeRequest) -> Result<Judgement, JudgeError> {
        if request.messages.is_empty() {
            return Err(JudgeError::Config {
                field: "messages",
                reason: "the request has none".to_owned(),
            });
        }
        self.client
            .post(&self.body(request), |reply| self.read(reply, request.form))
    }

    fn judge_batch(&self, requests: &[JudgeRequest]) -> Vec<Result<Judgement, JudgeError>> {
        let threads = self.client.config().max_concurrent;
        parallel_map(requests, threads, |_, request| self.judge(request))
    }

    fn stats(&self) -> CallStats {
        self.client.counters.snapshot()
    }
}

/// The judgement of a model's text.
pub(super) fn parsed(
    judge: &str,
    form: VerdictForm,
    raw: String,
    usage: TokenUsage,
) -> Result<Judgement, JudgeError> {
    match form.parse(&raw) {
        Ok(verdict) => Ok(Judgement {
            verdict,
            raw,
            usage,
        }),
        Err(source) => {
            let skipped = raw.chars().count().saturating_sub(120);
            let end: String = raw.chars().skip(skipped).collect();
            Err(JudgeError::Unparsed {
                judge: judge.to_owned(),
                source,
                excerpt: excerpt(&end, 120),
            })
        }
    }
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<TokenUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Reply,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    content: Option<Value>,
    refusal: Option<String>,
}
