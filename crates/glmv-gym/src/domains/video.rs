//! Short videos at two frames per second: motion, events, and when something happens. Everything
//! changes at whole seconds, because a temporal patch holds two frames.

use super::things::{self, Spot, Thing, ground, spots};
use crate::draft::{Draft, Scenes, a, capital, listed, near, word};
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
        (1, _) => motion(1, rng),
        (2, true) => which_moves(rng),
        (2, false) => events(2, rng),
        (3, true) => motion(3, rng),
        (3, false) => present(3, rng),
        (4, true) => present(4, rng),
        (4, false) => first(rng),
        (_, true) => [change, turns][rng.below(2)](rng),
        (_, false) => events(5, rng),
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

const WAYS: [(&str, i32, i32, &str); 4] = [
    ("left", -1, 0, "right"),
    ("right", 1, 0, "left"),
    ("up", 0, -1, "down"),
    ("down", 0, 1, "up"),
];

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

/// Places of a thing that goes through the middle line in equal steps.
fn path(way: (i32, i32), lane: i32, frames: usize) -> impl Fn(usize) -> (i32, i32) {
    move |i| {
        let along = -320 + 640 * i as i32 / (frames as i32 - 1).max(1);
        let one = |d: i32| if d == 0 { lane } else { 500 + d * along };
        (one(way.0), one(way.1))
    }
}

/// Free places in random order.
fn scattered(rng: &mut Rng, n: usize) -> Vec<Spot> {
    let mut places = spots(rng, n);
    rng.shuffle(&mut places);
    places
}

