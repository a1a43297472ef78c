//! Pictures and videos of a row: the lists beside the text, and the markers or bare parts in the text
//! that stand for their entries. Used by all readers.

use std::path::Path;

use glmv_processor::{Conversation, ImageSource, Part, VideoSource};
use serde_json::{Value, json};

use crate::error::RowError;
use crate::fields::{Fields, get, wrong};

/// One kind of media of a row.
struct Shelf {
    kind: &'static str,
    marker: &'static str,
    list: &'static str,
    /// The entries as parts that `Conversation::from_json` reads.
    parts: Vec<Value>,
    /// Markers and bare parts seen so far.
    taken: usize,
}

impl Shelf {
    fn read(
        row: &Fields,
        kind: &'static str,
        marker: &'static str,
        keys: [&'static str; 2],
    ) -> Result<Self, RowError> {
        let mut parts = Vec::new();
        let key = keys.into_iter().find(|key| get(row, key).is_some());
        match key.and_then(|key| get(row, key)) {
            None => {}
            Some(Value::Array(items)) => {
                for (i, item) in items.iter().enumerate() {
                    parts.push(part(item, kind, &format!("{}[{i}]", key.unwrap_or(kind)))?);
                }
            }
            Some(item) => parts.push(part(item, kind, key.unwrap_or(kind))?),
        }
        Ok(Self {
            kind,
            marker,
            list: key.unwrap_or(keys[0]),
            parts,
            taken: 0,
        })
    }

    /// The next entry; beyond the list a stand-in, because `finish` reports the numbers.
    fn take(&mut self) -> Value {
        let next = self.parts.get(self.taken).cloned();
        self.taken += 1;
        next.unwrap_or_else(|| json!({"type": "text", "text": ""}))
    }

    fn finish(&self) -> Result<(), RowError> {
        if self.taken == self.parts.len() {
            return Ok(());
        }
        Err(RowError::Markers {
            marker: self.marker,
            markers: self.taken,
            list: self.list,
            media: self.parts.len(),
        })
    }
}

/// The media of a row, handed out in the order of the text.
pub(crate) struct Media {
    images: Shelf,
    videos: Shelf,
}

impl Media {
    /// The lists `images` / `image` and `videos` / `video` of a row.
    pub(crate) fn of(row: &Fields) -> Result<Self, RowError> {
        Ok(Self {
            images: Shelf::read(row, "image", "<image>", ["images", "image"])?,
            videos: Shelf::read(row, "video", "<video>", ["videos", "video"])?,
        })
    }

    /// Whether the row brings any.
    pub(crate) fn any(&self) -> bool {
        !self.images.parts.is_empty() || !self.videos.parts.is_empty()
    }

    /// Text with its markers replaced by parts; without markers the text as it is.
    pub(crate) fn marked(&mut self, text: &str) -> Value {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let image = rest.find(self.images.marker);
            let video = rest.find(self.videos.marker);
            let (at, shelf) = match (image, video) {
                (Some(i), Some(v)) if v < i => (v, &mut self.videos),
                (Some(i), _) => (i, &mut self.images),
                (None, Some(v)) => (v, &mut self.videos),
                (None, None) => break,
            };
            if at > 0 {
                parts.push(json!({"type": "text", "text": &rest[..at]}));
            }
            rest = &rest[at + shelf.marker.len()..];
            parts.push(shelf.take());
        }
        if parts.is_empty() {
            return Value::from(text);
        }
        if !rest.is_empty() {
            parts.push(json!({"type": "text", "text": rest}));
        }
        Value::Array(parts)
    }

    /// `content` of a message: text with markers, or a list of parts in which a picture may be bare
    /// (the next of the list), or come by `path`, `base64` or `bytes`.
    pub(crate) fn content(&mut self, content: &Value, at: &str) -> Result<Value, RowError> {
        match content {
            Value::String(text) => Ok(self.marked(text)),
            Value::Array(items) => {
                let mut parts = Vec::with_capacity(items.len());
                for (i, item) in items.iter().enumerate() {
                    parts.push(self.listed(item, &format!("{at}[{i}]"))?);
                }
                Ok(Value::Array(parts))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                Ok(content.clone())
            }
        }
    }

    fn listed(&mut self, item: &Value, at: &str) -> Result<Value, RowError> {
        let shelf = match item["type"].as_str() {
            Some("image") => &mut self.images,
            Some("video") => &mut self.videos,
            _ => return Ok(item.clone()),
        };
        let keys = [shelf.kind, "path", "url", "base64", "bytes", "frames"];
        if !keys.iter().any(|key| !item[*key].is_null()) {
            return Ok(shelf.take());
        }
        match item.get("frames") {
            Some(frames) if !frames.is_null() => Ok(item.clone()),
            _ => part(item, shelf.kind, at),
        }
    }

    /// Fails unless every entry of the lists was used exactly once.
    pub(crate) fn finish(&self) -> Result<(), RowError> {
        self.images.finish()?;
        self.videos.finish()
    }
}

/// An entry of a list, or a part: an address, or an object that holds one.
fn part(item: &Value, kind: &str, at: &str) -> Result<Value, RowError> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let address = match item {
        Value::String(address) => Some(address.clone()),
        Value::Object(_) => {
            let data = text("bytes").or_else(|| text("base64"));
            let inline = data.map(|data| match data.starts_with("data:") {
                true => data.to_owned(),
                false => format!("data:application/octet-stream;base64,{data}"),
            });
            let named = text("path").or_else(|| text(kind)).or_else(|| text("url"));
            let nested = || item.get(kind).and_then(|inner| inner["url"].as_str());
            inline.or_else(|| named.or_else(nested).map(str::to_owned))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    };
    match address {
        Some(address) => Ok(json!({"type": kind, kind: address})),
        None => Err(wrong(
            at,
            "a path, a data: address, or an object with `path`, `url`, `base64` or `bytes`",
            item,
        )),
    }
}

/// Makes relative paths of a conversation count from `base`.
pub(crate) fn resolve(conversation: &mut Conversation, base: &Path) {
    let messages = conversation.messages.iter_mut();
    for part in messages.flat_map(|message| &mut message.parts) {
        match part {
            Part::Image(ImageSource::Path(path)) | Part::Video(VideoSource::Path(path)) => {
                if path.is_relative() {
                    *path = base.join(&path);
                }
            }
            Part::Text(_) | Part::Image(_) | Part::Video(_) => {}
        }
    }
}
