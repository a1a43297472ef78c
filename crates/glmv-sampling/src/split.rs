//! Generated text in, reasoning and answer out; whole ([`split_completion`]) or as it streams
//! ([`SplitStream`]). The first is the second in one piece, so the two cannot differ.
//!
//! Grammar (GLM-V paper, arXiv 2507.01006, and the released templates):
//! GLM-4.1V `<think>..</think><answer>..</answer>`, GLM-4.5V `<think>..</think>..`, results inside
//! `<|begin_of_box|>..<|end_of_box|>`. White space around both parts is dropped.
//!
//! 1. `<think>` counts only at the start of the text, `<answer>` only at the start of the answer;
//!    elsewhere they are ordinary text (an answer may speak about them).
//! 2. A block that is not closed (the completion was cut) is reasoning to its end: no answer.
//! 3. Box markers are taken out of the answer, the text between them stays. A box without an end
//!    is not a box.

use serde::Serialize;

use crate::PromptThink;

#[cfg(test)]
mod tests;

const THINK: &str = "<think>";
const END_THINK: &str = "</think>";
const ANSWER: &str = "<answer>";
const END_ANSWER: &str = "</answer>";
const BOX: &str = "<|begin_of_box|>";
const END_BOX: &str = "<|end_of_box|>";

/// The parts of one completion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompletionParts {
    /// Text of the think block, without tags; empty where there was none.
    pub reasoning: String,
    /// Text after the think block, without tags and box markers; `None` where the block was never
    /// closed, so that there is no answer.
    pub answer: Option<String>,
    /// Contents of the answer's boxes, trimmed, in order.
    pub boxes: Vec<String>,
    /// The text as generated.
    pub raw: String,
}

/// A piece of text that belongs to one part; pieces of a part concatenate to the whole part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitEvent {
    /// More reasoning.
    Reasoning(String),
    /// More answer.
    Answer(String),
}

/// Splits a whole completion; `prompt` says whether the prompt had opened or closed the block.
pub fn split_completion(text: &str, prompt: PromptThink) -> CompletionParts {
    let mut stream = SplitStream::new(prompt);
    stream.push(text);
    stream.finish().1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Start of the text: `<think>` may come.
    Start,
    Reasoning,
    /// Start of the answer: `<answer>` may come.
    AnswerStart,
    /// Inside of the answer; `tagged` after `<answer>`.
    Answer {
        tagged: bool,
    },
}

impl State {
    /// Tags that mean something here, and whether only at the very start.
    fn tags(self) -> (&'static [&'static str], bool) {
        match self {
            Self::Start => (&[THINK], true),
            Self::Reasoning => (&[END_THINK], false),
            Self::AnswerStart => (&[ANSWER], true),
            Self::Answer { tagged: true } => (&[BOX, END_BOX, END_ANSWER], false),
            Self::Answer { tagged: false } => (&[BOX, END_BOX], false),
        }
    }
}

/// One part under construction: drops white space at both ends without waiting for the end.
#[derive(Debug, Clone, Default)]
struct Part {
    text: String,
    /// White space seen since the last other character; emitted only when more text follows.
    held: String,
}

impl Part {
    /// Takes `text`, returns what can be shown now.
    fn take(&mut self, text: &str) -> String {
        let text = if self.text.is_empty() {
            text.trim_start()
        } else {
            text
        };
        let body = text.trim_end();
        if body.is_empty() {
            self.held.push_str(text);
            return String::new();
        }
        let mut shown = std::mem::take(&mut self.held);
        shown.push_str(body);
        self.held.push_str(&text[body.len()..]);
        self.text.push_str(&shown);
        shown
    }
}

/// Splits a completion while it is generated; tags may be cut anywhere between chunks.
#[derive(Debug, Clone)]
pub struct SplitStream {
    state: State,
    pending: String,
    reasoning: Part,
    answer: Part,
    open_box: Option<String>,
    boxes: Vec<String>,
    raw: String,
}

impl SplitStream {
    /// A stream at the start of a completion; `prompt` as in [`split_completion`].
    pub fn new(prompt: PromptThink) -> Self {
        let state = match prompt {
            PromptThink::Undecided => State::Start,
            PromptThink::Open => State::Reasoning,
            PromptThink::Closed => State::AnswerStart,
        };
        Self {
            state,
            pending: String::new(),
            reasoning: Part::default(),
            answer: Part::default(),
            open_box: None,
            boxes: Vec::new(),
            raw: String::new(),
        }
    }

