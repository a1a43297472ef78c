//! Reading: words and numbers in three faces, many sizes, angles, colours and grounds.

use super::things::ground;
use super::words::{LONG, MIDDLE, SHORT};
use crate::draft::{Draft, Scenes, listed, word};
use crate::draw::{Face, Label, Rgb, Scene};
use crate::palette::{COLOURS, INK};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "a word of 2 or 3 letters or a number up to 999, large and level",
    "a word of 4 or 5 letters or a number up to 99 999",
    "a word up to 8 letters in any case or a number with a point, turned up to 12 degrees, in colours",
    "two words or numbers on two lines, turned, dark or noisy ground",
    "three lines, or codes of letters and digits, turned up to 25 degrees, noise and stripes",
];

const ASK: &[&str] = &[
    "What does it say?",
    "Read the text.",
    "What is written in the picture?",
    "Write down the text that you see.",
];

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    let lines: Vec<String> = match level {
        1 => vec![piece(rng, &SHORT, 1, 999)],
        2 => vec![piece(rng, &MIDDLE, 100, 99_999)],
        3 => vec![long(rng)],
        4 => vec![piece(rng, &MIDDLE, 10, 9999), piece(rng, &SHORT, 10, 999)],
        _ if rng.chance(1, 2) => vec![code(rng), code(rng)],
        _ => vec![
            cased(rng, &SHORT),
            piece(rng, &MIDDLE, 10, 9999),
            cased(rng, &SHORT),
        ],
    };
    let (wording, question) = word(rng, ASK, &[]);
    let answer = lines.join(" ");
    let scene = page(level, rng, &lines);
    Draft {
        task: match level {
            1..=3 => "line",
            _ => "lines",
        },
        wording,
        question,
        trace: format!(
            "I read it letter by letter: {}. It says {}.",
            spelled(&lines),
            listed(&lines)
        ),
        distractor: disturbed(rng, &answer),
        answer: answer.clone(),
        reward_domain: "ocr",
        factors: vec![("text", answer.clone())],
        caption: format!("The text \"{answer}\"."),
        scenes: Scenes::Pictures(vec![scene]),
    }
}

/// A word or a number.
fn piece(rng: &mut Rng, words: &[&str], low: i32, high: i32) -> String {
    if rng.chance(3, 5) {
        return cased(rng, words);
    }
    // All lengths equally often.
    let digits = rng.int(low.to_string().len() as i32, high.to_string().len() as i32);
    let least = 10_i32.pow(digits as u32 - 1).max(low);
    rng.int(least, (10_i32.pow(digits as u32) - 1).min(high))
        .to_string()
}

fn cased(rng: &mut Rng, words: &[&str]) -> String {
    let word = rng.pick(words);
    if rng.chance(1, 3) {
        word.to_uppercase()
    } else {
        word.to_owned()
    }
}

fn long(rng: &mut Rng) -> String {
    match rng.below(5) {
        0 => format!("{}.{:02}", rng.int(1, 99), rng.int(0, 99)),
        1 => piece(rng, &MIDDLE, 1000, 999_999),
        2 => crate::draft::capital(rng.pick(&LONG)),
        _ => cased(rng, &LONG),
    }
}

/// Letters and digits that are not mistaken for each other.
fn code(rng: &mut Rng) -> String {
    let letters = [
        'A', 'B', 'C', 'E', 'F', 'H', 'K', 'L', 'M', 'N', 'P', 'R', 'T', 'X', 'Y',
    ];
    let mut text = String::new();
    for _ in 0..2 {
        text.push(rng.pick(&letters));
    }
    text.push('-');
    for _ in 0..3 {
        text.push(char::from(b'2' + rng.below(8) as u8));
    }
    text
}

/// `c, a, t`.
fn spelled(lines: &[String]) -> String {
    let each = |line: &String| {
        line.chars()
            .map(String::from)
            .collect::<Vec<_>>()
            .join(", ")
    };
    lines.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// No letter in common with the text, so that its similarity is nothing.
fn disturbed(rng: &mut Rng, text: &str) -> String {
    let free: Vec<char> = ('a'..='z')
        .chain('0'..='9')
        .filter(|c| !text.to_lowercase().contains(*c))
        .collect();
    text.chars()
        .filter(|c| *c != ' ')
        .map(|_| rng.pick(&free))
        .collect()
}

/// Ground and ink of a level.
pub(super) fn inks(level: u8, rng: &mut Rng) -> (Rgb, Rgb) {
    let dark = [
        INK,
        COLOURS[0].rgb,
        COLOURS[1].rgb,
        COLOURS[2].rgb,
        COLOURS[5].rgb,
        COLOURS[8].rgb,
    ];
    match level {
        1 => (ground(rng), INK),
        2 | 3 => (ground(rng), rng.pick(&dark)),
        _ if rng.chance(1, 2) => {
            let night = [[30, 34, 60], [20, 60, 44], [64, 30, 50], [40, 40, 44]];
            let light = [[255, 255, 255], [255, 236, 150], [180, 236, 255]];
            (rng.pick(&night), rng.pick(&light))
        }
        _ => (ground(rng), rng.pick(&dark)),
    }
}

/// Thin coloured stripes across the page.
fn stripes(scene: &mut Scene, rng: &mut Rng) {
    for _ in 0..3 {
        let (x, y) = (rng.int(0, 1000), rng.int(0, 1000));
        let (width, colour) = (rng.int(30, 90), rng.pick(&COLOURS).rgb);
        scene.stripe([0, y], [1000, x], width, colour, 50);
    }
}

fn page(level: u8, rng: &mut Rng, lines: &[String]) -> Scene {
    let (back, ink) = inks(level, rng);
    let mut scene = Scene::new(back);
    if level == 5 {
        stripes(&mut scene, rng);
    }
    let face = rng.pick(&Face::ALL);
    let most = [0, 0, 12, 15, 25][usize::from(level - 1)];
    let degrees = rng.int(-most, most);
    let n = lines.len() as i32;
    // As wide as fits when turned, at most a share of the height.
    let widest = lines
        .iter()
        .map(|l| face.width(l, 100))
        .max()
        .unwrap_or(1)
        .max(1);
    let room = rng.int(720, 880) - 4 * degrees.abs();
    let tallest = [430, 380, 340, 280, 230][usize::from(level - 1)];
    let em = (room * 100 / widest).min(tallest);
    let pitch = (em * 130 / 100).min(900 / n);
    let free = (1000 - face.width(lines.first().map_or("", String::as_str), em)) / 2;
    let drift = if n == 1 {
        (free - 4 * degrees.abs() - 40).clamp(0, 200)
    } else {
        0
    };
    let (x, y) = (
        500 + rng.int(-drift, drift),
        500 + rng.int(-drift, drift) / 2,
    );
    for (i, line) in lines.iter().enumerate() {
        let off = pitch * (2 * i as i32 - n + 1) / 2;
        let place = crate::draw::turn([i64::from(x), i64::from(y)], i64::from(off), 90 - degrees);
        scene.label(
            Label::new(line, place.map(|v| v as i32), em, ink)
                .face(face)
                .rising(degrees),
        );
    }
    if level >= 4 {
        scene.noise(rng.word(), if level == 4 { 14 } else { 24 });
    }
    scene
}
