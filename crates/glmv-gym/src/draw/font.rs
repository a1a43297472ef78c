//! Letters as outlines, from the fonts in `assets/fonts` (DejaVu; its licence lies beside them).

use super::trig::{cos, scaled, sin};
use super::{FINE, Outline, Point};
use std::sync::OnceLock;
use ttf_parser::OutlineBuilder;

/// A typeface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// Bold without serifs: labels.
    Sans,
    /// Every letter equally wide.
    Mono,
    /// With serifs.
    Serif,
}

/// Segments of a curve.
const SEGMENTS: i64 = 5;

impl Face {
    /// Every face.
    pub const ALL: [Self; 3] = [Self::Sans, Self::Mono, Self::Serif];

    fn parsed(self) -> Option<&'static ttf_parser::Face<'static>> {
        static FACES: OnceLock<[Option<ttf_parser::Face<'static>>; 3]> = OnceLock::new();
        let faces = FACES.get_or_init(|| {
            let files: [&[u8]; 3] = [
                include_bytes!("../../assets/fonts/DejaVuSans-Bold.ttf"),
                include_bytes!("../../assets/fonts/DejaVuSansMono.ttf"),
                include_bytes!("../../assets/fonts/DejaVuSerif.ttf"),
            ];
            files.map(|file| ttf_parser::Face::parse(file, 0).ok())
        });
        faces[self as usize].as_ref()
    }

    /// Width of a text in thousandths of the side, for letters of `em` thousandths.
    pub fn width(self, text: &str, em: i32) -> i32 {
        let Some(face) = self.parsed() else { return 0 };
        let sum: i64 = text.chars().map(|c| advance(face, c)).sum();
        (sum * i64::from(em) / i64::from(face.units_per_em())) as i32
    }

    /// The outlines of a text whose base line begins at `origin` (fine units) and rises by
    /// `degrees`, for letters of `em` thousandths.
    pub(super) fn outlines(self, text: &str, em: i32, origin: Point, degrees: i32) -> Vec<Outline> {
        let Some(face) = self.parsed() else {
            return Vec::new();
        };
        let mut pen = Pen {
            at: [0, 0],
            shift: 0,
            numerator: i64::from(em) * FINE,
            denominator: 2 * i64::from(face.units_per_em()),
            origin,
            degrees,
            outline: Vec::new(),
        };
        let mut letters = Vec::new();
        for c in text.chars() {
            if let Some(glyph) = face.glyph_index(c) {
                face.outline_glyph(glyph, &mut pen);
            }
            letters.push(std::mem::take(&mut pen.outline));
            pen.shift += 2 * advance(face, c);
        }
        letters
    }
}

fn advance(face: &ttf_parser::Face<'_>, c: char) -> i64 {
    let glyph = face.glyph_index(c);
    glyph.map_or(0, |g| i64::from(face.glyph_hor_advance(g).unwrap_or(0)))
}

/// Turns a glyph's curves into points of the scene. Coordinates are kept as whole halves of a font
/// unit, which is what the file holds.
struct Pen {
    at: [i64; 2],
    shift: i64,
    numerator: i64,
    denominator: i64,
    origin: Point,
    degrees: i32,
    outline: Outline,
}

/// Half font units of a coordinate.
fn halves(v: f32) -> i64 {
    (v * 2.0).round() as i64
}

impl Pen {
    fn place(&self, [x, y]: [i64; 2]) -> Point {
        let size = |v: i64| (v * self.numerator).div_euclid(self.denominator);
        let (x, y) = (size(x + self.shift), size(y));
        let (c, s) = (cos(self.degrees), sin(self.degrees));
        [
            self.origin[0] + scaled(x, c) - scaled(y, s),
            self.origin[1] - scaled(x, s) - scaled(y, c),
        ]
    }

    fn to(&mut self, at: [i64; 2]) {
        self.at = at;
        let point = self.place(at);
        if let Some(ring) = self.outline.last_mut() {
            ring.push(point);
        }
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        self.outline.push(Vec::new());
        self.to([halves(x), halves(y)]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.to([halves(x), halves(y)]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (a, b, c) = (self.at, [halves(x1), halves(y1)], [halves(x), halves(y)]);
        for i in 1..=SEGMENTS {
            let j = SEGMENTS - i;
            let mix = |k: usize| {
                (j * j * a[k] + 2 * i * j * b[k] + i * i * c[k]).div_euclid(SEGMENTS * SEGMENTS)
            };
            self.to([mix(0), mix(1)]);
        }
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (a, b) = (self.at, [halves(x1), halves(y1)]);
        let (c, d) = ([halves(x2), halves(y2)], [halves(x), halves(y)]);
        for i in 1..=SEGMENTS {
            let j = SEGMENTS - i;
            let mix = |k: usize| {
                (j * j * j * a[k] + 3 * i * j * j * b[k] + 3 * i * i * j * c[k] + i * i * i * d[k])
                    .div_euclid(SEGMENTS * SEGMENTS * SEGMENTS)
            };
            self.to([mix(0), mix(1)]);
        }
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_face_has_the_letters_of_the_tasks() {
        for face in Face::ALL {
            assert!(face.parsed().is_some(), "{face:?} is not readable");
            for c in ('!'..='~').chain(['×', '÷', '−', '°', '–']) {
                let drawn = face.outlines(&c.to_string(), 100, [0, 0], 0);
                assert!(drawn.iter().any(|o| !o.is_empty()), "{face:?} has no {c:?}");
            }
        }
    }

    #[test]
    fn widths_follow_size_and_text() {
        assert!(Face::Sans.width("WW", 100) > Face::Sans.width("ii", 100));
        assert_eq!(Face::Mono.width("WW", 100), Face::Mono.width("ii", 100));
        assert_eq!(Face::Mono.width("", 100), 0);
    }

    #[test]
    fn a_quarter_turn_rises() {
        let flat = Face::Sans.outlines("l", 100, [0, 0], 0);
        let up = Face::Sans.outlines("l", 100, [0, 0], 90);
        let span = |o: &Outline, k: usize| {
            let all = || o.iter().flatten().map(|p| p[k]);
            all().max().unwrap_or(0) - all().min().unwrap_or(0)
        };
        assert!((span(&flat[0], 1) - span(&up[0], 0)).abs() <= 2);
    }
}
