//! Lessons in seeing: crowded pictures of which everything is named in reading order, many labels for
//! few tokens. From them a model that starts from nothing learns colours, shapes, letters, values and
//! motion many times sooner than from questions, each of which says one thing of its picture.

mod clips;
mod figures;
mod texts;

use crate::Domain;
use crate::draft::{Draft, Scenes};
use crate::draw::Scene;
use crate::rng::Rng;

/// The task of a lesson, the middle of its template; no question has it.
pub(crate) const TASK: &str = "lesson";

/// Where a picture stands in a caption that places its pictures itself.
pub(crate) const IMAGE: &str = "<image>";

/// What is shown in a lesson of a domain, and named. A domain whose captions name everything already
/// has none of its own: its tasks serve, with their captions.
pub(crate) fn draft(domain: Domain, level: u8, rng: &mut Rng) -> Draft {
    match domain {
        Domain::Counting | Domain::Vqa => figures::grid(level, rng),
        Domain::Chart => figures::chart(level, rng),
        Domain::Ocr => texts::text(level, rng),
        Domain::Video => clips::clip(level, rng),
        other => other.draft(level, rng),
    }
}

/// Pictures of a row of cards.
const CARDS: usize = 8;

/// Several pictures with one name each, that follows its picture: ` red circle`. What is on a picture of
/// 28 pixels is as large as in the cells of a crowded one of 112.
fn cards(rng: &mut Rng, card: impl Fn(&mut Rng) -> (Scene, String)) -> Draft {
    let (scenes, names): (Vec<Scene>, Vec<String>) = (0..CARDS).map(|_| card(rng)).unzip();
    let told = names.iter().map(|name| format!("{IMAGE} {name}"));
    lesson(rng, Scenes::Pictures(scenes), told.collect())
}

/// A lesson: what it shows, and its names. A number belongs to what is dealt to the splits, so that every
/// kind of thing occurs in training, and what is kept out of it are pictures.
fn lesson(rng: &mut Rng, scenes: Scenes, told: String) -> Draft {
    Draft {
        task: TASK,
        wording: 0,
        question: "Name everything in reading order.".into(),
        trace: String::new(),
        answer: told.replace(IMAGE, ";").trim_start_matches("; ").to_owned(),
        distractor: "nothing".into(),
        reward_domain: "closed",
        factors: vec![
            ("told", told.clone()),
            ("variant", rng.below(10_000).to_string()),
        ],
        scenes,
        caption: told,
    }
}
