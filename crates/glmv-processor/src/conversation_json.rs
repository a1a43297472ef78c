//! Conversations from OpenAI-shaped JSON (`conversation_write` is the other way). Called by the
//! server, the command line and data readers.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::base64;
use crate::conversation::{Conversation, ImageSource, Message, Part, Role, VideoSource};
use crate::decode::decode_rgb;
use crate::error::Error;

/// Which sources of pictures and videos JSON may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaAccess {
    /// Only data inside the JSON; a file name is an error. For requests from elsewhere.
    InlineOnly,
    /// Also `file://` addresses and plain paths. For the user's own files.
    LocalFiles,
}

fn wrong(at: &str, expected: &str, found: &Value) -> Error {
    // A picture in base64 is no help in a message.
    let mut found = found.to_string();
    if let Some((cut, _)) = found.char_indices().nth(80) {
        found.truncate(cut);
        found.push('…');
    }
    Error::Conversation {
        at: at.to_owned(),
        expected: expected.to_owned(),
        found,
    }
}

impl Conversation {
    /// A conversation from `{"messages": [..], "tools": [..]}` or from the bare list of messages.
    ///
    /// `content` is a string, null, or a list of parts: `text`, `image_url` / `video_url` (`{"url":
    /// ..}` or a string), `image` / `video` with the address under the same key, and `video` with
    /// `frames`, `fps` and `duration`. Addresses are `data:` with base64, and with
    /// [`MediaAccess::LocalFiles`] `file://` or a path; nothing is fetched from a network and no
    /// file is opened here. The `arguments` of a tool call may be a JSON text and become an object.
    ///
    /// # Errors
    /// [`Error::Conversation`] naming the place, what was expected and what was found.
    pub fn from_json(json: &Value, access: MediaAccess) -> Result<Self, Error> {
        let list = json.get("messages").unwrap_or(json);
        let Some(items) = list.as_array() else {
            return Err(wrong("messages", "a list", list));
        };
        let messages = items
            .iter()
            .enumerate()
            .map(|(i, item)| message(item, &format!("messages[{i}]"), access))
            .collect::<Result<_, _>>()?;
        let tools = json.get("tools").filter(|t| !t.is_null());
        if let Some(tools) = tools.filter(|t| !t.is_array()) {
            return Err(wrong("tools", "a list", tools));
        }
        Ok(Self {
            messages,
            tools: tools.cloned(),
        })
    }
}

fn message(json: &Value, at: &str, access: MediaAccess) -> Result<Message, Error> {
    let Some(fields) = json.as_object() else {
        return Err(wrong(at, "an object", json));
    };
    let name = fields.get("role").unwrap_or(&Value::Null);
    let role = name.as_str().and_then(Role::from_name);
    let role = role.ok_or_else(|| {
        wrong(
            &format!("{at}.role"),
            "system, user, assistant or tool",
            name,
        )
    })?;
    let content = fields.get("content").unwrap_or(&Value::Null);
    let mut message = Message::new(role, parts(content, &format!("{at}.content"), access)?);
    for (key, value) in fields.iter().filter(|(_, v)| !v.is_null()) {
        match key.as_str() {
            "role" | "content" => {}
            "reasoning_content" | "reasoning" => match value.as_str() {
                Some(text) => message.reasoning = Some(text.to_owned()),
                None => return Err(wrong(&format!("{at}.{key}"), "a string", value)),
            },
            "tool_calls" => {
                message.tool_calls = Some(tool_calls(value, &format!("{at}.tool_calls"))?)
            }
            _ => {
                message.extra.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(message)
}

fn parts(content: &Value, at: &str, access: MediaAccess) -> Result<Vec<Part>, Error> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::Text(text.clone())]),
        Value::Array(items) => {
            let each = items.iter().enumerate();
            each.map(|(i, item)| part(item, &format!("{at}[{i}]"), access))
                .collect()
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(wrong(at, "a string or a list of parts", content))
        }
    }
}

