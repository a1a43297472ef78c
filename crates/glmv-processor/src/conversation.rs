//! Conversations: roles, text, pictures and videos in order. Made by the caller (or from
//! OpenAI-shaped JSON, see `Conversation::from_json`), consumed by the template and the processor.

use std::path::PathBuf;

use image::RgbImage;
use serde_json::{Map, Value, json};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions to the model.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

impl Role {
    /// The name used in JSON and by chat templates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// The role of that name; `developer` is OpenAI's newer name for `system`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "system" | "developer" => Some(Self::System),
            "user" => Some(Self::User),
            "assistant" => Some(Self::Assistant),
            "tool" => Some(Self::Tool),
            _ => None,
        }
    }
}

/// Where a picture comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageSource {
    /// A PNG, JPEG, WebP, GIF (first frame) or BMP file.
    Path(PathBuf),
    /// The bytes of such a file.
    Bytes(Vec<u8>),
    /// Decoded pixels.
    Rgb(RgbImage),
}

/// Where a video comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum VideoSource {
    /// A folder of pictures, an animated GIF or WebP, a `.y4m` or `.safetensors` file, or anything
    /// `ffmpeg` reads.
    Path(PathBuf),
    /// Decoded frames.
    Frames {
        /// All frames, of one size.
        frames: Vec<RgbImage>,
        /// Frames per second; without it every frame is used and 24 is assumed for the seconds in
        /// the text.
        fps: Option<f64>,
        /// Length in seconds; computed from the number of frames when missing.
        duration_secs: Option<f64>,
    },
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text as it is; special tokens written in it are recognised.
    Text(String),
    /// A picture.
    Image(ImageSource),
    /// A video.
    Video(VideoSource),
}

/// One turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// The model's reasoning, where it is kept apart from the answer (`reasoning_content`).
    pub reasoning: Option<String>,
    /// Calls of an assistant turn: `[{"function": {"name": .., "arguments": {..}}}]`.
    pub tool_calls: Option<Value>,
    /// Further fields the template may read (`name`, `tool_call_id`, `metadata`, …).
    pub extra: Map<String, Value>,
}

impl Message {
    /// A turn of the given parts without reasoning, calls or further fields.
    #[must_use]
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self {
            role,
            parts,
            reasoning: None,
            tool_calls: None,
            extra: Map::new(),
        }
    }

    /// A turn of plain text.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self::new(role, vec![Part::Text(text.into())])
    }

    /// `content` as the template reads it: a string when the turn is plain text, else a list.
    /// System and assistant turns of several texts become one string, because GLM-4.1V's template
    /// prints a list there as code.
    fn template_content(&self) -> Value {
        let texts: Option<Vec<&str>> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Image(_) | Part::Video(_) => None,
            })
            .collect();
        let joins = matches!(self.role, Role::System | Role::Assistant);
        match texts {
            Some(texts) if texts.len() <= 1 || joins => Value::from(texts.concat()),
            _ => self
                .parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => json!({"type": "text", "text": text}),
                    Part::Image(_) => json!({"type": "image"}),
                    Part::Video(_) => json!({"type": "video"}),
                })
                .collect(),
        }
    }

    /// The fields of this turn with `content` replaced by the given value.
    pub(crate) fn with_content(&self, content: Value) -> Value {
        let mut fields = self.extra.clone();
        fields.insert("role".to_owned(), json!(self.role.name()));
        fields.insert("content".to_owned(), content);
        if let Some(reasoning) = &self.reasoning {
            fields.insert("reasoning_content".to_owned(), json!(reasoning));
        }
        if let Some(calls) = &self.tool_calls {
            fields.insert("tool_calls".to_owned(), calls.clone());
        }
        Value::Object(fields)
    }
}

/// A dialogue and the tools the model may call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    /// The turns in order.
    pub messages: Vec<Message>,
    /// Tool descriptions in OpenAI's shape.
    pub tools: Option<Value>,
}

impl Conversation {
    /// A conversation without tools.
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            messages,
            tools: None,
        }
    }

    /// The messages in the shape a chat template reads: pictures and videos are bare `{"type": ..}`
    /// entries.
    #[must_use]
    pub fn template_messages(&self) -> Value {
        self.messages
            .iter()
            .map(|m| m.with_content(m.template_content()))
            .collect()
    }

    /// The pictures in prompt order.
    pub fn images(&self) -> impl Iterator<Item = &ImageSource> {
        self.parts().filter_map(|part| match part {
            Part::Image(source) => Some(source),
            Part::Text(_) | Part::Video(_) => None,
        })
    }

    /// The videos in prompt order.
    pub fn videos(&self) -> impl Iterator<Item = &VideoSource> {
        self.parts().filter_map(|part| match part {
            Part::Video(source) => Some(source),
            Part::Text(_) | Part::Image(_) => None,
        })
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.messages.iter().flat_map(|message| &message.parts)
    }
}
