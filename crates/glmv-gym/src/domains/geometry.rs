//! Simple geometry on drawn figures: corners, perimeters, areas, angles, right triangles.

use super::things::ground;
use crate::draft::{Draft, Scenes, near, word};
use crate::draw::{Label, Rgb, Scene, turn};
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
        1 => corners(rng),
        2 => rectangle(rng),
        3 if rng.chance(1, 3) => line_angle(rng),
        3 => triangle_angle(rng),
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

fn corners(rng: &mut Rng) -> Figure {
    let figures = [
        (3, "triangle"),
        (4, "square"),
        (5, "pentagon"),
        (6, "hexagon"),
        (8, "octagon"),
    ];
    let (n, name) = rng.pick(&figures);
    let colour = paint(rng);
    let mut scene = Scene::new(ground(rng));
    let r = rng.int(280, 400);
    let centre = [rng.int(r + 40, 960 - r), rng.int(r + 40, 960 - r)];
    let start = rng.int(0, 359);
    let points: Vec<[i32; 2]> = (0..n)
        .map(|i| {
            let c = centre.map(i64::from);
            turn(c, i64::from(r), start + i * 360 / n).map(|v| v as i32)
        })
        .collect();
    scene.polygon(&points, colour.rgb);
    let asked = word(
        rng,
        &[
            "How many corners does the shape have?",
            "Count the corners.",
            "How many sides does the shape have?",
        ],
        &[],
    );
    Figure {
        task: "corners",
        asked,
        trace: format!("I go around the edge and count the corners. There are {n}: it is like a {name}. A closed shape has as many sides as corners.").replace("a octagon", "an octagon"),
        value: n,
        factors: vec![("corners", n.to_string()), ("colour", colour.name.into()), ("turn", (start / 30).to_string())],
        caption: format!("A {} shape with {n} corners.", colour.name),
        scene,
    }
}

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
        true => word(
            rng,
            &[
                "What is the perimeter of the rectangle?",
                "How long is the way around the rectangle?",
            ],
            &[],
        ),
        false => word(
            rng,
            &[
                "What is the area of the rectangle?",
                "How large is the area of the figure?",
            ],
            &[],
        ),
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

fn triangle_angle(rng: &mut Rng) -> Figure {
    let a = rng.int(6, 16) * 5;
    let b = rng.int(6, (150 - a) / 5).min(16) * 5;
    let c = 180 - a - b;
    let colour = paint(rng);
    let mut scene = Scene::new(ground(rng));
    let points = [[30, 930], [970, 930], [500, 60]];
    scene.polygon(&points, pale(colour));
    scene.path(&points, true, 24, colour.rgb);
    // Which corner is asked for; the figure is a sketch, not to scale.
    let hidden = rng.below(3);
    let places = [[265, 840], [735, 840], [500, 400]];
    let angles = match hidden {
        0 => [c, a, b],
        1 => [a, c, b],
        _ => [a, b, c],
    };
    for (i, at) in places.into_iter().enumerate() {
        let text = if i == hidden {
            "?".into()
        } else {
            format!("{}°", angles[i])
        };
        label(&mut scene, text, at);
    }
    let asked = word(
        rng,
        &[
            "How many degrees has the angle marked with a question mark?",
            "Find the missing angle of the triangle in degrees.",
        ],
        &[],
    );
    Figure {
        task: "triangle_angle",
        asked,
        trace: format!(
            "The angles of a triangle sum to 180. {a} + {b} = {}. 180 - {} = {c}.",
            a + b,
            a + b
        ),
        value: c,
        factors: vec![
            ("first", a.to_string()),
            ("second", b.to_string()),
            ("corner", hidden.to_string()),
        ],
        caption: format!("A triangle with angles of {a} and {b} degrees; the third is asked for."),
        scene,
    }
}

fn line_angle(rng: &mut Rng) -> Figure {
    let a = rng.int(8, 28) * 5;
    let colour = paint(rng);
    let mut scene = Scene::new(ground(rng));
    let end = turn([500, 780], 680, -a).map(|v| v as i32);
    scene.path(&[[500, 780], end], false, 26, colour.rgb);
    scene.path(&[[40, 780], [960, 780]], false, 26, INK);
    let at = |degrees: i32, far: i64| turn([500, 780], far, -degrees).map(|v| v as i32);
    label(
        &mut scene,
        format!("{a}°"),
        at(a / 2, if a < 60 { 420 } else { 300 }),
    );
    let rest = 180 - a;
    label(
        &mut scene,
        "?",
        at(a + rest / 2, if rest < 60 { 330 } else { 240 }),
    );
    let asked = word(
        rng,
        &[
            "The two angles lie on a straight line. How many degrees has the one marked with a question mark?",
            "Find the missing angle on the line in degrees.",
        ],
        &[],
    );
    Figure {
        task: "line_angle",
        asked,
        trace: format!("Angles on a straight line sum to 180. 180 - {a} = {rest}."),
        value: rest,
        factors: vec![("angle", a.to_string()), ("colour", colour.name.into())],
        caption: format!("A line with an angle of {a} degrees; the angle beside it is asked for."),
        scene,
    }
}

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
        true => word(
            rng,
            &[
                "How long is the longest side?",
                "Find the side marked with a question mark.",
            ],
            &[],
        ),
        false => word(
            rng,
            &[
                "What is the area of the triangle?",
                "How large is the area of the figure?",
            ],
            &[],
        ),
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
        factors: vec![("width", w.to_string()), ("height", h.to_string())],
        caption: format!("A right triangle with short sides {w} and {h}."),
        scene,
    }
}

/// A rectangle without a rectangle at its top right corner.
fn ell(rng: &mut Rng) -> Figure {
    let (w, h) = (rng.int(5, 12), rng.int(5, 12));
    let (cut_w, cut_h) = (rng.int(2, w - 2), rng.int(2, h - 2));
    let colour = paint(rng);
    let mut scene = Scene::new(ground(rng));
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
    let around = rng.chance(1, 2);
    let asked = match around {
        true => word(
            rng,
            &[
                "What is the perimeter of the figure?",
                "How long is the way around the figure?",
            ],
            &[],
        ),
        false => word(
            rng,
            &["What is the area of the figure?", "How large is the area?"],
            &[],
        ),
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
