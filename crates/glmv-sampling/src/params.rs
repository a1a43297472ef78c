//! How to choose tokens and when to stop: `generation_config.json` and the user's options in, one
//! validated [`SamplingParams`] out, which the engine and the [`crate::Sampler`] read.

use serde::{Deserialize, Serialize};

use crate::Error;

#[cfg(test)]
mod tests;

/// Everything that decides the next token and the end of a completion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplingParams {
    /// Most tokens to generate, forced ones included; at least 1.
    pub max_new_tokens: usize,
    /// Divisor of the logits, finite and >= 0; 0 means greedy.
    pub temperature: f32,
    /// Keep the `k` largest logits (ties of the k-th are kept too); at least 1, `None` = off.
    pub top_k: Option<usize>,
    /// Keep the smallest set of tokens whose probability reaches this, 0..=1; `None` = off.
    pub top_p: Option<f32>,
    /// Keep tokens of at least this share of the best probability, 0..=1; `None` = off.
    pub min_p: Option<f32>,
    /// Divides positive and multiplies negative logits of tokens seen before; > 0, 1 = off.
    pub repetition_penalty: f32,
    /// Seed of the draws; the same seed, logits and parameters give the same tokens.
    pub seed: u64,
    /// Token ids that end a completion.
    pub stop_ids: Vec<u32>,
    /// Most tokens of reasoning before `</think>` is forced; `None` = no limit.
    pub think_budget: Option<usize>,
    /// Generate past stop tokens (benches and golden cases).
    pub ignore_stop: bool,
    /// Token ids that are never sampled (placeholders of pictures in rollouts, say); ids beyond the
    /// vocabulary are ignored. A forced token may be one of them.
    #[serde(default)]
    pub forbidden_ids: Vec<u32>,
    /// Which log-probabilities are reported with the tokens.
    #[serde(default)]
    pub logprobs: Logprobs,
}

/// The distribution of which a token's log-probability is reported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Logprobs {
    /// The model's: log-softmax of the raw logits, temperature 1, before any processor.
    #[default]
    Model,
    /// The policy's, for rollouts: log-softmax of `logits / temperature` over the ids that are not
    /// forbidden, before the repetition penalty and top-k, top-p and min-p; temperature 0 counts as
    /// 1. A forced token that is forbidden has -inf.
    Policy,
}

impl Default for SamplingParams {
    /// Greedy, 8192 tokens (the evaluation length of the GLM-V paper), no stop ids.
    fn default() -> Self {
        Self {
            max_new_tokens: 8192,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            min_p: None,
            repetition_penalty: 1.0,
            seed: 0,
            stop_ids: Vec::new(),
            think_budget: None,
            ignore_stop: false,
            forbidden_ids: Vec::new(),
            logprobs: Logprobs::Model,
        }
    }
}

