//! Mock screens: a window with a title, buttons, fields, boxes to tick, lists, dialogs.

use crate::draw::{Anchor, Face, Label, Rgb, Scene, Shape};
use crate::palette::INK;
use crate::rng::Rng;

/// The look of a screen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    desk: Rgb,
    window: Rgb,
    bar: Rgb,
    button: Rgb,
    text: Rgb,
}

const EDGE: Rgb = [120, 124, 132];
const FOCUS: Rgb = [20, 100, 230];

const THEMES: [Theme; 3] = [
    Theme {
        desk: [96, 140, 176],
        window: [244, 244, 246],
        bar: [52, 72, 100],
        button: [214, 220, 228],
        text: [20, 20, 24],
    },
    Theme {
        desk: [120, 150, 120],
        window: [252, 252, 250],
        bar: [40, 96, 70],
        button: [208, 230, 214],
        text: [20, 20, 24],
    },
    Theme {
        desk: [60, 60, 70],
        window: [238, 234, 244],
        bar: [90, 60, 120],
        button: [82, 62, 130],
        text: [255, 255, 255],
    },
];

/// Left, top, right, bottom in thousandths.
pub(super) type Bounds = [i32; 4];

/// The middle of a box.
pub(super) fn middle([l, t, r, b]: Bounds) -> [i32; 2] {
    [(l + r) / 2, (t + b) / 2]
}

/// A screen that is being drawn.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    pub scene: Scene,
    theme: Theme,
}

impl Screen {
    /// A window with a title that fills most of the screen.
    pub fn new(rng: &mut Rng, title: &str) -> Self {
        let theme = rng.pick(&THEMES);
        let mut screen = Self {
            scene: Scene::new(theme.desk),
            theme,
        };
        screen.window([25, 25, 975, 975], title);
        screen
    }

    /// A window over what is there.
    pub fn window(&mut self, bounds: Bounds, title: &str) {
        let [l, t, r, _] = bounds;
        self.scene.panel(bounds, 10, EDGE, self.theme.window);
        self.scene.rect([l, t, r, t + 130], self.theme.bar);
        let label = Label::new(title, [l + 35, t + 68], 92, [255; 3]);
        self.scene.label(label.anchored(Anchor::Start));
        self.scene
            .shape(Shape::Circle, r - 65, t + 65, 34, [226, 84, 72]);
    }

    /// A button.
    pub fn button(&mut self, bounds: Bounds, text: &str) {
        self.scene.panel(bounds, 10, EDGE, self.theme.button);
        let wide = Face::Sans.width(text, 100).max(1);
        let em = ((bounds[2] - bounds[0] - 40) * 100 / wide).min(140);
        self.scene
            .label(Label::new(text, middle(bounds), em, self.theme.text));
    }

    /// A field for text, with its name before it; a focused one has a blue border and a cursor.
    pub fn field(&mut self, bounds: Bounds, name: &str, content: &str, focused: bool) {
        let [l, _, _, _] = bounds;
        let y = middle(bounds)[1];
        let title = Label::new(name, [l - 25, y], 92, INK);
        self.scene.label(title.anchored(Anchor::End));
        let (width, edge) = if focused { (20, FOCUS) } else { (10, EDGE) };
        self.scene.panel(bounds, width, edge, [255; 3]);
        let text = Label::new(content, [l + 35, y], 92, INK).face(Face::Sans);
        self.scene.label(text.anchored(Anchor::Start));
        if focused {
            let x = l + 45 + Face::Sans.width(content, 92);
            self.scene.line([x, y - 45], [x, y + 45], 16, FOCUS);
        }
    }

    /// A box to tick with its name after it; the bounds are those of the box.
    pub fn tick(&mut self, bounds: Bounds, name: &str, ticked: bool) {
        let [l, t, r, b] = bounds;
        self.scene.panel(bounds, 14, EDGE, [255; 3]);
        if ticked {
            let points = [
                [l + 22, (t + b) / 2],
                [(l + r) / 2 - 5, b - 24],
                [r - 18, t + 24],
            ];
            self.scene.path(&points, false, 26, [16, 130, 50]);
        }
        let label = Label::new(name, [r + 35, (t + b) / 2], 100, INK);
        self.scene.label(label.anchored(Anchor::Start));
    }

    /// Rows of a list with a scroll bar that shows the part from `first` of `total`.
    pub fn list(&mut self, rows: &[String], first: usize, total: usize) -> Vec<Bounds> {
        let height = 760 / rows.len().max(1) as i32;
        let mut bounds = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let top = 175 + height * i as i32;
            let place = [50, top, 850, top + height - 14];
            self.scene.rect(
                place,
                if i % 2 == 0 {
                    [255; 3]
                } else {
                    [226, 230, 238]
                },
            );
            let label = Label::new(row, [85, middle(place)[1]], 105, INK);
            self.scene.label(label.anchored(Anchor::Start));
            bounds.push(place);
        }
        let (track, share) = ([880, 175, 950, 925], |n: usize| {
            750 * n as i32 / total.max(1) as i32
        });
        self.scene.panel(track, 8, EDGE, [250; 3]);
        let top = 175 + share(first);
        self.scene.rect(
            [888, top + 8, 942, (top + share(rows.len())).min(925) - 8],
            EDGE,
        );
        bounds
    }

    /// A line of text.
    pub fn text(&mut self, text: &str, at: [i32; 2], em: i32) {
        self.scene.label(Label::new(text, at, em, INK));
    }

    /// A folder with a name under it; the bounds are those of the picture.
    pub fn folder(&mut self, bounds: Bounds, name: &str) {
        let [l, t, r, b] = bounds;
        self.scene
            .rect([l, t, l + (r - l) / 2, t + 40], [206, 150, 30]);
        self.scene.rect([l, t + 30, r, b], [244, 190, 60]);
        self.scene
            .label(Label::new(name, [(l + r) / 2, b + 60], 92, INK));
    }
}
