//! Counting: how many of a kind there are, among more and more that is alike.

use super::things::{self, Thing, inventory, placed, spots};
use crate::draft::{Draft, Scenes, listed, near, word};
use crate::draw::Shape;
use crate::palette::{Colour, colours};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "1 to 5 things of one kind",
    "1 to 6 of a shape, and up to 3 others",
    "0 to 6 of a shape and colour among up to 9, others alike",
    "0 to 9 of a shape and colour among up to 16, others alike",
    "two colours or two shapes together among up to 16",
];

const PLAIN: &[&str] = &[
    "How many {kinds} are there?",
    "Count the {kinds}.",
    "How many {kinds} do you see in the picture?",
    "What is the number of {kinds}?",
];
const EITHER: &[&str] = &[
    "How many things are {first} or {second}?",
    "Count everything that is {first} or {second}.",
    "Take the {first} and the {second} things together: how many are there?",
];

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    if level == 5 {
        return either(rng);
    }
    let (shape, colour) = things::kind(level, rng);
    let (least, most) = [(1, 5), (1, 6), (0, 6), (0, 9)][usize::from(level - 1)];
    let count = rng.int(least, most) as usize;
    let (few, many, all) = [(0, 0, 5), (1, 3, 9), (2, 4, 9), (4, 7, 16)][usize::from(level - 1)];
    let total = (count + rng.int(few, many) as usize).min(all);
    let by_colour = level >= 3;
    let mut kinds = vec![(shape, colour); count];
    while kinds.len() < total {
        kinds.push(other(level, rng, shape, colour));
    }
    rng.shuffle(&mut kinds);
    let things = placed(&spots(rng, kinds.len()), &kinds);
    let wanted = match by_colour {
        true => format!("{} {}", colour.name, shape.plural()),
        false => shape.plural().to_owned(),
    };
    let (wording, question) = word(rng, PLAIN, &[("kinds", &wanted)]);
    let hits = |t: &Thing| t.shape == shape && (!by_colour || t.colour == colour);
    Draft {
        task: if by_colour { "kind" } else { "shape" },
        wording,
        question,
        trace: trace(&things, &wanted, hits),
        answer: count.to_string(),
        distractor: near(rng, count as i32).to_string(),
        reward_domain: "counting",
        factors: vec![
            ("shape", shape.name().into()),
            ("colour", colour.name.into()),
            ("count", count.to_string()),
            ("of", total.to_string()),
        ],
        caption: caption(&things),
        scenes: Scenes::Pictures(vec![things::scene(rng, &things)]),
    }
}

/// A kind that does not count: another shape, or from level 3 the shape in another colour.
fn other(level: u8, rng: &mut Rng, shape: Shape, colour: Colour) -> (Shape, Colour) {
    if level >= 3 && rng.chance(1, 2) {
        return (shape, rng.other(colours(level), colour));
    }
    let same_colour = level >= 3 && rng.chance(1, 2);
    let new = rng.other(things::shapes(level), shape);
    (
        new,
        if same_colour {
            colour
        } else {
            rng.pick(colours(level))
        },
    )
}

const SHAPES: &[&str] = &[
    "How many {a} and {b} are there together?",
    "Count the {a} and the {b} together.",
];

/// Two colours or two shapes.
fn either(rng: &mut Rng) -> Draft {
    let total = rng.int(8, 16) as usize;
    let palette = rng.sample(colours(5), 4);
    let forms = rng.sample(things::shapes(5), 4);
    let kinds: Vec<_> = (0..total)
        .map(|_| (rng.pick(&forms), rng.pick(&palette)))
        .collect();
    let things = placed(&spots(rng, kinds.len()), &kinds);
    let by_colour = rng.chance(1, 2);
    let hits = |t: &Thing| match by_colour {
        true => palette[..2].contains(&t.colour),
        false => forms[..2].contains(&t.shape),
    };
    let names = match by_colour {
        true => [palette[0].name, palette[1].name],
        false => [forms[0].name(), forms[1].name()],
    };
    let count = things.iter().filter(|t| hits(t)).count();
    let (wording, question) = match by_colour {
        true => word(rng, EITHER, &[("first", names[0]), ("second", names[1])]),
        false => word(
            rng,
            SHAPES,
            &[("a", forms[0].plural()), ("b", forms[1].plural())],
        ),
    };
    let wanted = match by_colour {
        true => format!("things that are {} or {}", names[0], names[1]),
        false => format!("{} and {}", forms[0].plural(), forms[1].plural()),
    };
    Draft {
        task: ["two_shapes", "two_colours"][usize::from(by_colour)],
        wording,
        question,
        trace: trace(&things, &wanted, hits),
        answer: count.to_string(),
        distractor: near(rng, count as i32).to_string(),
        reward_domain: "counting",
        factors: vec![
            ("first", names[0].into()),
            ("second", names[1].into()),
            ("count", count.to_string()),
            ("of", total.to_string()),
        ],
        caption: caption(&things),
        scenes: Scenes::Pictures(vec![things::scene(rng, &things)]),
    }
}

/// Counts row by row: `Row 1: 2. Row 2: 1. 2 + 1 = 3.`
fn trace(things: &[Thing], wanted: &str, hits: impl Fn(&Thing) -> bool) -> String {
    let rows = things.iter().map(|t| t.row).max().unwrap_or(0) + 1;
    let counts: Vec<String> = (0..rows)
        .map(|row| {
            things
                .iter()
                .filter(|t| t.row == row && hits(t))
                .count()
                .to_string()
        })
        .collect();
    let total = things.iter().filter(|t| hits(t)).count();
    let parts: Vec<String> = counts
        .iter()
        .enumerate()
        .map(|(i, n)| format!("Row {}: {n}.", i + 1))
        .collect();
    let sum = match counts.len() {
        1 => format!("There are {total}."),
        _ => format!("{} = {total}.", counts.join(" + ")),
    };
    format!("I count the {wanted} row by row. {} {sum}", parts.join(" "))
}

fn caption(things: &[Thing]) -> String {
    let mut rows: Vec<String> = Vec::new();
    for row in 0..=things.iter().map(|t| t.row).max().unwrap_or(0) {
        let here: Vec<Thing> = things.iter().filter(|t| t.row == row).copied().collect();
        rows.push(format!("row {}: {}", row + 1, inventory(&here)));
    }
    match things.len() {
        0 => "An empty picture.".into(),
        n => format!("{n} shapes, {}.", listed(&rows)),
    }
}
