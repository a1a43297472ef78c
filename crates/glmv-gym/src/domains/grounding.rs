//! Grounding: boxes of described things in thousandths of the picture, `[[x1,y1,x2,y2]]`.

use super::things::{self, Thing, inventory, place, placed, spots};
use crate::draft::{Draft, Scenes, word};
use crate::draw::Shape;
use crate::palette::{Colour, colours};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "the only thing",
    "a shape among 2 or 3 things",
    "a shape and colour among 4 to 6 things that share them",
    "the one furthest to a side among 5 to 8 things of its colour or shape",
    "all of a colour or shape, 2 or 3 boxes among 6 to 9 things",
];

const ONE: &[&str] = &[
    "Where is the {thing}? Give its bounding box.",
    "Help me to locate the {thing} in the image and give me its bounding box.",
    "Find the {thing}. Answer with [[x1,y1,x2,y2]].",
];
const ALL: &[&str] = &[
    "Find all {things}. Give their bounding boxes.",
    "Please pinpoint the bounding boxes [[x1,y1,x2,y2], ...] of the {things}.",
];

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    match level {
        1..=3 => one(level, rng),
        4 => furthest(rng),
        _ => all(rng),
    }
}

/// `[x1,y1,x2,y2]`.
fn written(thing: &Thing) -> String {
    let [l, t, r, b] = thing.bounds();
    format!("[{l},{t},{r},{b}]")
}

fn answer(targets: &[Thing]) -> String {
    let boxes: Vec<String> = targets.iter().map(written).collect();
    format!("[{}]", boxes.join(","))
}

/// As many boxes, each of them elsewhere.
fn elsewhere(targets: &[Thing]) -> String {
    let moved = |t: &Thing| {
        let shift = |v: i32| if v >= 500 { v - 500 } else { v + 500 };
        Thing {
            x: shift(t.x),
            y: shift(t.y),
            r: t.r.min(100),
            ..*t
        }
    };
    answer(&targets.iter().map(moved).collect::<Vec<_>>())
}

fn steps(thing: &Thing) -> String {
    let [l, t, r, b] = thing.bounds();
    format!(
        "The {} is at the {}: from {l} to {r} across and from {t} to {b} down.",
        thing.name(),
        place(thing.x, thing.y)
    )
}

