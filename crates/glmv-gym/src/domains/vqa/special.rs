//! The largest thing, the one in a corner, and the one that differs.

use super::{Parts, crowd, finish};
use crate::domains::things::{self, Thing, other_colour, place, spots};
use crate::draft::{Draft, a, word};
use crate::draw::Shape;
use crate::palette::colours;
use crate::rng::Rng;

const LARGEST_COLOUR: &[&str] = &[
    "What colour is the largest thing?",
    "Name the colour of the biggest thing.",
];
const LARGEST_SHAPE: &[&str] = &[
    "What shape is the largest thing?",
    "Name the shape of the biggest thing.",
];

pub(super) fn largest(level: u8, n: usize, rng: &mut Rng) -> Draft {
    let (target, mut things) = crowd(level, n, rng);
    for thing in &mut things[1..] {
        // At most 20 % of a cell; the target has 28 % or more.
        thing.r /= 2;
    }
    let ask_colour = rng.chance(1, 2);
    let asked = match ask_colour {
        true => word(rng, LARGEST_COLOUR, &[]),
        false => word(rng, LARGEST_SHAPE, &[]),
    };
    let (shape, colour) = (target.shape.name(), target.colour.name);
    let (answer, distractor) = match ask_colour {
        true => (colour, other_colour(rng, target.colour).name),
        false => (shape, rng.other(&Shape::ALL, target.shape).name()),
    };
    let at = place(target.x, target.y);
    let parts = Parts {
        task: if ask_colour {
            "largest_colour"
        } else {
            "largest_shape"
        },
        asked,
        trace: format!(
            "The largest thing is the {colour} {shape} at the {at}. The answer is {answer}."
        ),
        answer,
        distractor,
        factors: vec![("shape", shape.into()), ("colour", colour.into())],
    };
    finish(rng, &things, parts)
}

const CORNER_COLOUR: &[&str] = &[
    "What colour is the thing in the {corner} corner?",
    "Name the colour of the thing at the {corner}.",
];
const CORNER_SHAPE: &[&str] = &[
    "What shape is in the {corner} corner?",
    "Name the shape at the {corner}.",
];

pub(super) fn corner(level: u8, n: usize, rng: &mut Rng) -> Draft {
    let (_, mut things) = crowd(level, n, rng);
    let corners = [
        ("top left", 160, 160),
        ("top right", 840, 160),
        ("bottom left", 160, 840),
        ("bottom right", 840, 840),
    ];
    let (name, x, y) = rng.pick(&corners);
    things.retain(|t| (t.x - x).abs().max((t.y - y).abs()) > 170 + t.r);
    let (shape, colour) = things::kind(level, rng);
    let target = Thing {
        shape,
        colour,
        x,
        y,
        r: rng.int(100, 130),
        row: 0,
    };
    things.push(target);
    let ask_colour = rng.chance(1, 2);
    let asked = match ask_colour {
        true => word(rng, CORNER_COLOUR, &[("corner", name)]),
        false => word(rng, CORNER_SHAPE, &[("corner", name)]),
    };
    let (answer, distractor) = match ask_colour {
        true => (colour.name, other_colour(rng, colour).name),
        false => (shape.name(), rng.other(&Shape::ALL, shape).name()),
    };
    let parts = Parts {
        task: if ask_colour {
            "corner_colour"
        } else {
            "corner_shape"
        },
        asked,
        trace: format!(
            "In the {name} corner is {}. The answer is {answer}.",
            a(&target.name())
        ),
        answer,
        distractor,
        factors: vec![
            ("corner", name.into()),
            ("shape", shape.name().into()),
            ("colour", colour.name.into()),
        ],
    };
    finish(rng, &things, parts)
}

const ODD: &[&str] = &[
    "One thing has another colour than all others. Which colour?",
    "What is the colour of the one that differs?",
];

/// All alike but one, which differs in its colour.
pub(super) fn odd(n: usize, rng: &mut Rng) -> Draft {
    let (shape, colour) = things::kind(5, rng);
    let strange = rng.other(colours(5), colour);
    let at = rng.below(n);
    let things: Vec<Thing> = spots(rng, n)
        .iter()
        .enumerate()
        .map(|(i, spot)| spot.thing((shape, if i == at { strange } else { colour })))
        .collect();
    let asked = word(rng, ODD, &[]);
    let parts = Parts {
        task: "odd",
        asked,
        trace: format!(
            "All are {} but the one at the {}, which is {}.",
            colour.name,
            place(things[at].x, things[at].y),
            strange.name
        ),
        answer: strange.name,
        distractor: colour.name,
        factors: vec![
            ("shape", shape.name().into()),
            ("colour", colour.name.into()),
        ],
    };
    finish(rng, &things, parts)
}