    /// Takes the next chunk and returns what is certain now. Text that may be the beginning of a
    /// tag, and white space that may be the end of a part, wait for the next chunk.
    pub fn push(&mut self, chunk: &str) -> Vec<SplitEvent> {
        self.raw.push_str(chunk);
        self.pending.push_str(chunk);
        let mut events = Vec::new();
        while self.advance(&mut events) {}
        events
    }

    /// Ends the stream: returns the text that waited, and the whole completion.
    pub fn finish(mut self) -> (Vec<SplitEvent>, CompletionParts) {
        let mut events = Vec::new();
        let rest = std::mem::take(&mut self.pending);
        if matches!(self.state, State::Start | State::AnswerStart) {
            self.state = State::Answer { tagged: false };
        }
        self.emit(&rest, &mut events);
        let parts = CompletionParts {
            reasoning: self.reasoning.text,
            answer: (self.state != State::Reasoning).then_some(self.answer.text),
            boxes: self.boxes,
            raw: self.raw,
        };
        (events, parts)
    }

    /// Consumes text up to and including the next tag; false where more text is needed.
    fn advance(&mut self, events: &mut Vec<SplitEvent>) -> bool {
        let (tags, anchored) = self.state.tags();
        if anchored {
            return self.advance_start(tags[0]);
        }
        let first = tags
            .iter()
            .filter_map(|tag| Some((self.pending.find(tag)?, *tag)))
            .min();
        let Some((at, tag)) = first else {
            let keep = partial_tag_len(&self.pending, tags);
            let rest = self.pending.split_off(self.pending.len() - keep);
            let text = std::mem::replace(&mut self.pending, rest);
            self.emit(&text, events);
            return false;
        };
        let rest = self.pending.split_off(at + tag.len());
        let text = std::mem::replace(&mut self.pending, rest);
        self.emit(&text[..at], events);
        self.pass(tag);
        true
    }

    /// At a start: takes the tag, or decides that it does not come.
    fn advance_start(&mut self, tag: &str) -> bool {
        let text = self.pending.trim_start();
        if let Some(rest) = text.strip_prefix(tag) {
            self.pending = rest.to_owned();
            self.pass(tag);
            return true;
        }
        if tag.starts_with(text) {
            return false; // empty, or the beginning of the tag
        }
        self.state = match self.state {
            State::Start => State::AnswerStart,
            State::AnswerStart | State::Reasoning | State::Answer { .. } => {
                State::Answer { tagged: false }
            }
        };
        true
    }

    /// Changes state at a tag.
    fn pass(&mut self, tag: &str) {
        match tag {
            THINK => self.state = State::Reasoning,
            END_THINK => self.state = State::AnswerStart,
            ANSWER => self.state = State::Answer { tagged: true },
            END_ANSWER => self.state = State::Answer { tagged: false },
            BOX => self.open_box = Some(String::new()),
            _ => self
                .boxes
                .extend(self.open_box.take().map(|text| text.trim().to_owned())),
        }
    }

    /// Gives text to the part of the present state.
    fn emit(&mut self, text: &str, events: &mut Vec<SplitEvent>) {
        let reasoning = self.state == State::Reasoning;
        let part = if reasoning {
            &mut self.reasoning
        } else {
            &mut self.answer
        };
        let shown = part.take(text);
        if let Some(open) = self.open_box.as_mut() {
            open.push_str(text);
        }
        if !shown.is_empty() {
            events.push(if reasoning {
                SplitEvent::Reasoning(shown)
            } else {
                SplitEvent::Answer(shown)
            });
        }
    }
}

/// Bytes at the end of `text` that may be the beginning of one of `tags`.
fn partial_tag_len(text: &str, tags: &[&str]) -> usize {
    let is_partial = |len: &usize| {
        let start = text.len() - len;
        text.is_char_boundary(start) && tags.iter().any(|tag| tag.starts_with(&text[start..]))
    };
    let longest = tags.iter().map(|tag| tag.len() - 1).max().unwrap_or(0);
    (1..=longest.min(text.len()))
        .rev()
        .find(is_partial)
        .unwrap_or(0)
}