impl SamplingParams {
    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::Parameter`] names the first parameter outside its range.
    pub fn validate(&self) -> Result<(), Error> {
        let bad = |name, value: String, expected| {
            Err(Error::Parameter {
                name,
                value,
                expected,
            })
        };
        if self.max_new_tokens == 0 {
            return bad("max_new_tokens", "0".into(), "at least 1");
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return bad(
                "temperature",
                self.temperature.to_string(),
                "finite and at least 0",
            );
        }
        if self.top_k == Some(0) {
            return bad(
                "top_k",
                "0".into(),
                "at least 1 (leave it out to turn it off)",
            );
        }
        for (name, value) in [("top_p", self.top_p), ("min_p", self.min_p)] {
            if let Some(p) = value.filter(|p| !(0.0..=1.0).contains(p)) {
                return bad(name, p.to_string(), "between 0 and 1");
            }
        }
        if !(self.repetition_penalty.is_finite() && self.repetition_penalty > 0.0) {
            let value = self.repetition_penalty.to_string();
            return bad("repetition_penalty", value, "finite and greater than 0");
        }
        Ok(())
    }

    /// True where `token` ends the completion.
    pub fn stops_at(&self, token: u32) -> bool {
        !self.ignore_stop && self.stop_ids.contains(&token)
    }

    /// Defaults, overridden by the checkpoint's file, overridden by what the user asked for.
    ///
    /// `do_sample: false` (HF's default when the key is absent) makes the file greedy whatever its
    /// temperature; a temperature given by the user turns sampling on again. Options that the file
    /// leaves out are off.
    ///
    /// Departure from HF: 1. HF fills a missing `top_k` with 50 when sampling; here it is off.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the merged values do not validate.
    pub fn merge(file: &GenerationConfig, user: &SamplingOverrides) -> Result<Self, Error> {
        let default = Self::default();
        let sampled = file.do_sample.unwrap_or(false);
        let file_temperature = if sampled {
            file.temperature.unwrap_or(1.0)
        } else {
            0.0
        };
        let temperature = if user.greedy {
            0.0
        } else {
            user.temperature.unwrap_or(file_temperature)
        };
        let params = Self {
            max_new_tokens: user
                .max_new_tokens
                .or(file.max_new_tokens)
                .unwrap_or(default.max_new_tokens),
            temperature,
            top_k: user.top_k.or(file.top_k).filter(|&k| k > 0),
            top_p: user.top_p.or(file.top_p).filter(|&p| p != 1.0),
            min_p: user.min_p.or(file.min_p).filter(|&p| p != 0.0),
            repetition_penalty: user
                .repetition_penalty
                .or(file.repetition_penalty)
                .unwrap_or(1.0),
            seed: user.seed.unwrap_or(default.seed),
            stop_ids: file.eos_token_id.clone().unwrap_or_default().0,
            think_budget: user.think_budget,
            ignore_stop: user.ignore_stop,
            forbidden_ids: Vec::new(),
            logprobs: Logprobs::Model,
        };
        params.validate()?;
        Ok(params)
    }
}

/// What the user typed; `None` leaves the checkpoint's value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SamplingOverrides {
    /// Greedy, whatever else is said of the temperature.
    pub greedy: bool,
    /// See [`SamplingParams::max_new_tokens`].
    pub max_new_tokens: Option<usize>,
    /// See [`SamplingParams::temperature`]; turns sampling on when > 0.
    pub temperature: Option<f32>,
    /// See [`SamplingParams::top_k`]; 0 turns the checkpoint's value off.
    pub top_k: Option<usize>,
    /// See [`SamplingParams::top_p`]; 1 turns the checkpoint's value off.
    pub top_p: Option<f32>,
    /// See [`SamplingParams::min_p`]; 0 turns the checkpoint's value off.
    pub min_p: Option<f32>,
    /// See [`SamplingParams::repetition_penalty`].
    pub repetition_penalty: Option<f32>,
    /// See [`SamplingParams::seed`].
    pub seed: Option<u64>,
    /// See [`SamplingParams::think_budget`].
    pub think_budget: Option<usize>,
    /// See [`SamplingParams::ignore_stop`].
    pub ignore_stop: bool,
}

/// The keys of Hugging Face's `generation_config.json` that matter here; others are allowed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Ids that end a completion: a number or a list in the file.
    pub eos_token_id: Option<TokenIds>,
    /// Sample instead of greedy decoding.
    pub do_sample: Option<bool>,
    /// See [`SamplingParams::temperature`].
    pub temperature: Option<f32>,
    /// See [`SamplingParams::top_k`]; 0 is off.
    pub top_k: Option<usize>,
    /// See [`SamplingParams::top_p`]; 1 is off.
    pub top_p: Option<f32>,
    /// See [`SamplingParams::min_p`]; 0 is off.
    pub min_p: Option<f32>,
    /// See [`SamplingParams::repetition_penalty`].
    pub repetition_penalty: Option<f32>,
    /// See [`SamplingParams::max_new_tokens`].
    pub max_new_tokens: Option<usize>,
}

impl GenerationConfig {
    /// Reads the text of a `generation_config.json`.
    ///
    /// # Errors
    /// [`Error::GenerationConfig`] if it is not such an object.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        serde_json::from_str(text).map_err(|error| Error::GenerationConfig {
            reason: error.to_string(),
        })
    }
}

/// Token ids written as one number or as a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "OneOrMany")]
pub struct TokenIds(pub Vec<u32>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl From<OneOrMany> for TokenIds {
    fn from(ids: OneOrMany) -> Self {
        match ids {
            OneOrMany::One(id) => Self(vec![id]),
            OneOrMany::Many(ids) => Self(ids),
        }
    }
}
