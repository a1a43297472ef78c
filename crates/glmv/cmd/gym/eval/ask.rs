//! Items to prompts, prompts to completions in the form that the rules judge.

use glmv_engine::{
    Conversation, Engine, ImageSource, Message, Part, RenderOptions, Role, SamplingParams,
    VideoSource,
};
use glmv_gym::{Item, Media};
use glmv_sampling::PromptThink;
use image::RgbImage;
use std::ops::ControlFlow;

/// What the model gets to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The pictures of the item.
    Pictures,
    /// Grey ones of the same size in their places: all that is left is the question.
    Blank,
}

/// How a batch is asked.
pub(super) struct Asked {
    pub(super) params: SamplingParams,
    pub(super) think: bool,
    pub(super) look: Look,
}

impl Asked {
    /// Whole completions, one per item: with the think block that the prompt had opened or closed.
    pub(super) fn completions(
        &self,
        engine: &mut Engine,
        items: &[Item],
    ) -> anyhow::Result<Vec<String>> {
        let options = RenderOptions {
            add_generation_prompt: true,
            enable_thinking: (!self.think).then_some(false),
            ..RenderOptions::default()
        };
        let prompts = items
            .iter()
            .map(|item| engine.prepare(&question(item, self.look), &options))
            .collect::<Result<Vec<_>, _>>()?;
        let params = vec![self.params.clone(); prompts.len()];
        let mut go = |_| ControlFlow::Continue(());
        let (completions, _) = engine.generate(&prompts, &params, &mut go)?;
        let tokenizer = &engine.processor().tokenizer;
        let whole = completions.iter().zip(&prompts);
        let whole = whole.map(|(said, prompt)| -> anyhow::Result<String> {
            let text = tokenizer.decode(&said.token_ids, true)?;
            Ok(match PromptThink::of_prompt(&prompt.prompt) {
                PromptThink::Undecided => text,
                PromptThink::Open => format!("<think>{text}"),
                PromptThink::Closed => format!("<think></think>{text}"),
            })
        });
        whole.collect()
    }
}

/// Pictures or video first, then the question.
fn question(item: &Item, look: Look) -> Conversation {
    let shown = |picture: &RgbImage| match look {
        Look::Pictures => picture.clone(),
        Look::Blank => blank(picture),
    };
    let mut parts: Vec<Part> = match &item.media {
        Media::Images(pictures) => {
            let picture = |p| Part::Image(ImageSource::Rgb(shown(p)));
            pictures.iter().map(picture).collect()
        }
        Media::Video { frames, fps } => vec![Part::Video(VideoSource::Frames {
            frames: frames.iter().map(shown).collect(),
            fps: Some(f64::from(*fps)),
            duration_secs: Some(frames.len() as f64 / f64::from(*fps)),
        })],
    };
    parts.push(Part::Text(item.question.clone()));
    Conversation::new(vec![Message::new(Role::User, parts)])
}

fn blank(picture: &RgbImage) -> RgbImage {
    RgbImage::from_pixel(
        picture.width(),
        picture.height(),
        image::Rgb([128, 128, 128]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use glmv_gym::{Domain, Size, generate};

    #[test]
    fn a_blank_look_keeps_sizes_and_words_and_nothing_else() {
        for domain in [Domain::Counting, Domain::Compare, Domain::Video] {
            let item = generate(domain, 1, 3, Size { side: 56 }).expect("an item");
            let (seen, blank) = (
                question(&item, Look::Pictures),
                question(&item, Look::Blank),
            );
            let parts = |c: &Conversation| c.messages[0].parts.clone();
            assert_eq!(parts(&seen).len(), parts(&blank).len());
            assert_eq!(parts(&seen).last(), parts(&blank).last());
            assert_ne!(parts(&seen)[0], parts(&blank)[0]);
            let pixels = match &parts(&blank)[0] {
                Part::Image(ImageSource::Rgb(picture)) => picture.clone(),
                Part::Video(VideoSource::Frames { frames, .. }) => frames[0].clone(),
                other => panic!("{other:?}"),
            };
            assert_eq!(pixels.dimensions(), (56, 56));
            assert!(pixels.pixels().all(|p| p.0 == [128, 128, 128]));
        }
    }
}
