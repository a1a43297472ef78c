//! Motion: which way, which thing, and where after a turn.

use super::{FPS, Parts, finish, kinds, put};
use crate::domains::things::{self, Thing, ground};
use crate::draft::{Draft, a, capital, word};
use crate::draw::Shape;
use crate::palette::Colour;
use crate::rng::Rng;

const WAYS: [(&str, i32, i32, &str); 4] = [
    ("left", -1, 0, "right"),
    ("right", 1, 0, "left"),
    ("up", 0, -1, "down"),
    ("down", 0, 1, "up"),
];

/// Places of a thing that goes through the middle line in equal steps.
fn path(way: (i32, i32), lane: i32, frames: usize) -> impl Fn(usize) -> (i32, i32) {
    move |i| {
        let along = -320 + 640 * i as i32 / (frames as i32 - 1).max(1);
        let one = |d: i32| if d == 0 { lane } else { 500 + d * along };
        (one(way.0), one(way.1))
    }
}

const WAY: &[&str] = &[
    "In which direction does the {thing} move: left, right, up or down?",
    "Where does the {thing} go: left, right, up or down?",
    "Does the {thing} move left, right, up or down?",
];

/// Things in the half that a moving one does not cross.
fn bystanders(upright: bool, kinds: &[(Shape, Colour)], rng: &mut Rng) -> Vec<Thing> {
    let mut still = Vec::new();
    for (kind, along) in kinds.iter().zip([250, 750]) {
        let across = rng.int(720, 800);
        still.push(match upright {
            true => put(*kind, across, along, 110),
            false => put(*kind, along, across, 110),
        });
    }
    still
}

pub(super) fn motion(level: u8, rng: &mut Rng) -> Draft {
    let (way, dx, dy, opposite) = rng.pick(&WAYS);
    let all = kinds(level, 3, rng);
    let (secs, r) = (3, rng.int(100, 150));
    let lane = if level == 1 { rng.int(300, 700) } else { 320 };
    let track = path((dx, dy), lane, secs * FPS as usize);
    let still = match level {
        1 => Vec::new(),
        _ => bystanders(dx == 0, &all[1..], rng),
    };
    let name = put(all[0], 0, 0, r).name();
    let shown = if level == 1 {
        all[0].0.name().to_owned()
    } else {
        name.clone()
    };
    let asked = word(rng, WAY, &[("thing", &shown)]);
    let (start, end) = (track(0), track(secs * FPS as usize - 1));
    let parts = Parts {
        task: "direction",
        asked,
        trace: format!(
            "At first the {shown} is at the {}, at last at the {}. It moves {way}.",
            things::place(start.0, start.1),
            things::place(end.0, end.1)
        ),
        answer: way.into(),
        distractor: opposite.into(),
        reward_domain: "closed",
        factors: vec![("thing", name.clone()), ("way", way.into())],
        caption: format!("{} moves {way}.", capital(&a(&name))),
    };
    let back = ground(rng);
    finish(
        back,
        secs,
        move |i| {
            let (x, y) = track(i);
            let mut shown = still.clone();
            shown.push(put(all[0], x, y, r));
            shown
        },
        parts,
    )
}

const MOVER_COLOUR: &[&str] = &[
    "What colour is the thing that moves?",
    "Which colour does the moving thing have?",
];
const MOVER_SHAPE: &[&str] = &["Which shape moves?", "What shape is the thing that moves?"];

pub(super) fn which_moves(rng: &mut Rng) -> Draft {
    let (way, dx, dy, _) = rng.pick(&WAYS);
    let all = kinds(2, 2, rng);
    let track = path((dx, dy), 300, 6);
    let along = rng.int(300, 700);
    let still = if dx == 0 {
        put(all[1], 750, along, 130)
    } else {
        put(all[1], along, 750, 130)
    };
    let (task, wordings, names) = match rng.chance(1, 2) {
        true => ("mover_colour", MOVER_COLOUR, [all[0].1.name, all[1].1.name]),
        false => (
            "mover_shape",
            MOVER_SHAPE,
            [all[0].0.name(), all[1].0.name()],
        ),
    };
    let asked = word(rng, wordings, &[]);
    let (moving, resting) = (put(all[0], 0, 0, 0).name(), still.name());
    let parts = Parts {
        task,
        asked,
        trace: format!(
            "The {resting} stays where it is. The {moving} moves {way}. The answer is {}.",
            names[0]
        ),
        answer: names[0].into(),
        distractor: names[1].into(),
        reward_domain: "closed",
        factors: vec![("moves", moving.clone()), ("rests", resting.clone())],
        caption: format!(
            "{} moves {way}, {} rests.",
            capital(&a(&moving)),
            a(&resting)
        ),
    };
    let kind = all[0];
    let back = ground(rng);
    finish(
        back,
        3,
        move |i| {
            let (x, y) = track(i);
            vec![still, put(kind, x, y, 120)]
        },
        parts,
    )
}

const TURN: &[&str] = &[
    "The {thing} turns once. Where does it go after that: left, right, up or down?",
    "In which direction does the {thing} move at the end: left, right, up or down?",
];

/// A thing moves along one axis, then along the other.
pub(super) fn turns(rng: &mut Rng) -> Draft {
    let secs = 8;
    let one = rng.pick(&WAYS);
    let two = rng.pick(
        &WAYS
            .map(|w| w)
            .into_iter()
            .filter(|w| (w.1 == 0) != (one.1 == 0))
            .collect::<Vec<_>>(),
    );
    let kind = kinds(5, 1, rng)[0];
    let name = put(kind, 0, 0, 0).name();
    let asked = word(rng, TURN, &[("thing", &name)]);
    let parts = Parts {
        task: "turn",
        asked,
        trace: format!(
            "From 0 s to 4 s the {name} moves {}, from 4 s to {secs} s {}.",
            one.0, two.0
        ),
        answer: two.0.into(),
        distractor: two.3.into(),
        reward_domain: "closed",
        factors: vec![
            ("thing", name.clone()),
            ("ways", format!("{} {}", one.0, two.0)),
        ],
        caption: format!("{} moves {}, then {}.", capital(&a(&name)), one.0, two.0),
    };
    let back = ground(rng);
    finish(
        back,
        secs,
        move |i| {
            let (p, q) = (i.min(8) as i32, i.saturating_sub(8) as i32);
            let at = |d: i32, e: i32| 500 - 250 * d - 250 * e + d * 500 * p / 8 + e * 500 * q / 8;
            vec![put(kind, at(one.1, two.1), at(one.2, two.2), 110)]
        },
        parts,
    )
}
