//! Short videos at two frames per second: motion, events, and when something happens. Everything
//! changes at whole seconds, because a temporal patch holds two frames.

mod moments;
mod motion;

use super::things::{self, Thing};
use crate::draft::{Draft, Scenes};
use crate::draw::{Rgb, Scene, Shape};
use crate::palette::{Colour, colours};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "the direction of one moving thing, 3 seconds",
    "which of two things moves; how often a thing lights up, 5 seconds",
    "from when to when a thing is there, 5 seconds; direction among still things",
    "from when to when among others; which of two comes first, 7 seconds",
    "when a colour changes; the direction after a turn; counting among others, 8 seconds",
];

/// Frames per second.
const FPS: u32 = 2;

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    match (level, rng.chance(1, 2)) {
        (1, _) => motion::motion(1, rng),
        (2, true) => motion::which_moves(rng),
        (2, false) => moments::events(2, rng),
        (3, true) => motion::motion(3, rng),
        (3, false) => moments::present(3, rng),
        (4, true) => moments::present(4, rng),
        (4, false) => moments::first(rng),
        (_, true) => [moments::change, motion::turns][rng.below(2)](rng),
        (_, false) => moments::events(5, rng),
    }
}

struct Parts {
    task: &'static str,
    asked: (usize, String),
    trace: String,
    answer: String,
    distractor: String,
    reward_domain: &'static str,
    factors: Vec<(&'static str, String)>,
    caption: String,
}

/// A video whose frame `i` shows the things that `at` gives for it.
fn finish(back: Rgb, secs: usize, at: impl Fn(usize) -> Vec<Thing>, parts: Parts) -> Draft {
    let frame = |i: usize| {
        let mut scene = Scene::new(back);
        at(i).iter().for_each(|t| t.draw(&mut scene));
        scene
    };
    Draft {
        task: parts.task,
        wording: parts.asked.0,
        question: parts.asked.1,
        trace: parts.trace,
        answer: parts.answer,
        distractor: parts.distractor,
        reward_domain: parts.reward_domain,
        factors: parts.factors,
        caption: parts.caption,
        scenes: Scenes::Video {
            frames: (0..secs * FPS as usize).map(frame).collect(),
            fps: FPS,
        },
    }
}

/// Pairs of shapes and colours that share neither.
fn kinds(level: u8, n: usize, rng: &mut Rng) -> Vec<(Shape, Colour)> {
    let forms = rng.sample(things::shapes(level.max(2)), n);
    let tints = rng.sample(colours(level.max(2)), n);
    forms.into_iter().zip(tints).collect()
}

fn put((shape, colour): (Shape, Colour), x: i32, y: i32, r: i32) -> Thing {
    Thing {
        shape,
        colour,
        x,
        y,
        r,
        row: 0,
    }
}
