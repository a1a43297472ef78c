//! Relations: left, right, above, below, what lies in front and what behind.

mod grid;

use super::things::{self, Thing, ground};
use crate::draft::{Draft, Scenes, a, listed, word};
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

/// The first thing lies on a side of the second, in line with it.
fn relation(level: u8, rng: &mut Rng) -> Draft {
    let (side, dx, dy, opposite) = rng.pick(&SIDES);
    let forms = rng.sample(things::shapes(level), 3);
    let tints = rng.sample(colours(level), 3);
    let (gap, r) = (rng.int(210, 290), rng.int(110, 170));
    // Off the line by little enough to leave no doubt.
    let skew = rng.int(-70, 70);
    let (mx, my) = match level {
        1 => (rng.int(440, 560), rng.int(440, 560)),
        _ => (
            if dx == 0 { 300 } else { 500 },
            if dy == 0 { 300 } else { 500 },
        ),
    };
    let at = |sign: i32| {
        (
            mx + sign * (gap * dx + skew * dy),
            my + sign * (gap * dy + skew * dx),
        )
    };
    let ((ax, ay), (bx, by)) = (at(1), at(-1));
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
    let asked = match (level, dx == 0) {
        (1, false) => word(
            rng,
            &[
                "Is the {first} left or right of the {second}?",
                "Does the {first} lie to the left or to the right of the {second}?",
            ],
            &places,
        ),
        (1, true) => word(
            rng,
            &[
                "Is the {first} above or below the {second}?",
                "Does the {first} lie above or below the {second}?",
            ],
            &places,
        ),
        _ => word(
            rng,
            &[
                "Where is the {first} seen from the {second}: left, right, above or below?",
                "On which side of the {second} is the {first}: left, right, above or below?",
            ],
            &places,
        ),
    };
    let axis = if dx == 0 { "down" } else { "across" };
    let (p, q) = if dx == 0 { (ay, by) } else { (ax, bx) };
    Draft {
        task: match (level, dx == 0) {
            (1, false) => "left_right",
            (1, true) => "above_below",
            _ => "side",
        },
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
        ],
        caption: format!(
            "{} is {} {}.",
            crate::draft::capital(&a(&first.name())),
            of(side),
            a(&second.name())
        ),
        scenes: Scenes::Pictures(vec![things::scene(rng, &all)]),
    }
}

/// Cards of different colours that overlap in a chain, the last one drawn in front.
fn depth(level: u8, rng: &mut Rng) -> Draft {
    let n = usize::from(level) - 1;
    let tints = rng.sample(colours(level), n);
    let mut scene = Scene::new(ground(rng));
    let half = [220, 190, 160][n - 2];
    let step = (1000 - 2 * half - 80) / (n as i32 - 1);
    let flip = rng.chance(1, 2);
    // Places along a diagonal, in an order that says nothing about depth.
    let mut order: Vec<usize> = (0..n).collect();
    rng.shuffle(&mut order);
    for (tint, place) in tints.iter().zip(&order) {
        let x = half + 40 + step.min(2 * half - 150) * *place as i32 + rng.int(-15, 15);
        let y = if flip { 1000 - x } else { x };
        scene.panel(
            [x - half, y - half, x + half, y + half],
            18,
            [255; 3],
            tint.rgb,
        );
    }
    // Which neighbours overlap: the depth order of the others cannot be seen, so only what follows
    // from overlaps is asked for.
    let (p, q) = {
        let i = rng.below(n - 1);
        let at = |place: usize| order.iter().position(|o| *o == place).unwrap_or(0);
        (at(i), at(i + 1))
    };
    let (front, back) = (tints[p.max(q)], tints[p.min(q)]);
    let in_front = rng.chance(1, 2);
    let (answer, distractor) = if in_front {
        (front, back)
    } else {
        (back, front)
    };
    let mut pair = [front.name, back.name];
    rng.shuffle(&mut pair);
    let places = [("a", pair[0]), ("b", pair[1])];
    let asked = match in_front {
        true => word(
            rng,
            &[
                "Which card is in front: {a} or {b}?",
                "Of {a} and {b}, which colour lies on top?",
            ],
            &places,
        ),
        false => word(
            rng,
            &[
                "Which card is behind: {a} or {b}?",
                "Of {a} and {b}, which colour lies underneath?",
            ],
            &places,
        ),
    };
    let names: Vec<&str> = tints.iter().map(|t| t.name).collect();
    Draft {
        task: if in_front { "front" } else { "behind" },
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
