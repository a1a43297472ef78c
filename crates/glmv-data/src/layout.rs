//! Which layout a file has, and a row of it to a [`Record`]. Called for every row that is read.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat;
use crate::error::{Place, RowError};
use crate::fields::{Fields, get, wrong};
use crate::sample::Record;
use crate::{running_text, task};

/// How the rows of a file are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `messages` of `role` and `content` (OpenAI, TRL, LLaMA-Factory); `content` is text with
    /// `<image>` and `<video>` markers for `images` and `videos`, or a list of parts.
    Messages,
    /// `conversations` of `from` and `value` (ShareGPT, LLaVA), markers as above.
    ShareGpt,
    /// `prompt` and `completion`, each text or messages (TRL); loss on the completion.
    PromptCompletion,
    /// `text`, with markers if the row has `images` or `videos`.
    Text,
    /// `prompt` and `reward_model` (verl): tasks for reinforcement learning.
    Task,
}

impl Layout {
    const ALL: [Self; 5] = [
        Self::Messages,
        Self::ShareGpt,
        Self::PromptCompletion,
        Self::Text,
        Self::Task,
    ];

    /// The layout's name, as recipes write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::ShareGpt => "share_gpt",
            Self::PromptCompletion => "prompt_completion",
            Self::Text => "text",
            Self::Task => "task",
        }
    }

    fn fits(self, row: &Fields) -> bool {
        let has = |key| get(row, key).is_some();
        match self {
            Self::Messages => has("messages"),
            Self::ShareGpt => has("conversations"),
            Self::PromptCompletion => has("prompt") && has("completion"),
            Self::Text => has("text"),
            Self::Task => has("prompt") && has("reward_model"),
        }
    }

    /// The only layout whose keys the row has.
    ///
    /// # Errors
    /// [`RowError::UnknownLayout`] or [`RowError::AmbiguousLayout`]; [`RowError::Field`] when the
    /// row is no object.
    pub fn detect(row: &Value) -> Result<Self, RowError> {
        let Some(fields) = row.as_object() else {
            return Err(wrong("row", "an object", row));
        };
        let fitting: Vec<Self> = Self::ALL.into_iter().filter(|l| l.fits(fields)).collect();
        match fitting[..] {
            [layout] => Ok(layout),
            [] => Err(RowError::UnknownLayout {
                keys: fields.keys().cloned().collect::<Vec<_>>().join(", "),
            }),
            _ => Err(RowError::AmbiguousLayout {
                candidates: fitting
                    .iter()
                    .map(|l| l.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
        }
    }

    /// A row of this layout; relative paths of pictures and videos count from `base`. Keys that the
    /// layout does not know are left out.
    ///
    /// # Errors
    /// [`RowError`] naming the field.
    pub fn read(self, row: &Value, base: &Path, place: &Place) -> Result<Record, RowError> {
        let Some(fields) = row.as_object() else {
            return Err(wrong("row", "an object", row));
        };
        match self {
            Self::Messages => chat::messages(fields, base, place).map(Record::Sample),
            Self::ShareGpt => chat::share_gpt(fields, base, place).map(Record::Sample),
            Self::PromptCompletion => chat::completion(fields, base, place).map(Record::Sample),
            Self::Text => running_text::read(fields, base, place).map(Record::Sample),
            Self::Task => task::read(fields, base, place).map(Record::Task),
        }
    }
}
