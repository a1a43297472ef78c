//! Videos in which several things move or come and go.

use super::lesson;
use crate::domains::things::{Spot, Thing, ground};
use crate::draft::{Draft, Scenes};
use crate::draw::{Scene, Shape};
use crate::palette::COLOURS;
use crate::rng::Rng;

/// Frames per second, as in the tasks.
const FPS: usize = 2;

/// Motion up to level 3, then things that come and go.
pub(super) fn clip(level: u8, rng: &mut Rng) -> Draft {
    match level {
        1..=3 => motion(level, rng),
        _ => moments(level, rng),
    }
}

/// A thing in its lane, and its way along it: -1, 0 or 1.
struct Mover {
    thing: Thing,
    way: i32,
}

/// Things in lanes beside each other: `Video: red circle left, blue star rests.`, from the top or from
/// the left.
fn motion(level: u8, rng: &mut Rng) -> Draft {
    let (secs, upright) = (3, rng.chance(1, 2));
    let n = match level {
        1 => rng.int(1, 2),
        2 => rng.int(1, 3),
        _ => 3,
    };
    let movers: Vec<Mover> = (0..n)
        .map(|lane| {
            let across = match n {
                1 => rng.int(250, 750),
                _ => (1000 * lane + 500) / n + rng.int(-20, 20),
            };
            let r = rng.int(100, 150).min(440 / n);
            let rest = rng.int(250, 750);
            let way = if rng.chance(1, 5) {
                0
            } else {
                rng.pick(&[-1, 1])
            };
            let (x, y) = if upright {
                (across, rest)
            } else {
                (rest, across)
            };
            let thing = some(rng, Spot { x, y, r, row: 0 });
            Mover { thing, way }
        })
        .collect();
    let told: Vec<String> = movers
        .iter()
        .map(|m| format!("{} {}", m.thing.name(), way(upright, m.way)))
        .collect();
    let frames = secs * FPS;
    let along = |i: usize| -320 + 640 * i as i32 / (frames as i32 - 1);
    let at = |i: usize| -> Vec<Thing> {
        let moved = movers.iter().map(|m| match (m.way, upright) {
            (0, _) => m.thing,
            (way, true) => Thing {
                y: 500 + way * along(i),
                ..m.thing
            },
            (way, false) => Thing {
                x: 500 + way * along(i),
                ..m.thing
            },
        });
        moved.collect()
    };
    video(rng, frames, at, &told)
}

fn way(upright: bool, way: i32) -> &'static str {
    match (way, upright) {
        (0, _) => "rests",
        (1, true) => "down",
        (_, true) => "up",
        (1, false) => "right",
        (_, false) => "left",
    }
}

/// Things in a grid of four places, each there for a while: `Video: red circle 0 - 3, …`.
fn moments(level: u8, rng: &mut Rng) -> Draft {
    let secs = if level == 4 { 5 } else { 8 };
    let mut shown: Vec<(Thing, usize, usize)> = Vec::new();
    for at in 0..4 {
        let spot = Spot::within(rng, 2, at);
        let thing = some(rng, spot);
        let start = rng.below(secs - 1);
        let end = rng.int(start as i32 + 1, secs as i32) as usize;
        if rng.chance(3, 4) || at == 3 && shown.is_empty() {
            shown.push((thing, start, end));
        }
    }
    let told: Vec<String> = shown
        .iter()
        .map(|(thing, start, end)| format!("{} {start} - {end}", thing.name()))
        .collect();
    let at = |i: usize| -> Vec<Thing> {
        let there = shown
            .iter()
            .filter(|(_, start, end)| (*start..*end).contains(&(i / FPS)));
        there.map(|(thing, ..)| *thing).collect()
    };
    video(rng, secs * FPS, at, &told)
}

fn some(rng: &mut Rng, spot: Spot) -> Thing {
    spot.thing((rng.pick(&Shape::ALL), rng.pick(&COLOURS)))
}

fn video(rng: &mut Rng, frames: usize, at: impl Fn(usize) -> Vec<Thing>, told: &[String]) -> Draft {
    let back = ground(rng);
    let frame = |i: usize| {
        let mut scene = Scene::new(back);
        at(i).iter().for_each(|thing| thing.draw(&mut scene));
        scene
    };
    let scenes = Scenes::Video {
        frames: (0..frames).map(frame).collect(),
        fps: FPS as u32,
    };
    lesson(rng, scenes, format!("Video: {}.", told.join(", ")))
}
