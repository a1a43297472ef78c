//! Rows of running text, with pictures and videos in it or without. Called by `Layout::read`.

use std::path::Path;

use glmv_processor::{Conversation, MediaAccess, Part};
use serde_json::{Value, json};

use crate::error::{Place, RowError};
use crate::fields::{Fields, string, weight, wrong};
use crate::media::{Media, resolve};
use crate::sample::{Body, Sample};

/// `text`. Markers count only in rows that bring pictures or videos: plain text may hold anything.
pub(crate) fn read(row: &Fields, base: &Path, place: &Place) -> Result<Sample, RowError> {
    let text = string(row, "text")?;
    let text = text.filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        let found = row.get("text").unwrap_or(&Value::Null);
        wrong("text", "a string that is not empty", found)
    })?;
    let mut media = Media::of(row)?;
    let parts = if media.any() {
        let content = media.marked(&text);
        media.finish()?;
        // One reader of parts: a message of them, which is taken apart again.
        let json = json!([{"role": "user", "content": content}]);
        let mut carrier = Conversation::from_json(&json, MediaAccess::LocalFiles)?;
        resolve(&mut carrier, base);
        carrier.messages.into_iter().flat_map(|m| m.parts).collect()
    } else {
        vec![Part::Text(text)]
    };
    Ok(Sample {
        body: Body::Text(parts),
        targets: Vec::new(),
        weight: weight(row)?,
        domain: string(row, "domain")?,
        thinking: None,
        place: place.clone(),
    })
}
