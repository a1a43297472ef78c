//! Simple geometry on drawn figures: corners, perimeters, areas, angles, right triangles.

mod angles;

use super::things::ground;
use crate::draft::{Draft, Scenes, near, word};
use crate::draw::{Label, Rgb, Scene};
use crate::palette::{Colour, INK, colours};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "corners of a regular figure",
    "perimeter and area of a rectangle",
    "the missing angle of a triangle or on a line",
    "right triangles: area and longest side",
    "area and perimeter of an L",
];

const TRIPLES: [[i32; 3]; 8] = [
    [3, 4, 5],
    [6, 8, 10],
    [5, 12, 13],
    [9, 12, 15],
    [8, 15, 17],
    [12, 16, 20],
    [7, 24, 25],
    [15, 20, 25],
];

/// What the figures have in common.
struct Figure {
    task: &'static str,
    asked: (usize, String),
    trace: String,
    value: i32,
    factors: Vec<(&'static str, String)>,
    caption: String,
    scene: Scene,
}

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    let figure = match level {
        1 => angles::corners(rng),
        2 => rectangle(rng),
        3 if rng.chance(1, 3) => angles::line_angle(rng),
        3 => angles::triangle_angle(rng),
        4 => right_triangle(rng),
        _ => ell(rng),
    };
    Draft {
        task: figure.task,
        wording: figure.asked.0,
        question: figure.asked.1,
        trace: figure.trace,
        answer: figure.value.to_string(),
        distractor: near(rng, figure.value).to_string(),
        reward_domain: "math",
        factors: figure.factors,
        caption: figure.caption,
        scenes: Scenes::Pictures(vec![figure.scene]),
    }
}

fn label(scene: &mut Scene, text: impl ToString, at: [i32; 2]) {
    scene.label(Label::new(text.to_string(), at, 118, INK));
}

fn paint(rng: &mut Rng) -> Colour {
    rng.pick(colours(3))
}

/// The colour mixed with white.
fn pale(colour: Colour) -> Rgb {
    colour.rgb.map(|v| ((u16::from(v) + 3 * 255) / 4) as u8)
}

const PERIMETER: &[&str] = &[
    "What is the perimeter of the rectangle?",
    "How long is the way around the rectangle?",
];
const RECTANGLE: &[&str] = &[
    "What is the area of the rectangle?",
    "How large is the area of the figure?",
];

fn rectangle(rng: &mut Rng) -> Figure {
    let (w, h) = (rng.int(2, 12), rng.int(2, 12));
    let colour = paint(rng);
    let mut scene = Scene::new(ground(rng));
    // To scale, within bounds that keep both labels readable.
    let long = 620;
    let most = w.max(h);
    let (width, height) = ((long * w / most).max(220), (long * h / most).max(220));
    let (l, t) = ((800 - width) / 2, (820 - height) / 2);
    scene.panel([l, t, l + width, t + height], 22, colour.rgb, pale(colour));
    label(&mut scene, w, [l + width / 2, t + height + 90]);
    label(&mut scene, h, [l + width + 112, t + height / 2]);
    let around = rng.chance(1, 2);
    let asked = match around {
        true => word(rng, PERIMETER, &[]),
        false => word(rng, RECTANGLE, &[]),
    };
    let value = if around { 2 * (w + h) } else { w * h };
    Figure {
        task: if around { "perimeter" } else { "area" },
        asked,
        trace: match around {
            true => format!(
                "The sides are {w} and {h}. {w} + {h} = {}. 2 × {} = {value}.",
                w + h,
                w + h
            ),
            false => format!("The sides are {w} and {h}. {w} × {h} = {value}."),
        },
        value,
        factors: vec![("width", w.to_string()), ("height", h.to_string())],
        caption: format!("A {} rectangle with sides {w} and {h}.", colour.name),
        scene,
    }
}

const LONGEST: &[&str] = &[
    "How long is the longest side?",
    "Find the side marked with a question mark.",
];
const AREA: &[&str] = &[
    "What is the area of the triangle?",
    "How large is the area of the figure?",
];

