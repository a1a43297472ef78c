//! Where the answers stand in a rendered dialogue: it is rendered again up to each turn, and every
//! such prompt must be the beginning of the whole. Used by the encoder.

use std::ops::Range;

use glmv_processor::{ChatTemplate, Conversation, RenderOptions};
use serde_json::Value;

use crate::error::RowError;
use crate::thinking::options;

/// A dialogue and how it is rendered.
pub(crate) struct Rendering<'a> {
    template: &'a ChatTemplate,
    messages: Vec<Value>,
    tools: Option<&'a Value>,
    thinking: Option<bool>,
    /// The whole prompt.
    pub(crate) text: String,
}

impl<'a> Rendering<'a> {
    /// Renders the whole dialogue.
    pub(crate) fn new(
        template: &'a ChatTemplate,
        conversation: &'a Conversation,
        thinking: Option<bool>,
    ) -> Result<Self, RowError> {
        let Value::Array(messages) = conversation.template_messages() else {
            return Err(RowError::NoAnswer);
        };
        let mut rendering = Self {
            template,
            messages,
            tools: conversation.tools.as_ref(),
            thinking,
            text: String::new(),
        };
        rendering.text = rendering.head(rendering.messages.len(), &options(thinking))?;
        Ok(rendering)
    }

    /// Bytes of the answer of a turn: behind the header that the generation prompt ends with, up to
    /// where the turn ends. An empty think block is part of the answer if `learn_empty_block`, else
    /// of what comes before it.
    ///
    /// # Errors
    /// [`RowError::Unstable`] when the prompt up to the turn is not the beginning of the whole.
    pub(crate) fn answer(
        &self,
        turn: usize,
        learn_empty_block: bool,
    ) -> Result<Range<usize>, RowError> {
        let unstable = || RowError::Unstable { turn };
        let body = self.head(turn, &options(self.thinking))?;
        // The header alone: what a generation prompt adds when thinking is not switched off.
        let switch = self.thinking.filter(|_| !learn_empty_block);
        let without = self.head(turn, &options(switch))?;
        let with = RenderOptions {
            add_generation_prompt: true,
            ..options(switch)
        };
        let with = self.head(turn, &with)?;
        let header = with.strip_prefix(without.as_str()).ok_or_else(unstable)?;
        let rest = self.text.strip_prefix(body.as_str());
        rest.and_then(|rest| rest.strip_prefix(header))
            .ok_or_else(unstable)?;
        let upto = self.head(turn + 1, &options(self.thinking))?;
        let start = body.len() + header.len();
        if upto.len() < start || !self.text.starts_with(upto.as_str()) {
            return Err(unstable());
        }
        Ok(start..upto.len())
    }

    /// The prompt of the first `turns` turns.
    fn head(&self, turns: usize, options: &RenderOptions) -> Result<String, RowError> {
        let messages = self.messages.get(..turns).unwrap_or(&self.messages);
        let messages = Value::Array(messages.to_vec());
        let text = self
            .template
            .render_messages(&messages, self.tools, options);
        Ok(text?)
    }
}
