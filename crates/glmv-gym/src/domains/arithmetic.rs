//! Sums that are written on the picture.

use super::things::ground;
use crate::draft::{Draft, Scenes, near, word};
use crate::draw::{Anchor, Face, Label, Scene};
use crate::palette::{COLOURS, INK};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "one-digit numbers, sum or difference up to 9",
    "sums and differences up to 20; a missing number",
    "two-digit sums and differences, also in columns; times tables",
    "two operations; two digits times one",
    "three numbers with brackets or precedence; division without remainder",
];

/// A sum: what is written, its value, and the steps to it.
struct Sum {
    task: &'static str,
    /// One line, or the lines of a column.
    lines: Vec<String>,
    value: i32,
    steps: String,
}

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    let sum = match level {
        1 => small(rng),
        2 if rng.chance(1, 4) => missing(rng),
        2 => pair(rng, 20, 1),
        3 if rng.chance(1, 3) => times(rng, 2, 9),
        3 => pair(rng, 99, 10),
        4 if rng.chance(1, 3) => times(rng, 11, 49),
        4 => chain(rng),
        _ => brackets(rng),
    };
    let missing = sum.task == "missing";
    let wordings: &[&str] = match missing {
        true => &[
            "Which number is missing?",
            "What belongs in place of the question mark?",
        ],
        false => &[
            "What is the result?",
            "Work out what is written.",
            "Calculate.",
            "What does this come to?",
        ],
    };
    let (wording, question) = word(rng, wordings, &[]);
    let written = sum.lines.join(" ");
    let scene = board(rng, &sum.lines, missing);
    Draft {
        task: sum.task,
        wording,
        question,
        trace: format!("It says {written}. {}", sum.steps),
        answer: sum.value.to_string(),
        distractor: near(rng, sum.value).to_string(),
        reward_domain: "math",
        factors: vec![("sum", written.clone())],
        caption: format!("The sum {written} is written on the picture."),
        scenes: Scenes::Pictures(vec![scene]),
    }
}

fn small(rng: &mut Rng) -> Sum {
    let plus = rng.chance(1, 2);
    let whole = rng.int(1, 9);
    let part = rng.int(0, whole);
    let (a, b, sign, value) = match plus {
        true => (part, whole - part, '+', whole),
        false => (whole, part, '-', whole - part),
    };
    Sum {
        task: "small",
        lines: vec![format!("{a} {sign} {b}")],
        value,
        steps: format!("{a} {sign} {b} = {value}."),
    }
}

fn missing(rng: &mut Rng) -> Sum {
    let whole = rng.int(3, 20);
    let known = rng.int(1, whole - 1);
    let value = whole - known;
    let lines = match rng.chance(1, 2) {
        true => vec![format!("{known} + ? = {whole}")],
        false => vec![format!("? + {known} = {whole}")],
    };
    Sum {
        task: "missing",
        lines,
        value,
        steps: format!("{whole} - {known} = {value}."),
    }
}

/// A sum or difference of two numbers from `low` to `high`.
fn pair(rng: &mut Rng, high: i32, low: i32) -> Sum {
    let column = high > 20 && rng.chance(1, 2);
    let task = if column { "column" } else { "line" };
    let laid = |a: i32, sign: char, b: i32| match column {
        true => vec![a.to_string(), format!("{sign} {b}")],
        false => vec![format!("{a} {sign} {b}")],
    };
    if rng.chance(1, 2) {
        let a = rng.int(low, high - low);
        let b = rng.int(low, high - a);
        let value = a + b;
        let steps = match high > 20 {
            true => format!(
                "Tens: {} + {} = {}. Ones: {} + {} = {}. Together {value}.",
                a / 10 * 10,
                b / 10 * 10,
                a / 10 * 10 + b / 10 * 10,
                a % 10,
                b % 10,
                a % 10 + b % 10
            ),
            false => format!("{a} + {b} = {value}."),
        };
        return Sum {
            task,
            lines: laid(a, '+', b),
            value,
            steps,
        };
    }
    let a = rng.int(low * 2, high);
    let b = rng.int(low, a - low);
    let value = a - b;
    let steps = match high > 20 {
        true => format!(
            "{a} - {} = {}. {} - {} = {value}.",
            b / 10 * 10,
            a - b / 10 * 10,
            a - b / 10 * 10,
            b % 10
        ),
        false => format!("{a} - {b} = {value}."),
    };
    Sum {
        task,
        lines: laid(a, '-', b),
        value,
        steps,
    }
}

