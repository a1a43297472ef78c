//! Corners of regular figures, and missing angles.

use super::{Figure, label, paint, pale};
use crate::domains::things::ground;
use crate::draft::word;
use crate::draw::{Scene, turn};
use crate::palette::INK;
use crate::rng::Rng;

const CORNERS: &[&str] = &[
    "How many corners does the shape have?",
    "Count the corners.",
    "How many sides does the shape have?",
];

pub(super) fn corners(rng: &mut Rng) -> Figure {
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
    let asked = word(rng, CORNERS, &[]);
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

const ANGLE: &[&str] = &[
    "How many degrees has the angle marked with a question mark?",
    "Find the missing angle of the triangle in degrees.",
];

pub(super) fn triangle_angle(rng: &mut Rng) -> Figure {
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
    let asked = word(rng, ANGLE, &[]);
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

const LINE: &[&str] = &[
    "The two angles lie on a straight line. How many degrees has the one marked with a question mark?",
    "Find the missing angle on the line in degrees.",
];

pub(super) fn line_angle(rng: &mut Rng) -> Figure {
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
    let asked = word(rng, LINE, &[]);
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
