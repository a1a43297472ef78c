//! A picture before it has a size: what is drawn, in order, in thousandths of the side.

use super::raster::fill;
use super::trig::{cos, sin, turn};
use super::{FINE, Face, Outline, Point, Rgb, Shape, fine};
use crate::rng::Rng;
use image::{Rgb as Pixel, RgbImage};

/// Where a text lies at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle lies there.
    Middle,
    /// It ends there.
    End,
}

/// A text: at a place, so large, in a colour; by default in the sans face, level, around its middle.
#[derive(Debug, Clone)]
pub struct Label {
    text: String,
    at: [i32; 2],
    em: i32,
    colour: Rgb,
    face: Face,
    degrees: i32,
    anchor: Anchor,
}

impl Label {
    /// A text around a place; `em` is the size of its letters in thousandths.
    pub fn new(text: impl Into<String>, at: [i32; 2], em: i32, colour: Rgb) -> Self {
        Self {
            text: text.into(),
            at,
            em,
            colour,
            face: Face::Sans,
            degrees: 0,
            anchor: Anchor::Middle,
        }
    }

    /// In another face.
    #[must_use]
    pub fn face(self, face: Face) -> Self {
        Self { face, ..self }
    }

    /// Rising by some degrees.
    #[must_use]
    pub fn rising(self, degrees: i32) -> Self {
        Self { degrees, ..self }
    }

    /// Beginning or ending at its place.
    #[must_use]
    pub fn anchored(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    /// Where its base line begins, fine units. The middle of a digit's height lies at the place.
    fn origin(&self) -> Point {
        let em = i64::from(self.em) * FINE;
        let width = i64::from(self.face.width(&self.text, self.em)) * FINE;
        let back = match self.anchor {
            Anchor::Start => 0,
            Anchor::Middle => width / 2,
            Anchor::End => width,
        };
        let [x, y] = fine(self.at[0], self.at[1]);
        let down = em * 36 / 100;
        let (c, s) = (cos(self.degrees), sin(self.degrees));
        let one = super::trig::ONE;
        [
            x - back * c / one + down * s / one,
            y + back * s / one + down * c / one,
        ]
    }
}

#[derive(Debug, Clone)]
enum Op {
    Fill(Outline, Rgb, u8),
    Label(Label),
    Noise { seed: u64, strength: i32 },
}

/// What a picture shows; coordinates are thousandths of its side, from the top left corner.
#[derive(Debug, Clone)]
pub struct Scene {
    background: Rgb,
    ops: Vec<Op>,
}

impl Scene {
    /// An empty picture.
    pub fn new(background: Rgb) -> Self {
        Self {
            background,
            ops: Vec::new(),
        }
    }

    /// A shape around a centre; `r` is half of its width.
    pub fn shape(&mut self, shape: Shape, x: i32, y: i32, r: i32, colour: Rgb) {
        let outline = shape.outline(fine(x, y), i64::from(r) * FINE);
        self.ops.push(Op::Fill(outline, colour, 255));
    }

    /// A rectangle: left, top, right, bottom.
    pub fn rect(&mut self, [l, t, r, b]: [i32; 4], colour: Rgb) {
        self.polygon(&[[l, t], [r, t], [r, b], [l, b]], colour);
    }

    /// A rectangle with a border inside of it.
    pub fn panel(&mut self, bounds: [i32; 4], width: i32, border: Rgb, inside: Rgb) {
        let [l, t, r, b] = bounds;
        self.rect(bounds, border);
        self.rect([l + width, t + width, r - width, b - width], inside);
    }

    /// A polygon.
    pub fn polygon(&mut self, points: &[[i32; 2]], colour: Rgb) {
        let ring = points.iter().map(|p| fine(p[0], p[1])).collect();
        self.ops.push(Op::Fill(vec![ring], colour, 255));
    }

    /// A line of some width.
    pub fn line(&mut self, from: [i32; 2], to: [i32; 2], width: i32, colour: Rgb) {
        let (a, b) = (fine(from[0], from[1]), fine(to[0], to[1]));
        let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
        let length = (dx * dx + dy * dy).isqrt().max(1);
        let half = i64::from(width) * FINE / 2;
        let (nx, ny) = (-dy * half / length, dx * half / length);
        let ring = vec![
            [a[0] + nx, a[1] + ny],
            [b[0] + nx, b[1] + ny],
            [b[0] - nx, b[1] - ny],
            [a[0] - nx, a[1] - ny],
        ];
        self.ops.push(Op::Fill(vec![ring], colour, 255));
    }