fn times(rng: &mut Rng, low: i32, high: i32) -> Sum {
    let (a, b) = (rng.int(low, high), rng.int(2, 9));
    let value = a * b;
    let steps = match a > 10 {
        true => format!(
            "{} × {b} = {}. {} × {b} = {}. Together {value}.",
            a / 10 * 10,
            a / 10 * 10 * b,
            a % 10,
            a % 10 * b
        ),
        false => format!("{a} × {b} = {value}."),
    };
    Sum {
        task: "times",
        lines: vec![format!("{a} × {b}")],
        value,
        steps,
    }
}

fn chain(rng: &mut Rng) -> Sum {
    let (a, b) = (rng.int(5, 40), rng.int(2, 30));
    let c = rng.int(1, a + b);
    let value = a + b - c;
    Sum {
        task: "chain",
        lines: vec![format!("{a} + {b} - {c}")],
        value,
        steps: format!("{a} + {b} = {}. {} - {c} = {value}.", a + b, a + b),
    }
}

fn brackets(rng: &mut Rng) -> Sum {
    let (a, b, c) = (rng.int(2, 20), rng.int(2, 9), rng.int(2, 9));
    let (line, value, steps) = match rng.below(4) {
        0 => (
            format!("{a} + {b} × {c}"),
            a + b * c,
            format!(
                "First {b} × {c} = {}. {a} + {} = {}.",
                b * c,
                b * c,
                a + b * c
            ),
        ),
        1 => (
            format!("({a} + {b}) × {c}"),
            (a + b) * c,
            format!(
                "First {a} + {b} = {}. {} × {c} = {}.",
                a + b,
                a + b,
                (a + b) * c
            ),
        ),
        2 => (
            format!("{} ÷ {b} + {c}", a * b),
            a + c,
            format!("First {} ÷ {b} = {a}. {a} + {c} = {}.", a * b, a + c),
        ),
        _ => (
            format!("{b} × {c} - {}", (b * c).min(a)),
            b * c - (b * c).min(a),
            format!(
                "First {b} × {c} = {}. {} - {} = {}.",
                b * c,
                b * c,
                (b * c).min(a),
                b * c - (b * c).min(a)
            ),
        ),
    };
    Sum {
        task: "order",
        lines: vec![line],
        value,
        steps,
    }
}

/// The sum on a board: large, in a dark colour, somewhere near the middle.
fn board(rng: &mut Rng, lines: &[String], complete: bool) -> Scene {
    let mut scene = Scene::new(ground(rng));
    let dark = [
        INK,
        COLOURS[0].rgb,
        COLOURS[1].rgb,
        COLOURS[2].rgb,
        COLOURS[5].rgb,
    ];
    let (colour, face) = (rng.pick(&dark), rng.pick(&Face::ALL));
    if let [top, bottom] = lines {
        let em = rng.int(230, 280);
        let (x, y) = (rng.int(720, 820), rng.int(300, 380));
        let end = |text: &str, y: i32| {
            Label::new(text, [x, y], em, colour)
                .face(face)
                .anchored(Anchor::End)
        };
        scene.label(end(top, y));
        scene.label(end(bottom, y + em * 11 / 10));
        let line = y + em * 18 / 10;
        scene.line([x - em * 26 / 10, line], [x + 30, line], 24, colour);
        return scene;
    }
    let text = match complete {
        true => lines.concat(),
        false => format!("{} =", lines.concat()),
    };
    // As large as the width allows.
    let width = face.width(&text, 100).max(1);
    let em = (rng.int(800, 900) * 100 / width).min(300);
    let half = face.width(&text, em) / 2;
    let x = rng.int(half + 35, (965 - half).max(half + 35));
    let y = rng.int(250, 750);
    scene.label(Label::new(text, [x, y], em, colour).face(face));
    scene
}
