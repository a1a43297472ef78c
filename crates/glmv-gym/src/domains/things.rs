//! Coloured shapes in free places of a grid: what half of the domains are about.

use crate::draft::{a, listed};
use crate::draw::{Rgb, Scene, Shape};
use crate::palette::{COLOURS, Colour, GROUNDS, colours};
use crate::rng::Rng;

/// A shape with a colour at a place; thousandths of the side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Thing {
    pub shape: Shape,
    pub colour: Colour,
    pub x: i32,
    pub y: i32,
    pub r: i32,
    /// Its row in the grid, from 0.
    pub row: usize,
}

impl Thing {
    /// `red circle`.
    pub fn name(&self) -> String {
        format!("{} {}", self.colour.name, self.shape.name())
    }

    /// Draws it.
    pub fn draw(&self, scene: &mut Scene) {
        scene.shape(self.shape, self.x, self.y, self.r, self.colour.rgb);
    }

    /// The box around it, within the picture.
    pub fn bounds(&self) -> [i32; 4] {
        self.shape
            .bounds(self.x, self.y, self.r)
            .map(|v| v.clamp(0, 1000))
    }

    /// Same shape and colour.
    pub fn is_like(&self, other: &Self) -> bool {
        self.shape == other.shape && self.colour == other.colour
    }
}

/// The shapes a level uses.
pub(super) fn shapes(level: u8) -> &'static [Shape] {
    &Shape::ALL[..(usize::from(level) + 3).min(Shape::ALL.len())]
}

/// A shape and a colour of the level.
pub(super) fn kind(level: u8, rng: &mut Rng) -> (Shape, Colour) {
    (rng.pick(shapes(level)), rng.pick(colours(level)))
}

/// A light ground.
pub(super) fn ground(rng: &mut Rng) -> Rgb {
    rng.pick(&GROUNDS)
}

/// A free place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub x: i32,
    pub y: i32,
    pub r: i32,
    pub row: usize,
}

impl Spot {
    /// Somewhere in the `at`-th cell of a grid with `across` cells in a row.
    pub fn within(rng: &mut Rng, across: usize, at: usize) -> Self {
        let cell = 1000 / across as i32;
        let r = rng.int(cell * 28 / 100, cell * 40 / 100);
        let slack = cell / 2 - r - 10;
        let (row, column) = (at / across, at % across);
        let mut centre = |i: usize| i as i32 * cell + cell / 2 + rng.int(-slack, slack);
        Self {
            x: centre(column),
            y: centre(row),
            r,
            row,
        }
    }

    pub fn thing(self, (shape, colour): (Shape, Colour)) -> Thing {
        Thing {
            shape,
            colour,
            x: self.x,
            y: self.y,
            r: self.r,
            row: self.row,
        }
    }
}

/// `n` places that do not touch, in reading order: cells of the smallest square grid, moved and sized
/// at random within them.
pub(super) fn spots(rng: &mut Rng, n: usize) -> Vec<Spot> {
    let across = (1..).find(|g| g * g >= n).unwrap_or(1).max(2);
    let mut cells: Vec<usize> = (0..across * across).collect();
    rng.shuffle(&mut cells);
    cells.truncate(n);
    cells.sort_unstable();
    let place = |at: &usize| Spot::within(rng, across, *at);
    cells.iter().map(place).collect()
}

/// A kind in each place.
pub(super) fn placed(spots: &[Spot], kinds: &[(Shape, Colour)]) -> Vec<Thing> {
    let pairs = spots.iter().zip(kinds);
    pairs.map(|(spot, kind)| spot.thing(*kind)).collect()
}

/// A picture of things.
pub(super) fn scene(rng: &mut Rng, things: &[Thing]) -> Scene {
    let mut scene = Scene::new(ground(rng));
    for thing in things {
        thing.draw(&mut scene);
    }
    scene
}

/// `top left`, `centre`, `right`: a place in words.
pub(super) fn place(x: i32, y: i32) -> &'static str {
    let third = |v: i32| usize::from(v > 333) + usize::from(v > 667);
    [
        ["top left", "top", "top right"],
        ["left", "centre", "right"],
        ["bottom left", "bottom", "bottom right"],
    ][third(y)][third(x)]
}

/// `A red circle and 2 blue stars`: what there is, kinds in the order of their first thing.
pub(super) fn inventory(things: &[Thing]) -> String {
    let mut kinds: Vec<(Thing, usize)> = Vec::new();
    for thing in things {
        match kinds.iter_mut().find(|(kind, _)| kind.is_like(thing)) {
            Some((_, count)) => *count += 1,
            None => kinds.push((*thing, 1)),
        }
    }
    let parts: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| match count {
            1 => a(&kind.name()),
            n => format!("{n} {} {}", kind.colour.name, kind.shape.plural()),
        })
        .collect();
    listed(&parts)
}

/// Another colour of the whole palette.
pub(super) fn other_colour(rng: &mut Rng, not: Colour) -> Colour {
    rng.other(&COLOURS, not)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_touch_and_stay_inside() {
        let mut rng = Rng::of(&[3]);
        for n in 1..=16 {
            for _ in 0..20 {
                let spots = spots(&mut rng, n);
                assert_eq!(spots.len(), n);
                for (i, a) in spots.iter().enumerate() {
                    assert!(
                        a.x - a.r >= 5 && a.x + a.r <= 995 && a.y - a.r >= 5 && a.y + a.r <= 995
                    );
                    for b in &spots[i + 1..] {
                        let apart = (a.x - b.x).abs().max((a.y - b.y).abs());
                        assert!(apart > a.r + b.r, "{a:?} {b:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn words_for_places_and_things() {
        assert_eq!(
            (place(100, 100), place(500, 500), place(900, 500)),
            ("top left", "centre", "right")
        );
        let spot = Spot {
            x: 500,
            y: 500,
            r: 100,
            row: 0,
        };
        let red = spot.thing((Shape::Circle, COLOURS[0]));
        let blue = spot.thing((Shape::Star, COLOURS[1]));
        assert_eq!(
            inventory(&[red, blue, blue]),
            "a red circle and 2 blue stars"
        );
    }
}
