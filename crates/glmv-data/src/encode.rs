//! Samples to token ids, loss mask and patches, through the checkpoint's own template, tokenizer and
//! picture processing. Called by the loader and by the check.
//!
//! Prompt and answers are tokenized apart, as they are when the model answers: the ids of an answer
//! are those that the model would have to produce behind the ids of its prompt.

use std::sync::Arc;

use glmv_processor::{
    Conversation, IMAGE_TOKEN, Message, Modality, Part, Processor, RenderOptions, Role, VIDEO_TOKEN,
};

use crate::error::{Error, Place, RowError};
use crate::sample::{Body, RlTask, Sample};
use crate::spans::Rendering;
use crate::thinking::{TemplateAbilities, adapt, mode};
use crate::tokens::{MediaQueue, Tokens};
use crate::visual::{Visual, place};

/// How samples are encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether the empty think block of a non-thinking answer is learnt too. On by default: the
    /// paper trains the model to emit it, although the template of GLM-4.5V writes it into the
    /// prompt.
    pub learn_empty_think: bool,
    /// What running text begins with, without loss; by default `[gMASK]<sop>`, as every prompt does.
    pub text_prefix: String,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            learn_empty_think: true,
            text_prefix: "[gMASK]<sop>".to_owned(),
        }
    }
}

/// A sample as the model takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// `[tokens]`.
    pub input_ids: Vec<u32>,
    /// `[tokens]`: what each id stands for.
    pub modality: Vec<Modality>,
    /// `[tokens]`: whether the id is learnt, that is predicted from the ids before it with loss.
    /// Never true for pictures, videos and the first token.
    pub loss_mask: Vec<bool>,
    /// Pictures and videos in the order of their tokens.
    pub visuals: Vec<Visual>,
    /// Factor on the sample's loss.
    pub weight: f32,
    /// Subject, where the row names one.
    pub domain: Option<String>,
    /// Where it was read.
    pub place: Place,
}

impl Encoded {
    /// Number of tokens with loss.
    #[must_use]
    pub fn loss_tokens(&self) -> usize {
        self.loss_mask.iter().filter(|&&learnt| learnt).count()
    }
}

/// Ids that end a turn: GLM stops at the next speaker's token.
#[derive(Debug, Clone, Copy)]
struct Ends {
    user: u32,
    observation: u32,
    text: u32,
}

/// Encodes samples for one checkpoint.
#[derive(Debug, Clone)]
pub struct Encoder {
    processor: Arc<Processor>,
    options: EncodeOptions,
    abilities: TemplateAbilities,
    ends: Ends,
    answer_tags: bool,
}

const USER: &str = "<|user|>";
const OBSERVATION: &str = "<|observation|>";

impl Encoder {
    /// Finds the tokens that end turns, and what the template does with reasoning.
    ///
    /// # Errors
    /// [`Error::Token`] and [`Error::Processor`].
    pub fn new(processor: Arc<Processor>, options: EncodeOptions) -> Result<Self, Error> {
        let token = |text: &str, purpose| {
            processor.tokenizer.id(text).ok_or_else(|| Error::Token {
                token: text.to_owned(),
                purpose,
            })
        };
        let ends = Ends {
            user: token(USER, "end an answer")?,
            observation: token(OBSERVATION, "end a tool call")?,
            text: token("<|endoftext|>", "end a text")?,
        };
        let abilities = TemplateAbilities::of(&processor.template);
        Ok(Self {
            abilities: abilities.map_err(|source| Error::Processor { source })?,
            answer_tags: processor.tokenizer.id("<answer>").is_some(),
            ends,
            processor,
            options,
        })
    }

    /// The checkpoint's preprocessing.
    #[must_use]
    pub fn processor(&self) -> &Processor {
        &self.processor
    }

    /// A sample as one or more to encode: a thinking dialogue of several rounds is taken apart
    /// ([`Sample::rounds`]) if the template shows reasoning in the last round only.
    #[must_use]
    pub fn expand(&self, sample: Sample) -> Vec<Sample> {
        let thinks = sample.thinking != Some(false) && sample.has_reasoning();
        match thinks && self.abilities.reasoning {
            true => sample.rounds(),
            false => vec![sample],
        }
    }

    /// Ids, loss mask and patches of a sample.
    ///
    /// # Errors
    /// [`Error::Row`] at the sample's place: a picture that is missing or broken, a template that
    /// refuses it or is not stable, placeholders written in the text, nothing to learn.
    pub fn encode(&self, sample: &Sample) -> Result<Encoded, Error> {
        let encoded = match &sample.body {
            Body::Chat(conversation) => self.chat(sample, conversation),
            Body::Text(parts) => self.text(parts),
        };
        let tokens = encoded.and_then(|mut tokens| {
            tokens.hide_visuals();
            match tokens.loss_mask.contains(&true) {
                true => Ok(tokens),
                false => Err(RowError::NoAnswer),
            }
        });
        let tokens = tokens.map_err(|problem| sample.place.error(problem))?;
        Ok(Encoded {
            modality: self.processor.placeholders.modalities(&tokens.ids),
            input_ids: tokens.ids,
            loss_mask: tokens.loss_mask,
            visuals: tokens.visuals,
            weight: sample.weight,
            domain: sample.domain.clone(),
            place: sample.place.clone(),
        })
    }

