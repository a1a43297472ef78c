//! Charts as scenes: bars, a line, a pie.

use crate::draw::{Anchor, Face, Label, Rgb, Scene, Shape, turn};
use crate::palette::{Colour, FAINT, INK};

/// What a chart shows.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// Names or years, from left to right.
    pub labels: Vec<String>,
    /// One value each.
    pub values: Vec<i32>,
    /// One colour each.
    pub colours: Vec<Colour>,
    /// Step between the lines of the axis; `None` for none.
    pub step: Option<i32>,
    /// Values stand at the bars or slices.
    pub printed: bool,
}

/// The highest value; a line needs room above for its dot and its number.
const TOP: i32 = 185;
/// Zero.
const BASE: i32 = 795;

impl Chart {
    fn highest(&self) -> i32 {
        let most = self.values.iter().copied().max().unwrap_or(1).max(1);
        match self.step {
            Some(step) => (most + step - 1) / step * step,
            None => most,
        }
    }

    fn height(&self, value: i32) -> i32 {
        BASE - (BASE - TOP) * value / self.highest()
    }

    fn left(&self) -> i32 {
        if self.step.is_some() { 170 } else { 40 }
    }

    /// Middle of the `i`-th of the columns.
    fn middle(&self, i: usize) -> i32 {
        let n = self.labels.len().max(1) as i32;
        self.left() + (980 - self.left()) * (2 * i as i32 + 1) / (2 * n)
    }

    /// Many long names stand in two rows.
    fn staggered(&self) -> bool {
        self.labels.len() > 3 && self.labels.iter().any(|l| l.len() > 2)
    }

    fn label_em(&self) -> i32 {
        let n = self.labels.len().max(1) as i32;
        let most = self
            .labels
            .iter()
            .map(String::len)
            .max()
            .unwrap_or(1)
            .max(2) as i32;
        let rows = if self.staggered() { 2 } else { 1 };
        ((960 - self.left()) * 100 * rows / n / (most * 76)).clamp(54, 150 - 66 * (rows - 1))
    }

    fn axes(&self, scene: &mut Scene) {
        if let Some(step) = self.step {
            for value in (0..=self.highest()).step_by(step as usize) {
                let y = self.height(value);
                scene.line([self.left(), y], [980, y], 8, FAINT);
                let text = Label::new(value.to_string(), [self.left() - 20, y], 84, INK);
                scene.label(text.anchored(Anchor::End));
            }
        }
    }

    fn names(&self, scene: &mut Scene) {
        scene.line([self.left() - 6, BASE], [985, BASE], 14, INK);
        for (i, label) in self.labels.iter().enumerate() {
            let y = match (self.staggered(), i % 2) {
                (false, _) => 900,
                (true, 0) => 866,
                (true, _) => 942,
            };
            let half = Face::Sans.width(label, self.label_em()) / 2;
            let x = self.middle(i).clamp(half + 5, (995 - half).max(half + 5));
            scene.label(Label::new(label, [x, y], self.label_em(), INK));
        }
    }

    /// Bars.
    pub fn bars(&self, ground: Rgb) -> Scene {
        let mut scene = Scene::new(ground);
        self.axes(&mut scene);
        let half = (980 - self.left()) * 32 / 100 / self.labels.len().max(1) as i32;
        for (i, value) in self.values.iter().enumerate() {
            let (x, y) = (self.middle(i), self.height(*value));
            scene.rect([x - half, y, x + half, BASE], self.colours[i].rgb);
            if self.printed {
                let em = self.label_em().clamp(90, 150);
                scene.label(Label::new(value.to_string(), [x, y - 12 - em / 2], em, INK));
            }
        }
        self.names(&mut scene);
        scene
    }

    /// A line with a dot at each value.
    pub fn line(&self, ground: Rgb) -> Scene {
        let mut scene = Scene::new(ground);
        self.axes(&mut scene);
        let points: Vec<[i32; 2]> = self
            .values
            .iter()
            .enumerate()
            .map(|(i, v)| [self.middle(i), self.height(*v)])
            .collect();
        let colour = self.colours[0].rgb;
        scene.path(&points, false, 20, colour);
        for (i, [x, y]) in points.iter().enumerate() {
            scene.shape(Shape::Circle, *x, *y, 32, colour);
            if self.printed {
                scene.label(Label::new(
                    self.values[i].to_string(),
                    [*x, y - 88],
                    95,
                    INK,
                ));
            }
        }
        self.names(&mut scene);
        scene
    }

    /// A pie whose values are percent, with the names beside their colours underneath.
    pub fn pie(&self, ground: Rgb) -> Scene {
        let mut scene = Scene::new(ground);
        let centre = [500, 355];
        let mut before = 0;
        for (i, value) in self.values.iter().enumerate() {
            let angles = [before * 360 / 100, (before + value) * 360 / 100];
            scene.slice(centre, 335, angles, self.colours[i].rgb);
            before += value;
        }
        before = 0;
        for (i, value) in self.values.iter().enumerate() {
            let edge = turn(centre.map(i64::from), 335, before * 360 / 100 - 90).map(|v| v as i32);
            scene.line(centre, edge, 12, [255; 3]);
            if self.printed {
                let middle = (2 * before + value) * 180 / 100 - 90;
                let at = turn(centre.map(i64::from), 225, middle).map(|v| v as i32);
                let dark = self.colours[i]
                    .rgb
                    .iter()
                    .map(|v| i32::from(*v))
                    .sum::<i32>()
                    < 400;
                let ink = if dark { [255; 3] } else { INK };
                scene.label(Label::new(value.to_string(), at, 100, ink));
            }
            before += value;
        }
        for (i, label) in self.labels.iter().enumerate() {
            let (x, y) = (60 + 480 * (i as i32 % 2), 760 + 120 * (i as i32 / 2));
            scene.rect([x, y, x + 90, y + 90], self.colours[i].rgb);
            let text = Label::new(label, [x + 115, y + 45], 105, INK);
            scene.label(text.anchored(Anchor::Start));
        }
        scene
    }
}
