//! Thinking and non-thinking dialogues in the form that a checkpoint's template takes. A sample made
//! from the answer part of a thinking one has `/nothink` behind each question and an empty think
//! block before each answer. Source: GLM-V paper (arXiv 2507.01006), supervised fine-tuning. Used by
//! the encoder.

use glmv_processor::{ChatTemplate, Conversation, Error, Message, Part, RenderOptions, Role};

use crate::error::RowError;
use crate::sample::{Sample, split_thought, text_of};

/// The switch that users type.
const NOTHINK: &str = "/nothink";

/// What a chat template does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TemplateAbilities {
    /// It writes `reasoning_content` (GLM-4.5V); else reasoning must stand in the text (GLM-4.1V).
    pub(crate) reasoning: bool,
    /// It switches thinking off by `enable_thinking`.
    pub(crate) switch: bool,
}

impl TemplateAbilities {
    /// Finds out by rendering a dialogue.
    pub(crate) fn of(template: &ChatTemplate) -> Result<Self, Error> {
        let mut answer = Message::text(Role::Assistant, "answer");
        answer.reasoning = Some("glmv-probe".to_owned());
        let dialogue = Conversation::new(vec![Message::text(Role::User, "question"), answer]);
        let on = template.render(&dialogue, &RenderOptions::default())?;
        let off = template.render(&dialogue, &options(Some(false)))?;
        Ok(Self {
            reasoning: on.contains("glmv-probe"),
            switch: on != off,
        })
    }
}

/// Options without a generation prompt.
pub(crate) fn options(enable_thinking: Option<bool>) -> RenderOptions {
    RenderOptions {
        enable_thinking,
        ..RenderOptions::default()
    }
}

/// Whether a sample's answers think: what it says, else whether they come with reasoning. `None`: its
/// texts stay as they are, because the template knows no switch and the row asks for none.
pub(crate) fn mode(
    sample: &Sample,
    abilities: TemplateAbilities,
) -> Result<Option<bool>, RowError> {
    let reasoning = sample.has_reasoning();
    match sample.thinking {
        Some(true) if !reasoning => Err(RowError::NoReasoning),
        Some(thinking) => Ok(Some(thinking)),
        None if reasoning => Ok(Some(true)),
        None => Ok(abilities.switch.then_some(false)),
    }
}

/// The dialogue as the template takes it in this mode.
pub(crate) fn adapt(
    conversation: &Conversation,
    mode: Option<bool>,
    abilities: TemplateAbilities,
    answer_tags: bool,
) -> Conversation {
    let mut adapted = conversation.clone();
    for message in &mut adapted.messages {
        match (mode, message.role) {
            (Some(false), Role::Assistant) => forget(message, !abilities.switch),
            (Some(false), Role::User) if !abilities.switch => ask_nothink(message),
            (Some(true), Role::Assistant) if !abilities.reasoning => {
                write_out(message, answer_tags)
            }
            _ => {}
        }
    }
    adapted
}

/// The answer without its reasoning; with an empty think block where the template writes none.
fn forget(message: &mut Message, empty_block: bool) {
    message.reasoning = None;
    let text = text_of(message);
    let answer = split_thought(&text).map_or(text.as_str(), |(_, answer)| answer);
    let answer = answer.trim_start_matches('\n');
    let block = if empty_block { "<think></think>" } else { "" };
    message.parts = vec![Part::Text(format!("{block}{answer}"))];
}

fn ask_nothink(message: &mut Message) {
    let asked = |part: &Part| matches!(part, Part::Text(text) if text.ends_with(NOTHINK));
    if !message.parts.last().is_some_and(asked) {
        message.parts.push(Part::Text(NOTHINK.to_owned()));
    }
}

/// Reasoning that is kept apart written into the text: `<think>..</think><answer>..</answer>`.
fn write_out(message: &mut Message, answer_tags: bool) {
    let Some(reasoning) = message.reasoning.take() else {
        return;
    };
    let text = text_of(message);
    let answer = match answer_tags && !text.contains("<answer>") {
        true => format!("<answer>{text}</answer>"),
        false => text,
    };
    let reasoning = reasoning.trim();
    message.parts = vec![Part::Text(format!("<think>{reasoning}</think>{answer}"))];
}