    /// Lines from point to point; `closed` goes back to the first.
    pub fn path(&mut self, points: &[[i32; 2]], closed: bool, width: i32, colour: Rgb) {
        for pair in points.windows(2) {
            self.line(pair[0], pair[1], width, colour);
        }
        if let (true, [first, .., last]) = (closed, points) {
            self.line(*last, *first, width, colour);
        }
        for [x, y] in points {
            self.shape(Shape::Circle, *x, *y, width / 2, colour);
        }
    }

    /// A piece of a disc, clockwise from one angle to another, in degrees from the top.
    pub fn slice(&mut self, centre: [i32; 2], r: i32, degrees: [i32; 2], colour: Rgb) {
        let c = fine(centre[0], centre[1]);
        let mut ring = vec![c];
        ring.extend((degrees[0]..=degrees[1]).map(|d| turn(c, i64::from(r) * FINE, d - 90)));
        self.ops.push(Op::Fill(vec![ring], colour, 255));
    }

    /// A text.
    pub fn label(&mut self, label: Label) {
        self.ops.push(Op::Label(label));
    }

    /// A stripe of `alpha` in 255 over what was drawn so far.
    pub fn stripe(&mut self, from: [i32; 2], to: [i32; 2], width: i32, colour: Rgb, alpha: u8) {
        self.line(from, to, width, colour);
        if let Some(Op::Fill(_, _, a)) = self.ops.last_mut() {
            *a = alpha;
        }
    }

    /// Moves every value of every pixel drawn so far by up to `strength`.
    pub fn noise(&mut self, seed: u64, strength: i32) {
        self.ops.push(Op::Noise { seed, strength });
    }

    /// The picture, `side` pixels wide and high.
    pub fn render(&self, side: u32) -> RgbImage {
        let mut picture = RgbImage::from_pixel(side, side, Pixel(self.background));
        for op in &self.ops {
            match op {
                Op::Fill(outline, colour, alpha) => fill(&mut picture, outline, *colour, *alpha),
                Op::Label(label) => {
                    let origin = label.origin();
                    let letters = label
                        .face
                        .outlines(&label.text, label.em, origin, label.degrees);
                    for letter in letters {
                        fill(&mut picture, &letter, label.colour, 255);
                    }
                }
                Op::Noise { seed, strength } => add_noise(&mut picture, *seed, *strength),
            }
        }
        picture
    }
}

fn add_noise(picture: &mut RgbImage, seed: u64, strength: i32) {
    let mut rng = Rng::of(&[seed]);
    for pixel in picture.pixels_mut() {
        let by = rng.int(-strength, strength);
        for value in &mut pixel.0 {
            *value = (i32::from(*value) + by).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ink(picture: &RgbImage) -> usize {
        picture.pixels().filter(|p| p.0 != [255; 3]).count()
    }

    #[test]
    fn labels_stand_where_they_are_anchored() {
        for (anchor, left, right) in [(Anchor::Start, 0, 1), (Anchor::End, 1, 0)] {
            let mut scene = Scene::new([255; 3]);
            scene.label(Label::new("HHH", [500, 500], 120, [0; 3]).anchored(anchor));
            let picture = scene.render(100);
            let half = |from: u32| {
                let part = image::imageops::crop_imm(&picture, from, 0, 50, 100);
                ink(&part.to_image())
            };
            assert_eq!(
                (half(0) > 0, half(50) > 0),
                (left == 1, right == 1),
                "{anchor:?}"
            );
        }
    }

    #[test]
    fn the_same_scene_at_any_size_and_again() {
        let mut scene = Scene::new([255; 3]);
        scene.shape(Shape::Star, 300, 300, 200, [200, 0, 0]);
        scene.slice([700, 700], 200, [0, 90], [0, 0, 200]);
        scene.path(&[[100, 900], [500, 600]], false, 20, [0; 3]);
        let share = |side: u32| ink(&scene.render(side)) * 1000 / (side * side) as usize;
        assert!(
            share(56).abs_diff(share(224)) < 30,
            "{} {}",
            share(56),
            share(224)
        );
        assert_eq!(scene.render(84), scene.render(84));
        let plain = scene.render(84);
        scene.noise(5, 8);
        assert_ne!(scene.render(84), plain);
    }

    #[test]
    fn a_quarter_lies_to_the_right_of_the_top() {
        let mut scene = Scene::new([255; 3]);
        scene.slice([500, 500], 400, [0, 90], [0; 3]);
        let picture = scene.render(100);
        assert_eq!(picture.get_pixel(65, 35).0, [0; 3]);
        assert_eq!(picture.get_pixel(35, 35).0, [255; 3]);
        assert_eq!(picture.get_pixel(65, 65).0, [255; 3]);
    }
}
