//! What a run shows besides numbers: samples, notes and rollouts.

use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Picture, number};

/// A text that the model has generated, for a look at it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Which of the samples of a step it is, such as `eval/0`.
    pub name: String,
    /// What was asked.
    pub prompt: String,
    /// What was answered.
    pub text: String,
    /// What was shown.
    pub picture: Option<Picture>,
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// Its word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The completions of one prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RolloutGroup {
    /// Where the prompt is from, such as `ocr`.
    pub domain: String,
    /// Its tier of difficulty.
    pub tier: Option<String>,
    /// What was asked.
    pub prompt: String,
    /// What was shown.
    pub pictures: Vec<Picture>,
    /// The right answer.
    pub truth: Option<String>,
    /// What was answered.
    pub completions: Vec<Completion>,
}

/// One completion of a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    /// The text, thoughts included.
    pub text: String,
    /// Its length in tokens.
    pub num_tokens: u64,
    /// The reward; `None` where it could not be had.
    pub reward: Option<f64>,
    /// What the reward is made of.
    pub parts: Vec<(String, f64)>,
    /// How much better it is than its group.
    pub advantage: Option<f64>,
    /// What else is to be known, such as `truncated` or `forced`.
    pub flags: Vec<String>,
    /// By which it can be generated again.
    pub replay_id: Option<String>,
}

/// A sample's members; its picture goes to `pictures`.
///
/// # Errors
/// If the picture cannot be written.
pub(crate) fn sample(sample: &Sample, pictures: &Path) -> Result<Map<String, Value>, Error> {
    let mut members = Map::new();
    put(&mut members, "name", sample.name.as_str());
    put(&mut members, "prompt", sample.prompt.as_str());
    put(&mut members, "text", sample.text.as_str());
    if let Some(picture) = &sample.picture {
        put(&mut members, "picture", picture.store(pictures)?);
    }
    Ok(members)
}

/// A note's members.
pub(crate) fn note(level: Level, text: &str) -> Map<String, Value> {
    let mut members = Map::new();
    put(&mut members, "level", level.word());
    put(&mut members, "text", text);
    members
}

/// A group's members; its pictures go to `pictures`.
///
/// # Errors
/// If a picture cannot be written.
pub(crate) fn group(group: &RolloutGroup, pictures: &Path) -> Result<Map<String, Value>, Error> {
    let mut members = Map::new();
    put(&mut members, "domain", group.domain.as_str());
    if let Some(tier) = &group.tier {
        put(&mut members, "tier", tier.as_str());
    }
    put(&mut members, "prompt", group.prompt.as_str());
    let names = group.pictures.iter().map(|picture| picture.store(pictures));
    put(
        &mut members,
        "pictures",
        names.collect::<Result<Vec<_>, _>>()?,
    );
    if let Some(truth) = &group.truth {
        put(&mut members, "truth", truth.as_str());
    }
    let completions: Vec<Value> = group.completions.iter().map(completion).collect();
    put(&mut members, "completions", completions);
    Ok(members)
}

fn completion(completion: &Completion) -> Value {
    let mut members = Map::new();
    put(&mut members, "text", completion.text.as_str());
    put(&mut members, "num_tokens", completion.num_tokens);
    if let Some(reward) = completion.reward {
        put(&mut members, "reward", number::to_json(reward));
    }
    let parts = completion.parts.iter();
    let parts = parts.map(|(name, part)| (name.clone(), number::to_json(*part)));
    put(&mut members, "parts", parts.collect::<Map<_, _>>());
    if let Some(advantage) = completion.advantage {
        put(&mut members, "advantage", number::to_json(advantage));
    }
    put(&mut members, "flags", completion.flags.clone());
    if let Some(id) = &completion.replay_id {
        put(&mut members, "replay_id", id.as_str());
    }
    Value::Object(members)
}

fn put(members: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    members.insert(name.to_owned(), value.into());
}
