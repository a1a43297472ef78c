//! Ids as the encoder collects them, and the media that their placeholders use up. Used by the encoder
//! only.

use std::ops::Range;

use glmv_processor::{Conversation, IMAGE_TOKEN, ProcessedVideo, Processor, VIDEO_TOKEN};

use crate::error::RowError;
use crate::visual::{Picture, Visual, clips, pictures};

/// The pictures and videos of a sample, of which the first were used.
pub(crate) struct MediaQueue {
    pub(crate) pictures: Vec<Picture>,
    pub(crate) clips: Vec<ProcessedVideo>,
    used: [usize; 2],
}

impl MediaQueue {
    pub(crate) fn new(
        processor: &Processor,
        conversation: &Conversation,
    ) -> Result<Self, RowError> {
        Ok(Self {
            pictures: pictures(processor, conversation.images())?,
            clips: clips(processor, conversation.videos())?,
            used: [0, 0],
        })
    }

    /// Fails when a text brings placeholders of its own: they would take the wrong pictures.
    pub(crate) fn check(&self, prompt: &str) -> Result<(), RowError> {
        let placeholders = [IMAGE_TOKEN, VIDEO_TOKEN].map(|token| prompt.matches(token).count());
        let media = [self.pictures.len(), self.clips.len()];
        match placeholders == media {
            true => Ok(()),
            false => Err(RowError::Visuals {
                expected: media.iter().sum(),
                found: placeholders.iter().sum(),
            }),
        }
    }

    /// The next pictures and videos; fewer when there are fewer, which the expansion reports.
    pub(crate) fn take(&mut self, images: usize, videos: usize) -> (&[Picture], &[ProcessedVideo]) {
        let range = |used: usize, more: usize, all: usize| -> Range<usize> {
            used.min(all)..(used + more).min(all)
        };
        let first = range(self.used[0], images, self.pictures.len());
        let second = range(self.used[1], videos, self.clips.len());
        self.used = [first.end, second.end];
        (&self.pictures[first], &self.clips[second])
    }

    /// Forgets what was not used.
    pub(crate) fn discard(&mut self) {
        self.pictures.truncate(self.used[0]);
        self.clips.truncate(self.used[1]);
    }
}

/// Ids as they are collected.
#[derive(Default)]
pub(crate) struct Tokens {
    pub(crate) ids: Vec<u32>,
    pub(crate) loss_mask: Vec<bool>,
    pub(crate) visuals: Vec<Visual>,
}

impl Tokens {
    pub(crate) fn extend(&mut self, ids: Vec<u32>, learnt: bool) {
        self.loss_mask.resize(self.ids.len() + ids.len(), learnt);
        self.ids.extend(ids);
    }

    /// Takes the loss from pictures and videos, and from the first token, which nothing predicts.
    pub(crate) fn hide_visuals(&mut self) {
        let spans = self.visuals.iter().map(|visual| visual.span.clone());
        for span in spans.chain(std::iter::once(0..1)) {
            if let Some(masks) = self.loss_mask.get_mut(span) {
                masks.fill(false);
            }
        }
    }
}
