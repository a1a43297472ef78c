//! One task with everything that belongs to it, and how it is made from a seed.

use crate::domains::lesson;
use crate::draft::{Draft, Scenes};
use crate::rng::Rng;
use crate::{Domain, Error, LEVELS, Split};
use image::RgbImage;
use std::collections::BTreeSet;

/// Draws until a combination of the split turns up; one in ten does.
const TRIES: u64 = 2000;

/// Width and height of every picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels; a multiple of 28 is what the vision tower takes without resizing.
    pub side: u32,
}

impl Size {
    /// Sides allowed, in pixels.
    pub const RANGE: [u32; 2] = [28, 2240];
}

impl Default for Size {
    fn default() -> Self {
        Self { side: 112 }
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    /// One or several pictures, in the order of the question.
    Images(Vec<RgbImage>),
    /// A video.
    Video {
        /// In order.
        frames: Vec<RgbImage>,
        /// Frames per second; frame `i` stands for the time `i / fps` in seconds.
        fps: u32,
    },
}

/// A task.
#[derive(Debug, Clone)]
pub struct Item {
    /// `domain-level-seed`, with `-lesson` behind it for a lesson.
    pub id: String,
    /// The domain.
    pub domain: Domain,
    /// 1 is easy, 5 is hard.
    pub level: u8,
    /// What it was made from.
    pub seed: u64,
    /// The split the seed and the combination belong to.
    pub split: Split,
    /// `domain/task/wording`.
    pub template: String,
    /// What is looked at.
    pub media: Media,
    /// The question; pictures and videos come before it.
    pub question: String,
    /// A true chain of thought that ends at the answer.
    pub trace: String,
    /// The answer.
    pub answer: String,
    /// A wrong answer of the same kind.
    pub distractor: String,
    /// The domain of `glmv-reward` that judges it.
    pub reward_domain: &'static str,
    /// The values of the combination.
    pub factors: Vec<(&'static str, String)>,
    /// What is shown, in words.
    pub caption: String,
}

impl Item {
    /// What the model should say, thinking: `<think>trace</think>` and the boxed answer.
    pub fn completion(&self) -> String {
        format!("<think>{}</think>{}", self.trace, self.boxed())
    }

    /// What the model should say without thinking.
    pub fn direct(&self) -> String {
        format!("<think></think>{}", self.boxed())
    }

    fn boxed(&self) -> String {
        format!("<|begin_of_box|>{}<|end_of_box|>", self.answer)
    }

    /// Wording and values as one text: what [`Split::of_combination`] deals.
    pub fn combination(&self) -> String {
        let values = self
            .factors
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        combination(&self.template, values)
    }
}

/// `template|name=value|…`
pub(crate) fn combination<'a>(
    template: &str,
    values: impl Iterator<Item = (&'a str, &'a str)>,
) -> String {
    let mut text = template.to_owned();
    for (name, value) in values {
        text.push_str(&format!("|{name}={value}"));
    }
    text
}

/// Makes the item of a domain, a level (1 to 5) and a seed. The seed names the split
/// ([`Split::seed`]), and only combinations of that split are drawn. The size changes pixels only.
///
/// # Errors
/// If the level, the seed or the size is out of range, or no combination of the split turns up.
pub fn generate(domain: Domain, level: u8, seed: u64, size: Size) -> Result<Item, Error> {
    generate_of(&[], domain, level, seed, size)
}

/// As [`generate`], but only what has one of `tasks` (the middle of [`Item::template`]); with none, of
/// any task. An item that was made of several tasks is made again with its own alone.
///
/// The task `lesson` alone gives lessons in seeing: crowded pictures whose caption names everything in
/// reading order. Domains whose captions do so already give their tasks.
///
/// # Errors
/// As [`generate`], and if the level has no such task.
pub fn generate_of(
    tasks: &[&str],
    domain: Domain,
    level: u8,
    seed: u64,
    size: Size,
) -> Result<Item, Error> {
    if !(1..=LEVELS).contains(&level) {
        return Err(Error::Level { level, max: LEVELS });
    }
    let [low, high] = Size::RANGE;
    if !(low..=high).contains(&size.side) {
        return Err(Error::Side {
            side: size.side,
            low,
            high,
        });
    }
    let split = Split::of_seed(seed)?;
    let lessons = tasks == [lesson::TASK];
    let mut others = BTreeSet::new();
    for attempt in 0..TRIES {
        let mut rng = Rng::of(&[domain as u64, u64::from(level), seed, attempt]);
        let draft = match lessons {
            true => lesson::draft(domain, level, &mut rng),
            false => domain.draft(level, &mut rng),
        };
        if !lessons && !tasks.is_empty() && !tasks.contains(&draft.task) {
            others.insert(draft.task);
            continue;
        }
        let template = format!("{}/{}/{}", domain.name(), draft.task, draft.wording);
        let values = draft
            .factors
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        if Split::of_combination(&combination(&template, values)) == split {
            let found = Found {
                domain,
                level,
                seed,
                split,
                template,
            };
            return Ok(found.drawn(draft, size.side));
        }
    }
    if !others.is_empty() {
        let known: Vec<&str> = others.into_iter().collect();
        return Err(Error::Task {
            domain: domain.name(),
            level,
            tasks: tasks.join(", "),
            others: known.join(", "),
        });
    }
    Err(Error::Combination {
        domain: domain.name(),
        level,
        seed,
        split: split.name(),
        tries: TRIES,
    })
}

struct Found {
    domain: Domain,
    level: u8,
    seed: u64,
    split: Split,
    template: String,
}

impl Found {
    fn drawn(self, draft: Draft, side: u32) -> Item {
        let draw = |scenes: Vec<crate::draw::Scene>| {
            scenes.iter().map(|s| s.render(side)).collect::<Vec<_>>()
        };
        let mut id = format!("{}-{}-{}", self.domain.name(), self.level, self.seed);
        if draft.task == lesson::TASK {
            id = format!("{id}-{}", lesson::TASK);
        }
        Item {
            id,
            domain: self.domain,
            level: self.level,
            seed: self.seed,
            split: self.split,
            template: self.template,
            media: match draft.scenes {
                Scenes::Pictures(scenes) => Media::Images(draw(scenes)),
                Scenes::Video { frames, fps } => Media::Video {
                    frames: draw(frames),
                    fps,
                },
            },
            question: draft.question,
            trace: draft.trace,
            answer: draft.answer,
            distractor: draft.distractor,
            reward_domain: draft.reward_domain,
            factors: draft.factors,
            caption: draft.caption,
        }
    }
}
