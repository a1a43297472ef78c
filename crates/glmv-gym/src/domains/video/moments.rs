//! Moments: how often something appears, when it is there, what comes first, when it changes.

use super::{FPS, Parts, finish, kinds};
use crate::domains::things::{Spot, Thing, ground, spots};
use crate::draft::{Draft, a, capital, listed, near, word};
use crate::palette::colours;
use crate::rng::Rng;

/// Free places in random order.
fn scattered(rng: &mut Rng, n: usize) -> Vec<Spot> {
    let mut places = spots(rng, n);
    rng.shuffle(&mut places);
    places
}

const HOW_OFTEN: &[&str] = &[
    "How often does the {thing} appear?",
    "How many times does a {thing} show up?",
];

/// `count` seconds with at least one between: the earliest ones, moved apart by those that are left.
fn onsets(rng: &mut Rng, secs: usize, count: usize) -> Vec<usize> {
    let mut spare = secs - (2 * count - 1);
    let (mut at, mut on) = (0, Vec::new());
    for _ in 0..count {
        let skip = rng.below(spare + 1);
        spare -= skip;
        on.push(at + skip);
        at += skip + 2;
    }
    on
}

/// A thing appears for a second at a time, with at least a second between.
pub(super) fn events(level: u8, rng: &mut Rng) -> Draft {
    let secs = if level == 2 { 5 } else { 8 };
    let most = if level == 2 { 2 } else { 4 };
    let count = rng.int(1, most) as usize;
    let on = onsets(rng, secs, count);
    let all = kinds(level, 2, rng);
    let places = scattered(rng, 2);
    let (flash, other) = (places[0].thing(all[0]), places[1].thing(all[1]));
    let rhythm: Vec<bool> = (0..secs).map(|_| level == 5 && rng.chance(1, 2)).collect();
    let name = flash.name();
    let asked = word(rng, HOW_OFTEN, &[("thing", &name)]);
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

const WHEN: &[&str] = &[
    "From when to when is the {thing} there? Answer in seconds, start - end.",
    "When is the {thing} visible? Give start - end in seconds.",
];

pub(super) fn present(level: u8, rng: &mut Rng) -> Draft {
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
    let asked = word(rng, WHEN, &[("thing", &name)]);
    let tell = |t: &Thing, s: usize, e: usize| format!("{} from {s} s to {e} s", a(&t.name()));
    let mut told = vec![tell(&target, start, end)];
    told.extend(others.iter().map(|(t, (s, e))| tell(t, *s, *e)));
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

const FIRST: &[&str] = &[
    "Which colour appears first: {a} or {b}?",
    "Of {a} and {b}, which colour is seen first?",
];

pub(super) fn first(rng: &mut Rng) -> Draft {
    let secs = 7;
    let all = kinds(4, 2, rng);
    let places = scattered(rng, 2);
    let pair = [places[0].thing(all[0]), places[1].thing(all[1])];
    let early = rng.int(0, 3) as usize;
    let late = rng.int(early as i32 + 1, 5) as usize;
    let lead = rng.below(2);
    let mut starts = [early, late];
    starts.rotate_left(lead);
    let names = pair.map(|t| t.name());
    let by_colour = |k: usize| pair[k].colour.name;
    let asked = word(rng, FIRST, &[("a", by_colour(0)), ("b", by_colour(1))]);
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
            let begun = |k: &usize| i / FPS as usize >= starts[*k];
            (0..2).filter(begun).map(|k| pair[k]).collect()
        },
        parts,
    )
}

const CHANGE: &[&str] = &[
    "From when to when is the {shape} {new}? Answer in seconds, start - end.",
    "When is the {shape} {new}? Give start - end in seconds.",
];

/// A thing takes another colour.
pub(super) fn change(rng: &mut Rng) -> Draft {
    let secs = 8;
    let all = kinds(5, 2, rng);
    let places = scattered(rng, 2);
    let when = rng.int(1, 7) as usize;
    let (target, other) = (places[0].thing(all[0]), places[1].thing(all[1]));
    let new = rng.other(colours(5), target.colour);
    let (shape, old) = (target.shape.name(), target.colour.name);
    let asked = word(rng, CHANGE, &[("shape", shape), ("new", new.name)]);
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
            let turned = i / FPS as usize >= when;
            let colour = if turned { new } else { target.colour };
            vec![Thing { colour, ..target }, other]
        },
        parts,
    )
}
