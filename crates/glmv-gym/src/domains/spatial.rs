//! Relations: left, right, above, below, what lies in front and what behind.

mod grid;

use super::things::{self, Thing, ground};
use crate::draft::{Draft, Scenes, a, capital, listed, word};
use crate::draw::{Scene, Shape};
use crate::palette::{Colour, colours};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "is one left or right of, above or below the other",
    "on which of four sides, with a third thing",
    "what is next to a thing in a grid; which of two overlapping cards is in front",
    "depth order of three cards; what is next to a thing in a larger grid",
    "depth order of four cards; how many are left of or above a thing",
];

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    match level {
        1 | 2 => relation(level, rng),
        3 | 4 => match rng.chance(1, 2) {
            true => grid::neighbour(level, rng),
            false => depth(level, rng),
        },
        _ => match rng.chance(1, 2) {
            true => grid::beyond(rng),
            false => depth(level, rng),
        },
    }
}

const SIDES: [(&str, i32, i32, &str); 4] = [
    ("left", -1, 0, "right"),
    ("right", 1, 0, "left"),
    ("above", 0, -1, "below"),
    ("below", 0, 1, "above"),
];

/// `left of`, `above`.
fn of(side: &str) -> String {
    match side {
        "left" | "right" => format!("{side} of"),
        _ => side.to_owned(),
    }
}

fn thing((shape, colour): (Shape, Colour), x: i32, y: i32, r: i32) -> Thing {
    Thing {
        shape,
        colour,
        x,
        y,
        r,
        row: 0,
    }
}

const LEFT_RIGHT: &[&str] = &[
    "Is the {first} left or right of the {second}?",
    "Does the {first} lie to the left or to the right of the {second}?",
];
const ABOVE_BELOW: &[&str] = &[
    "Is the {first} above or below the {second}?",
    "Does the {first} lie above or below the {second}?",
];
const SIDE: &[&str] = &[
    "Where is the {first} seen from the {second}: left, right, above or below?",
    "On which side of the {second} is the {first}: left, right, above or below?",
];

/// Two places: the first lies in a direction from the second.
fn opposed(level: u8, [dx, dy]: [i32; 2], rng: &mut Rng) -> [(i32, i32); 2] {
    let gap = rng.int(210, 290);
    // Off the line by little enough to leave no doubt.
    let skew = rng.int(-70, 70);
    let off = |d: i32| if d == 0 { 300 } else { 500 };
    let (mx, my) = match level {
        1 => (rng.int(440, 560), rng.int(440, 560)),
        // The bottom right belongs to a third thing.
        _ => (off(dx), off(dy)),
    };
    let (x, y) = (gap * dx + skew * dy, gap * dy + skew * dx);
    [(mx + x, my + y), (mx - x, my - y)]
}

/// `A red circle is left of a blue star.`
fn told(first: &Thing, side: &str, second: &Thing) -> String {
    let (first, second) = (a(&first.name()), a(&second.name()));
    format!("{} is {} {second}.", capital(&first), of(side))
}