fn part(json: &Value, at: &str, access: MediaAccess) -> Result<Part, Error> {
    if let Some(text) = json.as_str() {
        return Ok(Part::Text(text.to_owned()));
    }
    let kind = &json["type"];
    match kind.as_str() {
        Some("text" | "input_text") => match json["text"].as_str() {
            Some(text) => Ok(Part::Text(text.to_owned())),
            None => Err(wrong(&format!("{at}.text"), "a string", &json["text"])),
        },
        Some(key @ ("image" | "image_url")) => {
            let at = format!("{at}.{key}");
            match media(address(json, key, &at)?, &at, access)? {
                Media::Bytes(bytes) => Ok(Part::Image(ImageSource::Bytes(bytes))),
                Media::Path(path) => Ok(Part::Image(ImageSource::Path(path))),
            }
        }
        Some("video") if json.get("frames").is_some() => Ok(Part::Video(frames(json, at)?)),
        Some(key @ ("video" | "video_url")) => {
            let at = format!("{at}.{key}");
            match media(address(json, key, &at)?, &at, access)? {
                Media::Path(path) => Ok(Part::Video(VideoSource::Path(path))),
                Media::Bytes(_) => Err(wrong(
                    &at,
                    "a file, or a part with `frames`",
                    &json!("data: address"),
                )),
            }
        }
        _ => Err(wrong(
            &format!("{at}.type"),
            "text, image, image_url, video or video_url",
            kind,
        )),
    }
}

fn address<'a>(json: &'a Value, key: &str, at: &str) -> Result<&'a str, Error> {
    let value = &json[key];
    let text = value.as_str().or_else(|| value["url"].as_str());
    text.ok_or_else(|| wrong(at, "an address or {\"url\": address}", value))
}

enum Media {
    Bytes(Vec<u8>),
    Path(PathBuf),
}

fn media(address: &str, at: &str, access: MediaAccess) -> Result<Media, Error> {
    if let Some(data) = address.strip_prefix("data:") {
        let encoded = data.split_once(";base64,").map(|(_, encoded)| encoded);
        let bytes = encoded.and_then(base64::decode);
        return bytes
            .map(Media::Bytes)
            .ok_or_else(|| wrong(at, "data:TYPE;base64,…", &json!(address)));
    }
    if access == MediaAccess::InlineOnly {
        return Err(wrong(
            at,
            "a data: address (files and networks are not read here)",
            &json!(address),
        ));
    }
    match address.strip_prefix("file://") {
        Some(path) => Ok(Media::Path(PathBuf::from(path))),
        None if address.contains("://") => Err(wrong(
            at,
            "a data: or file:// address or a path",
            &json!(address),
        )),
        None => Ok(Media::Path(PathBuf::from(address))),
    }
}

fn frames(json: &Value, at: &str) -> Result<VideoSource, Error> {
    let list = &json["frames"];
    let Some(items) = list.as_array() else {
        return Err(wrong(
            &format!("{at}.frames"),
            "a list of data: addresses",
            list,
        ));
    };
    let mut frames = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let at = format!("{at}.frames[{i}]");
        let text = item
            .as_str()
            .ok_or_else(|| wrong(&at, "a data: address", item))?;
        match media(text, &at, MediaAccess::InlineOnly)? {
            Media::Bytes(bytes) => frames.push(decode_rgb(&bytes, &at)?),
            Media::Path(_) => return Err(wrong(&at, "a data: address", item)),
        }
    }
    let number = |key: &str| match &json[key] {
        Value::Null => Ok(None),
        value => match value.as_f64() {
            Some(x) => Ok(Some(x)),
            None => Err(wrong(&format!("{at}.{key}"), "a number", value)),
        },
    };
    Ok(VideoSource::Frames {
        frames,
        fps: number("fps")?,
        duration_secs: number("duration")?,
    })
}

/// Tool calls with every `arguments` an object: OpenAI sends a JSON text, templates iterate over an
/// object.
fn tool_calls(json: &Value, at: &str) -> Result<Value, Error> {
    let mut calls = json.clone();
    let Some(items) = calls.as_array_mut() else {
        return Err(wrong(at, "a list", json));
    };
    for (i, call) in items.iter_mut().enumerate() {
        let inner = if call.get("function").is_some() {
            call.get_mut("function")
        } else {
            Some(call)
        };
        let Some(arguments) = inner.and_then(|f| f.get_mut("arguments")) else {
            continue;
        };
        if let Some(text) = arguments.as_str() {
            let parsed = serde_json::from_str::<Map<String, Value>>(text);
            let parsed = parsed
                .map_err(|_| wrong(&format!("{at}[{i}].arguments"), "a JSON object", arguments))?;
            *arguments = Value::Object(parsed);
        }
    }
    Ok(calls)
}
