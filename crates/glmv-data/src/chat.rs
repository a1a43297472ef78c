//! Rows with dialogues to samples: OpenAI, TRL and LLaMA-Factory messages, ShareGPT and LLaVA
//! conversations, prompts with completions. Called by `Layout::read`.

use std::path::Path;

use glmv_processor::{Conversation, MediaAccess, Role};
use serde_json::{Value, json};

use crate::error::{Place, RowError};
use crate::fields::{Fields, boolean, get, list, string, tools, weight, wrong};
use crate::media::{Media, resolve};
use crate::sample::{Body, Sample};

/// `messages`. An assistant message with `"weight": 0` is context without loss.
pub(crate) fn messages(row: &Fields, base: &Path, place: &Place) -> Result<Sample, RowError> {
    let conversation = conversation(list(row, "messages")?, "messages", row, base)?;
    sample(row, conversation, 0, place)
}

/// `conversations`, with the row's `system` before them.
pub(crate) fn share_gpt(row: &Fields, base: &Path, place: &Place) -> Result<Sample, RowError> {
    let mut turns = Vec::new();
    if let Some(system) = string(row, "system")?.filter(|text| !text.is_empty()) {
        turns.push(json!({"role": "system", "content": system}));
    }
    for (i, turn) in list(row, "conversations")?.iter().enumerate() {
        turns.push(share_gpt_turn(turn, &format!("conversations[{i}]"))?);
    }
    let conversation = conversation(&turns, "conversations", row, base)?;
    sample(row, conversation, 0, place)
}

/// `prompt` and `completion`; only the completion's assistant turns are learnt.
pub(crate) fn completion(row: &Fields, base: &Path, place: &Place) -> Result<Sample, RowError> {
    let mut turns = side(row, "prompt", "user")?;
    let first = turns.len();
    turns.extend(side(row, "completion", "assistant")?);
    let conversation = conversation(&turns, "prompt + completion", row, base)?;
    sample(row, conversation, first, place)
}

fn side(row: &Fields, key: &str, role: &str) -> Result<Vec<Value>, RowError> {
    match row.get(key).unwrap_or(&Value::Null) {
        Value::String(text) => Ok(vec![json!({"role": role, "content": text})]),
        Value::Array(messages) => Ok(messages.clone()),
        other => Err(wrong(key, "text or a list of messages", other)),
    }
}

/// A turn of `from` and `value` as a message.
fn share_gpt_turn(turn: &Value, at: &str) -> Result<Value, RowError> {
    let value = &turn["value"];
    let Some(text) = value.as_str() else {
        return Err(wrong(format!("{at}.value"), "a string", value));
    };
    let role = match turn["from"].as_str() {
        Some("human" | "user") => "user",
        Some("gpt" | "assistant") => "assistant",
        Some("system") => "system",
        Some("observation" | "tool") => "tool",
        Some("function_call") => {
            let calls: Value = serde_json::from_str(text).unwrap_or(Value::Null);
            let calls = match calls {
                Value::Array(_) => calls,
                Value::Object(_) => json!([calls]),
                _ => {
                    let expected = "the JSON of a call or of a list of calls";
                    return Err(wrong(format!("{at}.value"), expected, value));
                }
            };
            return Ok(json!({"role": "assistant", "content": "", "tool_calls": calls}));
        }
        _ => {
            let expected = "human, gpt, system, observation or function_call";
            return Err(wrong(format!("{at}.from"), expected, &turn["from"]));
        }
    };
    Ok(json!({"role": role, "content": text}))
}

/// Messages as a conversation: markers and bare parts filled from the row's lists, paths resolved.
pub(crate) fn conversation(
    messages: &[Value],
    key: &str,
    row: &Fields,
    base: &Path,
) -> Result<Conversation, RowError> {
    let mut media = Media::of(row)?;
    let mut filled = Vec::with_capacity(messages.len());
    for (i, message) in messages.iter().enumerate() {
        let at = format!("{key}[{i}]");
        let Some(fields) = message.as_object() else {
            return Err(wrong(at, "an object", message));
        };
        let mut fields = fields.clone();
        if let Some(content) = fields.get_mut("content") {
            *content = media.content(content, &format!("{at}.content"))?;
        }
        filled.push(Value::Object(fields));
    }
    media.finish()?;
    let json = json!({"messages": filled, "tools": tools(row)?});
    let mut conversation = Conversation::from_json(&json, MediaAccess::LocalFiles)?;
    resolve(&mut conversation, base);
    Ok(conversation)
}

fn sample(
    row: &Fields,
    mut conversation: Conversation,
    first: usize,
    place: &Place,
) -> Result<Sample, RowError> {
    let mut targets = Vec::new();
    for (turn, message) in conversation.messages.iter_mut().enumerate() {
        // Ours, not the template's.
        let weight = message.extra.remove("weight");
        let learnt = match weight.as_ref().map(|w| (w, w.as_f64())) {
            None => true,
            Some((_, Some(0.0))) => false,
            Some((_, Some(1.0))) => true,
            Some((found, _)) => {
                return Err(wrong(format!("messages[{turn}].weight"), "0 or 1", found));
            }
        };
        if message.role == Role::Assistant && learnt && turn >= first {
            targets.push(turn);
        }
    }
    if targets.is_empty() {
        return Err(RowError::NoAnswer);
    }
    let thinking = match get(row, "thinking") {
        Some(_) => boolean(row, "thinking")?,
        None => boolean(row, "enable_thinking")?,
    };
    Ok(Sample {
        body: Body::Chat(conversation),
        targets,
        weight: weight(row)?,
        domain: string(row, "domain")?,
        thinking,
        place: place.clone(),
    })
}
