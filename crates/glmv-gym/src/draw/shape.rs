//! The shapes of the tasks as outlines, each within the circle of its radius.

use super::trig::turn;
use super::{Outline, Point};

/// A shape with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// A disc.
    Circle,
    /// A square that stands on a side.
    Square,
    /// A triangle that stands on a side.
    Triangle,
    /// A star of five points.
    Star,
    /// A rhombus that stands on a corner.
    Diamond,
    /// A plus sign.
    Cross,
    /// A disc with a hole.
    Ring,
    /// A heart.
    Heart,
}

impl Shape {
    /// Every shape, the easiest to tell apart first.
    pub const ALL: [Self; 8] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Star,
        Self::Cross,
        Self::Ring,
        Self::Heart,
        Self::Diamond,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Star => "star",
            Self::Diamond => "diamond",
            Self::Cross => "cross",
            Self::Ring => "ring",
            Self::Heart => "heart",
        }
    }

    /// What several are called.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Circle => "circles",
            Self::Square => "squares",
            Self::Triangle => "triangles",
            Self::Star => "stars",
            Self::Diamond => "diamonds",
            Self::Cross => "crosses",
            Self::Ring => "rings",
            Self::Heart => "hearts",
        }
    }

    /// Its outline around a centre; `r` is half of the width of what it fills, in fine units.
    pub(crate) fn outline(self, c: Point, r: i64) -> Outline {
        let at = |x: i64, y: i64| [c[0] + x * r / 1000, c[1] + y * r / 1000];
        match self {
            Self::Circle => vec![ring(c, r)],
            Self::Square => vec![vec![
                at(-890, -890),
                at(890, -890),
                at(890, 890),
                at(-890, 890),
            ]],
            Self::Triangle => vec![vec![at(0, -900), at(980, 800), at(-980, 800)]],
            Self::Star => vec![star(c, r)],
            Self::Diamond => vec![vec![at(0, -1000), at(720, 0), at(0, 1000), at(-720, 0)]],
            Self::Cross => vec![cross(at)],
            Self::Ring => {
                let mut hole = ring(c, r * 52 / 100);
                hole.reverse();
                vec![ring(c, r), hole]
            }
            Self::Heart => vec![heart(c, r)],
        }
    }

    /// The box around it: left, top, right, bottom in thousandths, for a centre and radius in
    /// thousandths.
    pub fn bounds(self, x: i32, y: i32, r: i32) -> [i32; 4] {
        let outline = self.outline(super::fine(x, y), i64::from(r) * super::FINE);
        let points = outline.iter().flatten();
        let mut bounds = [i64::MAX, i64::MAX, i64::MIN, i64::MIN];
        for [px, py] in points {
            bounds[0] = bounds[0].min(*px);
            bounds[1] = bounds[1].min(*py);
            bounds[2] = bounds[2].max(*px);
            bounds[3] = bounds[3].max(*py);
        }
        bounds.map(|v| (v + super::FINE / 2).div_euclid(super::FINE) as i32)
    }
}

fn ring(c: Point, r: i64) -> Vec<Point> {
    (0..60).map(|i| turn(c, r, i * 6)).collect()
}

fn star(c: Point, r: i64) -> Vec<Point> {
    let low = [c[0], c[1] + r / 12];
    (0..10)
        .map(|i| {
            turn(
                low,
                if i % 2 == 0 {
                    r * 106 / 100
                } else {
                    r * 45 / 100
                },
                i * 36 - 90,
            )
        })
        .collect()
}

fn cross(at: impl Fn(i64, i64) -> Point) -> Vec<Point> {
    let (w, l) = (330, 950);
    [
        (-w, -l),
        (w, -l),
        (w, -w),
        (l, -w),
        (l, w),
        (w, w),
        (w, l),
        (-w, l),
        (-w, w),
        (-l, w),
        (-l, -w),
        (-w, -w),
    ]
    .map(|(x, y)| at(x, y))
    .to_vec()
}

/// Two half discs and a point.
fn heart(c: Point, r: i64) -> Vec<Point> {
    let lobe = r * 52 / 100;
    let (left, right) = (
        [c[0] - lobe * 92 / 100, c[1] - r * 32 / 100],
        [c[0] + lobe * 92 / 100, c[1] - r * 32 / 100],
    );
    let mut points: Vec<Point> = (0..=22).map(|i| turn(left, lobe, 150 + i * 9)).collect();
    points.extend((0..=22).map(|i| turn(right, lobe, 192 + i * 9)));
    points.push([c[0], c[1] + r * 92 / 100]);
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_fill_their_circle_and_hardly_leave_it() {
        for shape in Shape::ALL {
            let [l, t, r, b] = shape.bounds(500, 500, 100);
            assert!(
                l >= 398 && t >= 390 && r <= 602 && b <= 610,
                "{shape:?}: {l} {t} {r} {b}"
            );
            assert!(r - l >= 140 && b - t >= 140, "{shape:?}: {l} {t} {r} {b}");
        }
    }
}
