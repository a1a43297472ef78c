//! One row per layout. Every row carries `gym`: what the item was made from, for audits and tables.

use super::media;
use crate::domains::lesson::IMAGE;
use crate::item::combination;
use crate::{Error, Item, Media};
use image::RgbImage;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::path::Path;

/// What an item was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meta {
    pub id: String,
    pub domain: String,
    pub level: u8,
    pub seed: u64,
    pub split: String,
    pub template: String,
    pub factors: Map<String, Value>,
    pub reward_domain: String,
    pub question: String,
    pub answer: String,
    /// Pictures and videos relative to the folder of the rows.
    pub media: Vec<String>,
}

impl Meta {
    fn of(item: &Item, media: &[String]) -> Self {
        let factors = item
            .factors
            .iter()
            .map(|(k, v)| ((*k).to_owned(), json!(v)));
        Self {
            id: item.id.clone(),
            domain: item.domain.name().into(),
            level: item.level,
            seed: item.seed,
            split: item.split.name().into(),
            template: item.template.clone(),
            factors: factors.collect(),
            reward_domain: item.reward_domain.into(),
            question: item.question.clone(),
            answer: item.answer.clone(),
            media: media.to_vec(),
        }
    }

    /// As [`Item::combination`].
    pub(crate) fn combination(&self) -> String {
        let values = self
            .factors
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str().unwrap_or("")));
        combination(&self.template, values)
    }

    /// Every picture and frame.
    pub(crate) fn pictures(&self, folder: &Path) -> Result<Vec<RgbImage>, Error> {
        let mut all = Vec::new();
        for path in &self.media {
            all.extend(media::read(&folder.join(path))?);
        }
        Ok(all)
    }
}

/// SHA-256 of a question and the pixels it is about.
pub(crate) fn content_digest(question: &str, pictures: &[RgbImage]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(question.as_bytes());
    for picture in pictures {
        sha.update([0]);
        sha.update(picture.width().to_le_bytes());
        sha.update(picture.as_raw());
    }
    sha.finalize().into()
}

/// `gym/chart/closed`: domain and the reward domain of the item.
pub(super) fn source(item: &Item) -> String {
    format!("gym/{}/{}", item.domain.name(), item.reward_domain)
}

fn key(item: &Item) -> (&'static str, &'static str) {
    match item.media {
        Media::Images(_) => ("image", "images"),
        Media::Video { .. } => ("video", "videos"),
    }
}

pub(super) fn sft(item: &Item, paths: &[String], nothink: bool) -> Value {
    let (kind, _) = key(item);
    let part = |path: &String| json!({"type": kind, kind: path});
    let mut parts: Vec<Value> = paths.iter().map(part).collect();
    let (question, completion) = match nothink {
        true => (format!("{}/nothink", item.question), item.direct()),
        false => (item.question.clone(), item.completion()),
    };
    parts.push(json!({"type": "text", "text": question}));
    json!({
        "messages": [
            {"role": "user", "content": parts},
            {"role": "assistant", "content": completion},
        ],
        "domain": item.domain.name(),
        "thinking": !nothink,
        "gym": Meta::of(item, paths),
    })
}

/// `<image>` for each picture, or `<video>`, then the text.
fn marked(item: &Item, paths: &[String], text: &str) -> String {
    let (kind, _) = key(item);
    format!("{}{text}", format!("<{kind}>").repeat(paths.len()))
}

/// How hard a level is said to be, before a model was asked; names of `glmv_rl`'s tiers.
fn tier(level: u8) -> &'static str {
    match level {
        0 | 1 => "very-easy",
        2 => "easy",
        3 => "medium",
        4 => "hard",
        _ => "very-hard",
    }
}

pub(super) fn rl(item: &Item, paths: &[String]) -> Value {
    let (_, list) = key(item);
    let meta = Meta::of(item, paths);
    json!({
        "data_source": source(item),
        "prompt": [{"role": "user", "content": marked(item, paths, &item.question)}],
        "ability": item.domain.name(),
        "reward_model": {"style": "rule", "ground_truth": item.answer},
        list: paths,
        "extra_info": {
            "id": item.id,
            "level": item.level,
            "split": item.split.name(),
            "tier": tier(item.level),
        },
        "gym": meta,
    })
}

pub(super) fn caption(item: &Item, paths: &[String]) -> Value {
    let (_, list) = key(item);
    let text = match item.caption.contains(IMAGE) {
        true => item.caption.clone(),
        false => marked(item, paths, &item.caption),
    };
    json!({
        "text": text,
        list: paths,
        "gym": Meta::of(item, paths),
    })
}

/// The row of an item in the layout that another row has; `None` for a row in none of them.
pub(crate) fn rewritten(item: &Item, paths: &[String], like: &Value) -> Option<Value> {
    let has = |key: &str| like.get(key).is_some();
    match (has("messages"), has("prompt"), has("text")) {
        (true, false, false) => Some(sft(item, paths, like["thinking"] == json!(false))),
        (false, true, false) => Some(rl(item, paths)),
        (false, false, true) => Some(caption(item, paths)),
        _ => None,
    }
}
