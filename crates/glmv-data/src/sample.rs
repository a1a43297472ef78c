//! What a row means: a sample to learn from, or a task to be rewarded on. Made by the readers,
//! consumed by the encoder and by reinforcement learning.

use glmv_processor::{Conversation, Message, Part, Role};
use serde_json::{Map, Value};

use crate::error::Place;

/// What a sample teaches.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A dialogue; loss on the assistant turns of [`Sample::targets`].
    Chat(Conversation),
    /// Running text with pictures and videos in it; loss on all of the text.
    Text(Vec<Part>),
}

/// A row to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The dialogue or text. Relative paths of the file are resolved.
    pub body: Body,
    /// Indices of the assistant turns to learn, ascending; empty for text.
    pub targets: Vec<usize>,
    /// Factor on the sample's loss, finite and not negative; 1 unless the row says otherwise.
    pub weight: f32,
    /// Subject, where the row names one.
    pub domain: Option<String>,
    /// Whether the answers think first; `None`: they do if they come with reasoning.
    pub thinking: Option<bool>,
    /// Where it was read.
    pub place: Place,
}

/// A row to be answered and rewarded.
#[derive(Debug, Clone, PartialEq)]
pub struct RlTask {
    /// The question; relative paths of the file are resolved.
    pub prompt: Conversation,
    /// Name of the data source, which chooses the reward.
    pub data_source: String,
    /// Subject (`ability`), where the row names one.
    pub domain: Option<String>,
    /// How it is rewarded (`reward_model.style`), where the row says so.
    pub style: Option<String>,
    /// The true answer; a value that is no string is its JSON text.
    pub reference: String,
    /// Difficulty in the row's own unit (`difficulty`, there or in `extra_info`).
    pub difficulty: Option<f64>,
    /// Name of the task (`id`, or `id` / `index` in `extra_info`).
    pub id: Option<String>,
    /// `extra_info` as it stands.
    pub extra: Map<String, Value>,
    /// Where it was read.
    pub place: Place,
}

/// A row of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// To learn from.
    Sample(Sample),
    /// To be rewarded on.
    Task(RlTask),
}

impl Sample {
    /// Whether any turn to learn comes with reasoning.
    #[must_use]
    pub fn has_reasoning(&self) -> bool {
        let Body::Chat(conversation) = &self.body else {
            return false;
        };
        let mut turns = self.targets.iter();
        turns.any(|&turn| conversation.messages.get(turn).is_some_and(has_reasoning))
    }

    /// This sample as one per round that has something to learn: each ends with its round and
    /// learns only there. A template that shows reasoning in the last round only (GLM-4.5V) can
    /// then show it in each. Text and single rounds come back as they are.
    #[must_use]
    pub fn rounds(self) -> Vec<Self> {
        let Body::Chat(conversation) = &self.body else {
            return vec![self];
        };
        let messages = &conversation.messages;
        let is_user = |i: &usize| messages[*i].role == Role::User;
        let mut starts: Vec<usize> = (0..messages.len()).filter(is_user).collect();
        starts.push(messages.len());
        let mut pieces = Vec::new();
        let mut from = 0;
        for (i, &end) in starts.iter().enumerate() {
            // Turns before the first user turn belong to the first round.
            if i == 0 && starts.len() > 1 {
                continue;
            }
            let in_round = |t: &usize| (from..end).contains(t);
            let targets: Vec<usize> = self.targets.iter().copied().filter(in_round).collect();
            from = end;
            if targets.is_empty() {
                continue;
            }
            let mut piece = Self {
                body: Body::Chat(Conversation {
                    messages: messages[..end].to_vec(),
                    tools: conversation.tools.clone(),
                }),
                targets,
                ..self.without_body()
            };
            piece.thinking = self.thinking.map(|on| on && piece.has_reasoning());
            pieces.push(piece);
        }
        if pieces.len() <= 1 {
            return vec![self];
        }
        pieces
    }

    fn without_body(&self) -> Self {
        Self {
            body: Body::Text(Vec::new()),
            targets: Vec::new(),
            weight: self.weight,
            domain: self.domain.clone(),
            thinking: self.thinking,
            place: self.place.clone(),
        }
    }
}

/// Whether an assistant turn comes with reasoning, apart or inside of its text.
pub(crate) fn has_reasoning(message: &Message) -> bool {
    let apart = message.reasoning.as_ref();
    apart.is_some_and(|r| !r.trim().is_empty())
        || split_thought(&text_of(message)).is_some_and(|(thought, _)| !thought.trim().is_empty())
}

/// The text parts of a turn, joined.
pub(crate) fn text_of(message: &Message) -> String {
    let texts = message.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Image(_) | Part::Video(_) => None,
    });
    texts.collect()
}

/// `<think>thought</think>answer` as its two parts, if the text has an end of thinking.
pub(crate) fn split_thought(text: &str) -> Option<(&str, &str)> {
    let (thought, answer) = text.split_once("</think>")?;
    let thought = thought
        .split_once("<think>")
        .map_or(thought, |(_, inside)| inside);
    Some((thought, answer))
}