struct Parts {
    task: &'static str,
    asked: (usize, String),
    factors: Vec<(&'static str, String)>,
}

fn finish(rng: &mut Rng, things: &[Thing], targets: &[Thing], parts: Parts) -> Draft {
    let trace: Vec<String> = targets.iter().map(steps).collect();
    let boxes: Vec<String> = things
        .iter()
        .map(|t| format!("{} {}", t.name(), written(t)))
        .collect();
    Draft {
        task: parts.task,
        wording: parts.asked.0,
        question: parts.asked.1,
        trace: trace.join(" "),
        answer: answer(targets),
        distractor: elsewhere(targets),
        reward_domain: "grounding",
        factors: parts.factors,
        caption: format!(
            "{}. Boxes: {}.",
            crate::draft::capital(&inventory(things)),
            boxes.join(", ")
        ),
        scenes: Scenes::Pictures(vec![things::scene(rng, things)]),
    }
}

fn one(level: u8, rng: &mut Rng) -> Draft {
    let n = match level {
        1 => 1,
        2 => rng.int(2, 3),
        _ => rng.int(4, 6),
    } as usize;
    let (shape, colour) = things::kind(level, rng);
    let mut kinds = vec![(shape, colour)];
    while kinds.len() < n {
        kinds.push(rival(level, (shape, colour), rng));
    }
    rng.shuffle(&mut kinds);
    let mut places = spots(rng, n);
    if n == 1 {
        // Alone, it may be anywhere and of any size.
        let r = rng.int(130, 330);
        (places[0].x, places[0].y, places[0].r) =
            (rng.int(r + 20, 980 - r), rng.int(r + 20, 980 - r), r);
    }
    let things = placed(&places, &kinds);
    let found: Vec<Thing> = things
        .iter()
        .filter(|t| (t.shape, t.colour) == (shape, colour))
        .copied()
        .collect();
    let name = match level {
        3 => format!("{} {}", colour.name, shape.name()),
        _ => shape.name().to_owned(),
    };
    let asked = word(rng, ONE, &[("thing", &name)]);
    let at = place(found[0].x, found[0].y).to_owned();
    let factors = vec![
        ("shape", shape.name().into()),
        ("colour", colour.name.into()),
        ("place", at),
        ("of", n.to_string()),
    ];
    finish(
        rng,
        &things,
        &found,
        Parts {
            task: if level == 3 { "kind" } else { "shape" },
            asked,
            factors,
        },
    )
}

/// Another kind; at level 3 half of them have its shape or its colour.
fn rival(level: u8, (shape, colour): (Shape, Colour), rng: &mut Rng) -> (Shape, Colour) {
    let form = rng.other(things::shapes(level), shape);
    let tint = rng.other(colours(level), colour);
    match (level, rng.below(4)) {
        (3, 0) => (shape, tint),
        (3, 1) => (form, colour),
        _ => (form, tint),
    }
}

type Key = fn(&Thing) -> i32;
/// Names of sides, and what is least there.
const ENDS: [(&str, Key); 4] = [
    ("leftmost", |t| t.x),
    ("rightmost", |t| -t.x),
    ("topmost", |t| t.y),
    ("lowest", |t| -t.y),
];

/// The leftmost, rightmost, top or bottom one of a shape.
fn furthest(rng: &mut Rng) -> Draft {
    let n = rng.int(5, 8) as usize;
    let (shape, _) = things::kind(4, rng);
    let alike = rng.int(2, 3) as usize;
    let kinds: Vec<_> = (0..n)
        .map(|i| match i < alike {
            true => (shape, rng.pick(colours(4))),
            false => (rng.other(things::shapes(4), shape), rng.pick(colours(4))),
        })
        .collect();
    let mut places = spots(rng, n);
    rng.shuffle(&mut places);
    let things = placed(&places, &kinds);
    let (side, key) = rng.pick(&ENDS);
    let mut order: Vec<Thing> = things[..alike].to_vec();
    order.sort_by_key(key);
    if key(&order[1]) - key(&order[0]) < 90 {
        // Too close to call: ask for another picture.
        return furthest(rng);
    }
    let name = format!("{side} {}", shape.name());
    let asked = word(rng, ONE, &[("thing", &name)]);
    let factors = vec![
        ("side", side.into()),
        ("shape", shape.name().into()),
        ("place", place(order[0].x, order[0].y).into()),
        ("colour", order[0].colour.name.into()),
    ];
    let task = "furthest";
    let parts = Parts {
        task,
        asked,
        factors,
    };
    let mut made = finish(rng, &things, &order[..1], parts);
    let others: Vec<String> = order
        .iter()
        .map(|t| format!("one at the {}", place(t.x, t.y)))
        .collect();
    made.trace = format!(
        "Of the {} there is {}. {}",
        shape.plural(),
        crate::draft::listed(&others),
        made.trace
    );
    made
}

fn all(rng: &mut Rng) -> Draft {
    let n = rng.int(6, 9) as usize;
    let (shape, colour) = things::kind(5, rng);
    let by_colour = rng.chance(1, 2);
    let count = rng.int(2, 3) as usize;
    let mut kinds: Vec<_> = (0..n)
        .map(|i| match (i < count, by_colour) {
            (true, true) => (rng.pick(things::shapes(5)), colour),
            (true, false) => (shape, rng.pick(colours(5))),
            (false, _) => (
                rng.other(things::shapes(5), shape),
                rng.other(colours(5), colour),
            ),
        })
        .collect();
    rng.shuffle(&mut kinds);
    let places = spots(rng, n);
    let things = placed(&places, &kinds);
    let hit = |t: &&Thing| {
        if by_colour {
            t.colour == colour
        } else {
            t.shape == shape
        }
    };
    let found: Vec<Thing> = things.iter().filter(hit).copied().collect();
    let name = match by_colour {
        true => format!("{} things", colour.name),
        false => shape.plural().to_owned(),
    };
    let asked = word(rng, ALL, &[("things", &name)]);
    let at: Vec<&str> = found.iter().map(|t| place(t.x, t.y)).collect();
    let factors = vec![
        ("what", name),
        ("count", count.to_string()),
        ("places", at.join(" ")),
    ];
    finish(
        rng,
        &things,
        &found,
        Parts {
            task: "all",
            asked,
            factors,
        },
    )
}