fn right_triangle(rng: &mut Rng) -> Figure {
    let longest = rng.chance(1, 2);
    let [a, b, c] = match longest {
        true => rng.pick(&TRIPLES),
        false => [rng.int(2, 12), rng.int(1, 8) * 2, 0],
    };
    let (w, h) = if rng.chance(1, 2) { (a, b) } else { (b, a) };
    let colour = paint(rng);
    let mut scene = Scene::new(ground(rng));
    let most = w.max(h);
    let (width, height) = ((640 * w / most).max(300), (640 * h / most).max(300));
    let (l, b0) = ((1150 - width) / 2 - 40, (840 + height) / 2);
    let points = [[l, b0], [l + width, b0], [l, b0 - height]];
    scene.polygon(&points, pale(colour));
    scene.path(&points, true, 22, colour.rgb);
    scene.panel([l, b0 - 70, l + 70, b0], 14, colour.rgb, pale(colour));
    label(&mut scene, w, [l + width / 2, b0 + 90]);
    label(&mut scene, h, [l - 115, b0 - height / 2]);
    if longest {
        label(&mut scene, "?", [l + width / 2 + 90, b0 - height / 2 - 80]);
    }
    let asked = match longest {
        true => word(rng, LONGEST, &[]),
        false => word(rng, AREA, &[]),
    };
    let value = if longest { c } else { w * h / 2 };
    Figure {
        task: if longest { "longest" } else { "triangle_area" },
        asked,
        trace: match longest {
            true => format!(
                "The angle is right. {w} × {w} = {}, {h} × {h} = {}, together {} = {c} × {c}. The side is {c}.",
                w * w,
                h * h,
                c * c
            ),
            false => format!(
                "The angle is right. {w} × {h} = {}, and half of it is {value}.",
                w * h
            ),
        },
        value,
        factors: vec![
            ("width", w.to_string()),
            ("height", h.to_string()),
            ("colour", colour.name.into()),
        ],
        caption: format!("A right triangle with short sides {w} and {h}."),
        scene,
    }
}

const AROUND: &[&str] = &[
    "What is the perimeter of the figure?",
    "How long is the way around the figure?",
];
const INSIDE: &[&str] = &["What is the area of the figure?", "How large is the area?"];

/// The figure of [`ell`]: whole width and height, and those of the piece that is cut out.
fn ell_scene(back: Rgb, colour: Colour, [w, h]: [i32; 2], [cut_w, cut_h]: [i32; 2]) -> Scene {
    let mut scene = Scene::new(back);
    let (l, t, r, b) = (215, 160, 825, 790);
    // The notch is drawn where both pieces leave room for their labels.
    let (x, y) = (
        (r - 610 * cut_w / w).clamp(435, 605),
        (t + 630 * cut_h / h).clamp(380, 570),
    );
    let points = [[l, t], [x, t], [x, y], [r, y], [r, b], [l, b]];
    scene.polygon(&points, pale(colour));
    scene.path(&points, true, 22, colour.rgb);
    label(&mut scene, w, [(l + r) / 2, b + 95]);
    label(&mut scene, h, [l - 112, (t + b) / 2]);
    label(&mut scene, w - cut_w, [(l + x) / 2, t - 80]);
    label(&mut scene, h - cut_h, [r + 90, (y + b) / 2]);
    scene
}

/// A rectangle without a rectangle at its top right corner.
fn ell(rng: &mut Rng) -> Figure {
    let (w, h) = (rng.int(5, 12), rng.int(5, 12));
    let (cut_w, cut_h) = (rng.int(2, w - 2), rng.int(2, h - 2));
    let colour = paint(rng);
    let scene = ell_scene(ground(rng), colour, [w, h], [cut_w, cut_h]);
    let around = rng.chance(1, 2);
    let asked = match around {
        true => word(rng, AROUND, &[]),
        false => word(rng, INSIDE, &[]),
    };
    let value = if around {
        2 * (w + h)
    } else {
        w * h - cut_w * cut_h
    };
    Figure {
        task: if around { "ell_perimeter" } else { "ell_area" },
        asked,
        trace: match around {
            true => format!(
                "The way around is as long as around the whole rectangle {w} by {h}. {w} + {h} = {}. 2 × {} = {value}.",
                w + h,
                w + h
            ),
            false => format!(
                "The whole rectangle: {w} × {h} = {}. The missing corner: {w} - {} = {cut_w}, {h} - {} = {cut_h}, {cut_w} × {cut_h} = {}. {} - {} = {value}.",
                w * h,
                w - cut_w,
                h - cut_h,
                cut_w * cut_h,
                w * h,
                cut_w * cut_h
            ),
        },
        value,
        factors: vec![
            ("width", w.to_string()),
            ("height", h.to_string()),
            ("cut", format!("{cut_w}x{cut_h}")),
        ],
        caption: format!(
            "An L of {w} by {h} whose arms are {} wide and {} high.",
            w - cut_w,
            h - cut_h
        ),
        scene,
    }
}
