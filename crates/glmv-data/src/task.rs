//! Rows with tasks for reinforcement learning, in verl's schema. Called by `Layout::read`.

use std::path::Path;

use serde_json::Value;

use crate::chat::conversation;
use crate::error::{Place, RowError};
use crate::fields::{Fields, get, list, number, object, string, wrong};
use crate::sample::RlTask;

/// `data_source`, `prompt`, `ability`, `reward_model {style, ground_truth}`, `extra_info`, `images`,
/// `videos`.
pub(crate) fn read(row: &Fields, base: &Path, place: &Place) -> Result<RlTask, RowError> {
    let missing = |key: &str, expected: &str| wrong(key, expected, &Value::Null);
    let data_source = string(row, "data_source")?;
    let reward = object(row, "reward_model")?;
    let reward = reward.ok_or_else(|| missing("reward_model", "an object"))?;
    let reference = match get(reward, "ground_truth") {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => return Err(missing("reward_model.ground_truth", "the true answer")),
    };
    let extra = object(row, "extra_info")?.cloned().unwrap_or_default();
    let difficulty = match number(row, "difficulty")? {
        Some(value) => Some(value),
        // Other people's words in `extra_info` ("hard") are theirs, and stay in `extra`.
        None => extra.get("difficulty").and_then(Value::as_f64),
    };
    Ok(RlTask {
        prompt: conversation(list(row, "prompt")?, "prompt", row, base)?,
        data_source: data_source.ok_or_else(|| missing("data_source", "a string"))?,
        domain: string(row, "ability")?,
        style: string(reward, "style")?,
        reference,
        difficulty,
        id: name(
            get(row, "id")
                .or_else(|| get(&extra, "id"))
                .or_else(|| get(&extra, "index")),
        )?,
        extra,
        place: place.clone(),
    })
}

fn name(value: Option<&Value>) -> Result<Option<String>, RowError> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(wrong("id", "a string or a number", other)),
    }
}
