//! Things in a grid: what is next to one, and how many lie on a side of it.

use super::{SIDES, of, thing};
use crate::domains::things::{self, Thing, inventory};
use crate::draft::{Draft, Scenes, listed, near, word};
use crate::draw::Shape;
use crate::palette::{Colour, colours};
use crate::rng::Rng;

/// A full grid of things that all differ in shape and colour from the one that is asked about.
fn grid(rng: &mut Rng, across: usize, level: u8) -> Vec<Thing> {
    let cell = 1000 / across as i32;
    let mut kinds: Vec<(Shape, Colour)> = Vec::new();
    for shape in things::shapes(level) {
        kinds.extend(colours(level).iter().map(|c| (*shape, *c)));
    }
    let kinds = rng.sample(&kinds, across * across);
    let place = |i: usize| (i as i32) * cell + cell / 2;
    kinds
        .iter()
        .enumerate()
        .map(|(i, kind)| Thing {
            row: i / across,
            ..thing(*kind, place(i % across), place(i / across), cell * 36 / 100)
        })
        .collect()
}

/// `row 1: a red circle and a blue star`.
fn rows(all: &[Thing], across: usize) -> String {
    let line = |(i, row): (usize, &[Thing])| format!("row {}: {}", i + 1, inventory(row));
    all.chunks(across)
        .enumerate()
        .map(line)
        .collect::<Vec<_>>()
        .join("; ")
}

const NEXT_COLOUR: &[&str] = &[
    "What colour is the thing directly {of} the {thing}?",
    "Name the colour of what comes directly {of} the {thing}.",
];
const NEXT_SHAPE: &[&str] = &[
    "Which shape is directly {of} the {thing}?",
    "Name the shape that comes directly {of} the {thing}.",
];

pub(super) fn neighbour(level: u8, rng: &mut Rng) -> Draft {
    let across = usize::from(level) - 1;
    let all = grid(rng, across, level);
    let (side, dx, dy, _) = rng.pick(&SIDES);
    let ends = |d: i32| (i32::from(d < 0), across as i32 - 1 - i32::from(d > 0));
    let (column, row) = (
        rng.int(ends(dx).0, ends(dx).1),
        rng.int(ends(dy).0, ends(dy).1),
    );
    let at = |x: i32, y: i32| all[y as usize * across + x as usize];
    let (anchor, found) = (at(column, row), at(column + dx, row + dy));
    let ask_colour = rng.chance(1, 2);
    let (side_of, name) = (of(side), anchor.name());
    let places = [("of", side_of.as_str()), ("thing", name.as_str())];
    let (task, wordings, answer) = match ask_colour {
        true => ("next_colour", NEXT_COLOUR, found.colour.name),
        false => ("next_shape", NEXT_SHAPE, found.shape.name()),
    };
    let asked = word(rng, wordings, &places);
    let wrong = match ask_colour {
        true => things::other_colour(rng, found.colour).name,
        false => rng.other(&Shape::ALL, found.shape).name(),
    };
    Draft {
        task,
        wording: asked.0,
        question: asked.1,
        trace: format!(
            "The {} is in row {}, column {}. Directly {} it is the {}. The answer is {answer}.",
            anchor.name(),
            row + 1,
            column + 1,
            of(side),
            found.name()
        ),
        answer: answer.into(),
        distractor: wrong.into(),
        reward_domain: "closed",
        factors: vec![
            ("thing", anchor.name()),
            ("side", side.into()),
            ("answer", answer.into()),
        ],
        caption: format!("A grid of shapes, {}.", rows(&all, across)),
        scenes: Scenes::Pictures(vec![things::scene(rng, &all)]),
    }
}

const BEYOND: &[&str] = &[
    "How many things are {than} the {thing}?",
    "Count the things that lie {lie} the {thing}, in any row or column.",
];

/// How many things lie on a side of one.
pub(super) fn beyond(rng: &mut Rng) -> Draft {
    let all: Vec<Thing> = grid(rng, 4, 5)
        .into_iter()
        .filter(|_| rng.chance(3, 5))
        .collect();
    if all.len() < 4 {
        return beyond(rng);
    }
    let (side, dx, dy, _) = rng.pick(&SIDES);
    let anchor = rng.pick(&all);
    let hits: Vec<String> = all
        .iter()
        .filter(|t| (t.x - anchor.x) * dx + (t.y - anchor.y) * dy > 0)
        .map(Thing::name)
        .collect();
    let (than, lie) = match side {
        "left" => ("further left than", "to the left of"),
        "right" => ("further right than", "to the right of"),
        "above" => ("higher than", "above"),
        _ => ("lower than", "below"),
    };
    let asked = word(
        rng,
        BEYOND,
        &[("than", than), ("lie", lie), ("thing", &anchor.name())],
    );
    Draft {
        task: "beyond",
        wording: asked.0,
        question: asked.1,
        trace: format!(
            "{} the {}: {}. That is {}.",
            crate::draft::capital(&of(side)),
            anchor.name(),
            listed(&hits),
            hits.len()
        ),
        answer: hits.len().to_string(),
        distractor: near(rng, hits.len() as i32).to_string(),
        reward_domain: "spatial",
        factors: vec![
            ("thing", anchor.name()),
            ("side", side.into()),
            ("count", hits.len().to_string()),
        ],
        caption: format!("{} shapes: {}.", all.len(), inventory(&all)),
        scenes: Scenes::Pictures(vec![things::scene(rng, &all)]),
    }
}
