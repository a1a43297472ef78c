//! Questions about colours, shapes, sizes and places.

mod special;

use super::things::{self, Thing, inventory, other_colour, place, spots};
use crate::draft::{Draft, Scenes, a, word};
use crate::draw::Shape;
use crate::palette::{Colour, colours};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "colour or shape of the only thing, and whether there is one",
    "colour, shape and presence among 2 or 3 things",
    "among 4 or 5 things; the largest one",
    "among 6 or 7 things; the one in a corner",
    "among 8 or 9 things; the one that differs from all others",
];

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    let n = [[1, 1], [2, 3], [4, 5], [6, 7], [8, 9]][usize::from(level - 1)];
    let n = rng.int(n[0], n[1]) as usize;
    let tasks = match level {
        1 | 2 => 3,
        3 => 4,
        4 => 5,
        _ => 6,
    };
    match rng.below(tasks) {
        0 => attribute(level, n, true, rng),
        1 => attribute(level, n, false, rng),
        2 => exists(level, n, rng),
        3 => special::largest(level, n, rng),
        4 => special::corner(level, n, rng),
        _ => special::odd(n, rng),
    }
}

/// A finished draft from what the tasks have in common.
struct Parts<'a> {
    task: &'static str,
    asked: (usize, String),
    trace: String,
    answer: &'a str,
    distractor: &'a str,
    factors: Vec<(&'static str, String)>,
}

fn finish(rng: &mut Rng, things: &[Thing], parts: Parts<'_>) -> Draft {
    let mut factors = parts.factors;
    factors.push(("things", things.len().to_string()));
    factors.push(("answer", parts.answer.to_owned()));
    Draft {
        task: parts.task,
        wording: parts.asked.0,
        question: parts.asked.1,
        trace: parts.trace,
        answer: parts.answer.to_owned(),
        distractor: parts.distractor.to_owned(),
        reward_domain: "closed",
        factors,
        caption: caption(things),
        scenes: Scenes::Pictures(vec![things::scene(rng, things)]),
    }
}

/// `A picture with a red circle (top left) and …`
fn caption(things: &[Thing]) -> String {
    let each: Vec<String> = things
        .iter()
        .map(|t| format!("{} at the {}", a(&t.name()), place(t.x, t.y)))
        .collect();
    format!("The picture shows {}.", crate::draft::listed(&each))
}

/// Things of which the first has a shape and a colour that no other has.
fn crowd(level: u8, n: usize, rng: &mut Rng) -> (Thing, Vec<Thing>) {
    let (shape, colour) = things::kind(level, rng);
    let mut kinds = vec![(shape, colour)];
    while kinds.len() < n {
        let form = rng.other(things::shapes(level), shape);
        kinds.push((form, rng.other(colours(level), colour)));
    }
    let mut spots = spots(rng, n);
    let chosen = spots.remove(rng.below(n));
    let target = chosen.thing(kinds[0]);
    let mut all = vec![target];
    all.extend(
        spots
            .iter()
            .zip(&kinds[1..])
            .map(|(spot, kind)| spot.thing(*kind)),
    );
    (target, all)
}

fn attribute(level: u8, n: usize, ask_colour: bool, rng: &mut Rng) -> Draft {
    let (target, things) = crowd(level, n, rng);
    let (shape, colour) = (target.shape.name(), target.colour.name);
    let at = place(target.x, target.y);
    if ask_colour {
        let asked = word(
            rng,
            &[
                "What colour is the {shape}?",
                "Which colour does the {shape} have?",
                "Name the colour of the {shape}.",
            ],
            &[("shape", shape)],
        );
        let wrong = other_colour(rng, target.colour).name;
        let parts = Parts {
            task: "colour",
            asked,
            trace: format!("The {shape} is at the {at}. It is {colour}."),
            answer: colour,
            distractor: wrong,
            factors: vec![("shape", shape.into()), ("place", at.into())],
        };
        return finish(rng, &things, parts);
    }
    let asked = word(
        rng,
        &[
            "What shape is the {colour} thing?",
            "Which shape is {colour}?",
            "Name the shape of the {colour} thing.",
        ],
        &[("colour", colour)],
    );
    let wrong = rng.other(&Shape::ALL, target.shape).name();
    let parts = Parts {
        task: "shape",
        asked,
        trace: format!("The {colour} thing is at the {at}. It is {}.", a(shape)),
        answer: shape,
        distractor: wrong,
        factors: vec![("colour", colour.into()), ("place", at.into())],
    };
    finish(rng, &things, parts)
}

fn exists(level: u8, n: usize, rng: &mut Rng) -> Draft {
    let (target, things) = crowd(level, n, rng);
    let there = rng.chance(1, 2);
    // What is not there has the shape or the colour of what is.
    let (shape, colour): (Shape, Colour) = match (there, rng.chance(1, 2)) {
        (true, _) => (target.shape, target.colour),
        (false, true) => (target.shape, rng.other(colours(level), target.colour)),
        (false, false) => (
            rng.other(things::shapes(level), target.shape),
            target.colour,
        ),
    };
    let name = format!("{} {}", colour.name, shape.name());
    let asked = word(
        rng,
        &[
            "Is there {thing}?",
            "Do you see {thing}?",
            "Does the picture show {thing}? Answer yes or no.",
        ],
        &[("thing", &a(&name))],
    );
    let trace = match there {
        true => format!(
            "There is {} at the {}. So yes.",
            a(&name),
            place(target.x, target.y)
        ),
        false => format!("I see {}. None is {}. So no.", inventory(&things), a(&name)),
    };
    let parts = Parts {
        task: "exists",
        asked,
        trace,
        answer: if there { "yes" } else { "no" },
        distractor: if there { "no" } else { "yes" },
        factors: vec![
            ("shape", shape.name().into()),
            ("colour", colour.name.into()),
            ("place", place(target.x, target.y).into()),
        ],
    };
    finish(rng, &things, parts)
}
