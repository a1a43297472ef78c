//! The user's reward behind an HTTP endpoint.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::protocol::{PROTOCOL, RawReply, Request, VERSION, not_json, protocol};
use super::{RewardSample, UserError, UserReward};
use crate::judge::net::{HttpClient, parallel_map};
use crate::judge::{CallStats, EndpointConfig};

/// Settings of an [`HttpReward`]; `endpoint.url` is required.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpRewardConfig {
    /// Most samples in one request, 1..=65536. Default 64.
    pub batch_size: usize,
    /// Address, key, patience.
    pub endpoint: EndpointConfig,
}

impl Default for HttpRewardConfig {
    fn default() -> Self {
        Self {
            batch_size: 64,
            endpoint: EndpointConfig::default(),
        }
    }
}

/// Posts batches of samples; a reply that is not complete and valid is asked for again as a whole.
/// In its statistics a call is a request, not a sample.
#[derive(Debug)]
pub struct HttpReward {
    batch_size: usize,
    client: HttpClient,
}

#[derive(Deserialize)]
struct Reply {
    rewards: Vec<RawReply>,
}

impl HttpReward {
    /// A reward with these settings. Nothing is sent yet.
    ///
    /// # Errors
    /// If a setting cannot be used or the key is missing.
    pub fn new(config: HttpRewardConfig) -> Result<Self, UserError> {
        if !(1..=65_536).contains(&config.batch_size) {
            return Err(UserError::Config {
                field: "batch_size",
                reason: format!("{} is not in 1..=65536", config.batch_size),
            });
        }
        Ok(Self {
            batch_size: config.batch_size,
            client: HttpClient::new(config.endpoint)?,
        })
    }

    fn post(&self, samples: &[RewardSample]) -> Vec<Result<f32, UserError>> {
        let numbered: Vec<_> = (0..)
            .zip(samples)
            .map(|(id, sample)| Request { id, sample })
            .collect();
        let body = json!({"protocol": PROTOCOL, "version": VERSION, "samples": numbered});
        let replied = self.client.post(body.to_string().as_bytes(), |text| {
            read(text, samples.len())
        });
        match replied {
            Ok(scores) => scores,
            Err(error) => vec![Err(error); samples.len()],
        }
    }
}

/// The scores of a reply, in the order of the ids `0..len`.
fn read(text: &str, len: usize) -> Result<Vec<Result<f32, UserError>>, UserError> {
    let reply: Reply = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
    let mut scores = HashMap::with_capacity(len);
    for raw in reply.rewards {
        let reply = raw.check(text)?;
        if usize::try_from(reply.id).map_or(true, |id| id >= len) {
            return Err(protocol("a reply to an unknown id", text));
        }
        if scores.insert(reply.id, reply.score).is_some() {
            return Err(protocol("a second reply to the same id", text));
        }
    }
    let found = scores.len();
    (0..len as u64)
        .map(|id| scores.remove(&id))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| protocol(&format!("{found} rewards for {len} samples"), text))
}

impl UserReward for HttpReward {
    fn score(&self, samples: &[RewardSample]) -> Vec<Result<f32, UserError>> {
        let chunks: Vec<_> = samples.chunks(self.batch_size).collect();
        let threads = self.client.config().max_concurrent;
        let scores = parallel_map(&chunks, threads, |_, chunk| self.post(chunk));
        scores.into_iter().flatten().collect()
    }

    fn stats(&self) -> CallStats {
        self.client.counters.snapshot()
    }
}