    /// Ids and patches of a task's prompt, ready to be answered; nothing in it is learnt.
    ///
    /// # Errors
    /// [`Error::Row`] at the task's place.
    pub fn encode_task(&self, task: &RlTask) -> Result<Encoded, Error> {
        let tokens = self.prompt(&task.prompt);
        let tokens = tokens.map_err(|problem| task.place.error(problem))?;
        Ok(Encoded {
            modality: self.processor.placeholders.modalities(&tokens.ids),
            input_ids: tokens.ids,
            loss_mask: tokens.loss_mask,
            visuals: tokens.visuals,
            weight: 1.0,
            domain: task.domain.clone(),
            place: task.place.clone(),
        })
    }

    fn prompt(&self, conversation: &Conversation) -> Result<Tokens, RowError> {
        let options = RenderOptions {
            add_generation_prompt: true,
            ..RenderOptions::default()
        };
        let text = self.processor.template.render(conversation, &options)?;
        let mut media = MediaQueue::new(&self.processor, conversation)?;
        media.check(&text)?;
        let mut tokens = Tokens::default();
        tokens.extend(self.ids(&text, &mut media)?, false);
        self.finish(tokens, media)
    }

    fn chat(&self, sample: &Sample, conversation: &Conversation) -> Result<Tokens, RowError> {
        let mode = mode(sample, self.abilities)?;
        let adapted = adapt(conversation, mode, self.abilities, self.answer_tags);
        let thinking = mode.filter(|_| self.abilities.switch);
        let rendering = Rendering::new(&self.processor.template, &adapted, thinking)?;
        let mut media = MediaQueue::new(&self.processor, &adapted)?;
        media.check(&rendering.text)?;
        let mut tokens = Tokens::default();
        let mut from = 0;
        for &turn in &sample.targets {
            let answer = rendering.answer(turn, self.options.learn_empty_think)?;
            let text = &rendering.text;
            if answer.start < from {
                return Err(RowError::Unstable { turn });
            }
            tokens.extend(self.ids(&text[from..answer.start], &mut media)?, false);
            tokens.extend(self.ids(&text[answer.clone()], &mut media)?, true);
            let calls = adapted
                .messages
                .get(turn)
                .and_then(|m| m.tool_calls.as_ref());
            from = answer.end + self.end_turn(&text[answer.end..], calls.is_some(), &mut tokens);
        }
        // What follows the last answer is context of nothing.
        media.discard();
        self.finish(tokens, media)
    }

    /// Learns the token that ends an answer; the bytes of it that stand in the text. An answer that
    /// another assistant or system turn follows has no end to learn.
    fn end_turn(&self, rest: &str, calls: bool, tokens: &mut Tokens) -> usize {
        if rest.is_empty() {
            let end = if calls {
                self.ends.observation
            } else {
                self.ends.user
            };
            tokens.extend(vec![end], true);
            return 0;
        }
        for (text, id) in [(USER, self.ends.user), (OBSERVATION, self.ends.observation)] {
            if rest.starts_with(text) {
                tokens.extend(vec![id], true);
                return text.len();
            }
        }
        0
    }

    fn text(&self, parts: &[Part]) -> Result<Tokens, RowError> {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(piece) => text.push_str(piece),
                Part::Image(_) => {
                    text.extend(["<|begin_of_image|>", IMAGE_TOKEN, "<|end_of_image|>"]);
                }
                Part::Video(_) => {
                    text.extend(["<|begin_of_video|>", VIDEO_TOKEN, "<|end_of_video|>"]);
                }
            }
        }
        let message = Message::new(Role::User, parts.to_vec());
        let mut media = MediaQueue::new(&self.processor, &Conversation::new(vec![message]))?;
        media.check(&text)?;
        let mut tokens = Tokens::default();
        tokens.extend(self.ids(&self.options.text_prefix, &mut media)?, false);
        tokens.extend(self.ids(&text, &mut media)?, true);
        tokens.extend(vec![self.ends.text], true);
        self.finish(tokens, media)
    }

    fn ids(&self, text: &str, media: &mut MediaQueue) -> Result<Vec<u32>, RowError> {
        let (pictures, clips) = media.take(
            text.matches(IMAGE_TOKEN).count(),
            text.matches(VIDEO_TOKEN).count(),
        );
        let grids: Vec<[u32; 3]> = pictures
            .iter()
            .flat_map(|picture| picture.patches.grid_thw.iter().copied())
            .collect();
        let expanded = self.processor.expand_prompt(text, &grids, clips)?;
        Ok(self.processor.tokenizer.encode(&expanded)?)
    }

    fn finish(&self, mut tokens: Tokens, media: MediaQueue) -> Result<Tokens, RowError> {
        let ids = &self.processor.placeholders;
        tokens.visuals = place(ids, &tokens.ids, media.pictures, media.clips)?;
        Ok(tokens)
    }
}