/// The first thing lies on a side of the second, in line with it.
fn relation(level: u8, rng: &mut Rng) -> Draft {
    let (side, dx, dy, opposite) = rng.pick(&SIDES);
    let forms = rng.sample(things::shapes(level), 3);
    let tints = rng.sample(colours(level), 3);
    let r = rng.int(110, 170);
    let [(ax, ay), (bx, by)] = opposed(level, [dx, dy], rng);
    let first = thing((forms[0], tints[0]), ax, ay, r);
    let second = thing((forms[1], tints[1]), bx, by, r);
    let mut all = vec![first, second];
    if level == 2 {
        all.push(thing((forms[2], tints[2]), 800, 800, rng.int(100, 140)));
    }
    let (name, other) = match level {
        1 => (forms[0].name().to_owned(), forms[1].name().to_owned()),
        _ => (first.name(), second.name()),
    };
    let places = [("first", name.as_str()), ("second", other.as_str())];
    let (task, wordings) = match (level, dx == 0) {
        (1, false) => ("left_right", LEFT_RIGHT),
        (1, true) => ("above_below", ABOVE_BELOW),
        _ => ("side", SIDE),
    };
    let asked = word(rng, wordings, &places);
    let axis = if dx == 0 { "down" } else { "across" };
    let (p, q) = if dx == 0 { (ay, by) } else { (ax, bx) };
    Draft {
        task,
        wording: asked.0,
        question: asked.1,
        trace: format!(
            "The {name} is at {} of 10 {axis}, the {other} at {} of 10. So it is {} the {other}.",
            p / 100,
            q / 100,
            of(side)
        ),
        answer: side.into(),
        distractor: opposite.into(),
        reward_domain: "spatial",
        factors: vec![
            ("first", name.clone()),
            ("second", other.clone()),
            ("side", side.into()),
            ("colours", format!("{} {}", tints[0].name, tints[1].name)),
        ],
        caption: told(&first, side, &second),
        scenes: Scenes::Pictures(vec![things::scene(rng, &all)]),
    }
}

const FRONT: &[&str] = &[
    "Which card is in front: {a} or {b}?",
    "Of {a} and {b}, which colour lies on top?",
];
const BEHIND: &[&str] = &[
    "Which card is behind: {a} or {b}?",
    "Of {a} and {b}, which colour lies underneath?",
];

/// Cards along a diagonal, and the place of each: their order says nothing about depth.
fn cards(tints: &[Colour], rng: &mut Rng) -> (Scene, Vec<usize>) {
    let n = tints.len();
    let mut scene = Scene::new(ground(rng));
    let half = [220, 190, 160][n - 2];
    let step = ((1000 - 2 * half - 80) / (n as i32 - 1)).min(2 * half - 150);
    let flip = rng.chance(1, 2);
    let mut order: Vec<usize> = (0..n).collect();
    rng.shuffle(&mut order);
    for (tint, place) in tints.iter().zip(&order) {
        let x = half + 40 + step * *place as i32 + rng.int(-15, 15);
        let y = if flip { 1000 - x } else { x };
        let bounds = [x - half, y - half, x + half, y + half];
        scene.panel(bounds, 18, [255; 3], tint.rgb);
    }
    (scene, order)
}

/// Cards of different colours that overlap in a chain, the last one drawn in front.
fn depth(level: u8, rng: &mut Rng) -> Draft {
    let n = usize::from(level) - 1;
    let tints = rng.sample(colours(level), n);
    let (scene, order) = cards(&tints, rng);
    // Which neighbours overlap: the depth order of the others cannot be seen, so only what follows
    // from overlaps is asked for.
    let (p, q) = {
        let i = rng.below(n - 1);
        let at = |place: usize| order.iter().position(|o| *o == place).unwrap_or(0);
        (at(i), at(i + 1))
    };
    let (front, back) = (tints[p.max(q)], tints[p.min(q)]);
    let in_front = rng.chance(1, 2);
    let (task, wordings, answer, distractor) = match in_front {
        true => ("front", FRONT, front, back),
        false => ("behind", BEHIND, back, front),
    };
    let mut pair = [front.name, back.name];
    rng.shuffle(&mut pair);
    let places = [("a", pair[0]), ("b", pair[1])];
    let asked = word(rng, wordings, &places);
    let names: Vec<&str> = tints.iter().map(|t| t.name).collect();
    Draft {
        task,
        wording: asked.0,
        question: asked.1,
        trace: format!(
            "Where they overlap, the {} card hides a part of the {} card. So {} is in front and {} is behind.",
            front.name, back.name, front.name, back.name
        ),
        answer: answer.name.into(),
        distractor: distractor.name.into(),
        reward_domain: "closed",
        factors: vec![
            ("front", front.name.into()),
            ("back", back.name.into()),
            ("cards", n.to_string()),
        ],
        caption: format!(
            "Overlapping cards, put down in this order: {}.",
            listed(&names)
        ),
        scenes: Scenes::Pictures(vec![scene]),
    }
}