fn motion(level: u8, rng: &mut Rng) -> Draft {
    let (way, dx, dy, opposite) = rng.pick(&WAYS);
    let all = kinds(level, 3, rng);
    let (secs, r) = (3, rng.int(100, 150));
    let lane = if level == 1 { rng.int(300, 700) } else { 320 };
    let track = path((dx, dy), lane, secs * FPS as usize);
    let still: Vec<Thing> = match level {
        1 => Vec::new(),
        // In the half that the moving thing does not cross.
        _ => [(250, all[1]), (750, all[2])]
            .map(|(along, kind)| {
                let across = rng.int(720, 800);
                let (x, y) = if dx == 0 {
                    (across, along)
                } else {
                    (along, across)
                };
                put(kind, x, y, 110)
            })
            .to_vec(),
    };
    let name = put(all[0], 0, 0, r).name();
    let shown = if level == 1 {
        all[0].0.name().to_owned()
    } else {
        name.clone()
    };
    let asked = word(
        rng,
        &[
            "In which direction does the {thing} move: left, right, up or down?",
            "Where does the {thing} go: left, right, up or down?",
            "Does the {thing} move left, right, up or down?",
        ],
        &[("thing", &shown)],
    );
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

fn which_moves(rng: &mut Rng) -> Draft {
    let (way, dx, dy, _) = rng.pick(&WAYS);
    let all = kinds(2, 2, rng);
    let track = path((dx, dy), 300, 6);
    let along = rng.int(300, 700);
    let still = if dx == 0 {
        put(all[1], 750, along, 130)
    } else {
        put(all[1], along, 750, 130)
    };
    let by_colour = rng.chance(1, 2);
    let asked = match by_colour {
        true => word(
            rng,
            &[
                "What colour is the thing that moves?",
                "Which colour does the moving thing have?",
            ],
            &[],
        ),
        false => word(
            rng,
            &["Which shape moves?", "What shape is the thing that moves?"],
            &[],
        ),
    };
    let names = |k: usize| {
        if by_colour {
            all[k].1.name
        } else {
            all[k].0.name()
        }
    };
    let (moving, resting) = (put(all[0], 0, 0, 0).name(), still.name());
    let parts = Parts {
        task: if by_colour {
            "mover_colour"
        } else {
            "mover_shape"
        },
        asked,
        trace: format!(
            "The {resting} stays where it is. The {moving} moves {way}. The answer is {}.",
            names(0)
        ),
        answer: names(0).into(),
        distractor: names(1).into(),
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

/// A thing appears for a second at a time, with at least a second between.
fn events(level: u8, rng: &mut Rng) -> Draft {
    let secs = if level == 2 { 5 } else { 8 };
    let most = if level == 2 { 2 } else { 4 };
    let count = rng.int(1, most) as usize;
    let mut on: Vec<usize> = Vec::new();
    // The earliest seconds, then moved apart by the seconds that are left.
    let mut spare = secs - (2 * count - 1);
    let mut at = 0;
    for _ in 0..count {
        let skip = rng.below(spare + 1);
        spare -= skip;
        at += skip;
        on.push(at);
        at += 2;
    }
    let all = kinds(level, 2, rng);
    let places = scattered(rng, 2);
    let (flash, other) = (places[0].thing(all[0]), places[1].thing(all[1]));
    let rhythm: Vec<bool> = (0..secs).map(|_| level == 5 && rng.chance(1, 2)).collect();
    let name = flash.name();
    let asked = word(
        rng,
        &[
            "How often does the {thing} appear?",
            "How many times does a {thing} show up?",
        ],
        &[("thing", &name)],
    );
    let times: Vec<String> = on.iter().map(|s| format!("{s} s")).collect();
    let parts = Parts {
        task: "events",
        asked,
        trace: format!("The {name} appears at {}. That is {count}.", listed(&times)),
        answer: count.to_string(),
        distractor: near(rng, count as i32).to_string(),
        reward_domain: "counting",
        factors: vec![("thing", name.clone()), ("times", times.join(" "))],
        caption: format!(
            "{} appears for a second at {}.",
            capital(&a(&name)),
            listed(&times)
        ),
    };
    let back = ground(rng);
    finish(
        back,
        secs,
        move |i| {
            let second = i / FPS as usize;
            let mut shown = Vec::new();
            if on.contains(&second) {
                shown.push(flash);
            }
            if rhythm[second] {
                shown.push(other);
            }
            shown
        },
        parts,
    )
}

/// `1 - 3`, and an interval that has nothing in common with it.
fn spans(rng: &mut Rng, secs: usize) -> ((usize, usize), (usize, usize)) {
    let start = rng.below(secs - 1);
    let end = rng.int(
        start as i32 + 1,
        secs as i32 - usize::from(start == 0) as i32,
    ) as usize;
    let wrong = if start > 0 { (0, start) } else { (end, secs) };
    ((start, end), wrong)
}

fn present(level: u8, rng: &mut Rng) -> Draft {
    let secs = if level == 3 { 5 } else { 7 };
    let all = kinds(level, 3, rng);
    let places = scattered(rng, 3);
    let ((start, end), wrong) = spans(rng, secs);
    let target = places[0].thing(all[0]);
    let others: Vec<(Thing, (usize, usize))> = match level {
        3 => Vec::new(),
        _ => (1..3)
            .map(|k| (places[k].thing(all[k]), spans(rng, secs).0))
            .collect(),
    };
    let name = target.name();
    let asked = word(
        rng,
        &[
            "From when to when is the {thing} there? Answer in seconds, start - end.",
            "When is the {thing} visible? Give start - end in seconds.",
        ],
        &[("thing", &name)],
    );
    let mut told: Vec<String> = others
        .iter()
        .map(|(t, (s, e))| format!("{} from {s} s to {e} s", a(&t.name())))
        .collect();
    told.insert(0, format!("{} from {start} s to {end} s", a(&name)));
    let parts = Parts {
        task: "present",
        asked,
        trace: match end == secs {
            true => format!("The {name} appears at {start} s and stays to the end at {end} s."),
            false => format!("The {name} appears at {start} s and is gone at {end} s."),
        },
        answer: format!("{start} - {end}"),
        distractor: format!("{} - {}", wrong.0, wrong.1),
        reward_domain: "temporal_grounding",
        factors: vec![("thing", name), ("span", format!("{start}-{end}"))],
        caption: format!("A video of {secs} seconds: {}.", listed(&told)),
    };
    let back = ground(rng);
    finish(
        back,
        secs,
        move |i| {
            let second = i / FPS as usize;
            let there = |(s, e): (usize, usize)| (s..e).contains(&second);
            let mut shown: Vec<Thing> = others
                .iter()
                .filter(|(_, span)| there(*span))
                .map(|(t, _)| *t)
                .collect();
            if there((start, end)) {
                shown.push(target);
            }
            shown
        },
        parts,
    )
}

fn first(rng: &mut Rng) -> Draft {
    let secs = 7;
    let all = kinds(4, 2, rng);
    let places = scattered(rng, 2);
    let pair = [places[0].thing(all[0]), places[1].thing(all[1])];
    let early = rng.int(0, 3) as usize;
    let late = rng.int(early as i32 + 1, 5) as usize;
    let lead = rng.below(2);
    let starts = if lead == 0 {
        [early, late]
    } else {
        [late, early]
    };
    let names = pair.map(|t| t.name());
    let by_colour = |k: usize| pair[k].colour.name;
    let asked = word(
        rng,
        &[
            "Which colour appears first: {a} or {b}?",
            "Of {a} and {b}, which colour is seen first?",
        ],
        &[("a", by_colour(0)), ("b", by_colour(1))],
    );
    let parts = Parts {
        task: "first",
        asked,
        trace: format!(
            "The {} appears at {} s, the {} at {} s. {} comes first.",
            names[0],
            starts[0],
            names[1],
            starts[1],
            capital(by_colour(lead))
        ),
        answer: by_colour(lead).into(),
        distractor: by_colour(1 - lead).into(),
        reward_domain: "closed",
        factors: vec![
            ("things", names.join(" ")),
            ("starts", format!("{}-{}", starts[0], starts[1])),
        ],
        caption: format!(
            "{} appears at {} s, {} at {} s.",
            capital(&a(&names[0])),
            starts[0],
            a(&names[1]),
            starts[1]
        ),
    };
    let back = ground(rng);
    finish(
        back,
        secs,
        move |i| {
            let second = i / FPS as usize;
            (0..2)
                .filter(|k| second >= starts[*k])
                .map(|k| pair[k])
                .collect()
        },
        parts,
    )
}

/// A thing takes another colour.
fn change(rng: &mut Rng) -> Draft {
    let secs = 8;
    let all = kinds(5, 2, rng);
    let places = scattered(rng, 2);
    let when = rng.int(1, 7) as usize;
    let (target, other) = (places[0].thing(all[0]), places[1].thing(all[1]));
    let new = rng.other(colours(5), target.colour);
    let (shape, old) = (target.shape.name(), target.colour.name);
    let asked = word(
        rng,
        &[
            "From when to when is the {shape} {new}? Answer in seconds, start - end.",
            "When is the {shape} {new}? Give start - end in seconds.",
        ],
        &[("shape", shape), ("new", new.name)],
    );
    let parts = Parts {
        task: "change",
        asked,
        trace: format!(
            "The {shape} is {old} at first. At {when} s it becomes {}, to the end at {secs} s.",
            new.name
        ),
        answer: format!("{when} - {secs}"),
        distractor: format!("0 - {when}"),
        reward_domain: "temporal_grounding",
        factors: vec![
            ("shape", shape.into()),
            ("old", old.into()),
            ("new", new.name.into()),
            ("when", when.to_string()),
        ],
        caption: format!(
            "{} turns {} at {when} s.",
            capital(&a(&target.name())),
            new.name
        ),
    };
    let back = ground(rng);
    finish(
        back,
        secs,
        move |i| {
            let turned = Thing {
                colour: new,
                ..target
            };
            vec![
                if i / FPS as usize >= when {
                    turned
                } else {
                    target
                },
                other,
            ]
        },
        parts,
    )
}

/// A thing moves along one axis, then along the other.
fn turns(rng: &mut Rng) -> Draft {
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
    let asked = word(
        rng,
        &[
            "The {thing} turns once. Where does it go after that: left, right, up or down?",
            "In which direction does the {thing} move at the end: left, right, up or down?",
        ],
        &[("thing", &name)],
    );
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
