//! Letters and digits in a grid, and lines of words and numbers.

use super::{cards, lesson};
use crate::domains::ocr;
use crate::domains::words::{LONG, MIDDLE, SHORT};
use crate::draft::{Draft, Scenes};
use crate::draw::{Face, Label, Rgb, Scene};
use crate::rng::Rng;

/// Letters that are not mistaken for a digit or for their own capital, and digits.
const ALONE: &str = "abdefghijkmnpqrtuyABDEFGHJKLMNPQRTUY23456789";

/// `Text: c a t; 407.`: letters one by one, digits together, lines in their order. One sign or a few to a
/// picture at level 1, above it in a grid or in lines.
pub(super) fn text(level: u8, rng: &mut Rng) -> Draft {
    if level == 1 {
        return cards(rng, card);
    }
    let (back, ink) = ocr::inks(level.min(3), rng);
    let (lines, scene) = match rng.chance(1, 2) {
        true => grid(level, back, ink, rng),
        false => page(level, back, ink, rng),
    };
    let told: Vec<String> = lines.iter().map(|line| spelled(line)).collect();
    lesson(
        rng,
        Scenes::Pictures(vec![scene]),
        format!("Text: {}.", told.join("; ")),
    )
}

/// `c a t`, `407`, `k 7`.
fn spelled(line: &str) -> String {
    let mut told = String::new();
    for c in line.chars() {
        if c.is_alphabetic() && !told.is_empty() {
            told.push(' ');
        }
        told.push(c);
    }
    told
}

/// One sign, or as large a page as a task of the easy level.
fn card(rng: &mut Rng) -> (Scene, String) {
    let (back, ink) = ocr::inks(2, rng);
    let (lines, scene) = match rng.chance(2, 3) {
        true => cells(1, 950, back, ink, rng),
        false => page(1, back, ink, rng),
    };
    let told: Vec<String> = lines.iter().map(|line| spelled(line)).collect();
    (scene, told.join("; "))
}

/// One sign in each cell.
fn grid(level: u8, back: Rgb, ink: Rgb, rng: &mut Rng) -> (Vec<String>, Scene) {
    let across = match level {
        ..=2 => rng.int(1, 2),
        3 => rng.int(2, 3),
        _ => rng.int(3, 4),
    };
    cells(across, 480, back, ink, rng)
}

/// Signs of up to `largest` thousandths of the picture's side.
fn cells(across: i32, largest: i32, back: Rgb, ink: Rgb, rng: &mut Rng) -> (Vec<String>, Scene) {
    let signs: Vec<char> = ALONE.chars().collect();
    let mut scene = Scene::new(back);
    let cell = 1000 / across;
    let mut lines = Vec::new();
    for row in 0..across {
        let mut line = String::new();
        for column in 0..across {
            let sign = rng.pick(&signs);
            let em = rng.int(cell * 45 / 100, cell * 95 / 100).min(largest);
            let slack = (cell - em) / 4;
            let mut centre = |i: i32| i * cell + cell / 2 + rng.int(-slack, slack);
            let at = [centre(column), centre(row)];
            let face = rng.pick(&Face::ALL);
            scene.label(Label::new(sign, at, em, ink).face(face));
            line.push(sign);
        }
        lines.push(line);
    }
    (lines, scene)
}

/// Words, numbers and strings without sense, as large as fits.
fn page(level: u8, back: Rgb, ink: Rgb, rng: &mut Rng) -> (Vec<String>, Scene) {
    let n = match level {
        1 => rng.int(1, 2),
        2 => rng.int(1, 3),
        _ => rng.int(2, 4),
    };
    let long = [3, 4, 5, 6, 8][usize::from(level - 1)];
    let lines: Vec<String> = (0..n).map(|_| piece(level, long, rng)).collect();
    let face = rng.pick(&Face::ALL);
    let widest = lines.iter().map(|line| face.width(line, 100)).max();
    let room = rng.int(620, 920) * 100 / widest.unwrap_or(1).max(1);
    let em = room.min(rng.int(330, 430)).min(820 / n);
    let mut scene = Scene::new(back);
    let pitch = (em * 125 / 100).min(900 / n);
    for (i, line) in lines.iter().enumerate() {
        let free = (960 - face.width(line, em)).max(0) / 2;
        let y = 500 + pitch * (2 * i as i32 - n + 1) / 2 + rng.int(-20, 20);
        let x = 500 + rng.int(-free, free);
        scene.label(Label::new(line, [x, y], em, ink).face(face));
    }
    if level >= 4 {
        scene.noise(rng.word(), 16);
    }
    (lines, scene)
}

/// A word, a number, or letters and digits at random; `long` signs at most, words apart.
fn piece(level: u8, long: i32, rng: &mut Rng) -> String {
    let words: &[&str] = match level {
        1 => &SHORT,
        2 => &MIDDLE,
        _ => rng.pick(&[&SHORT[..], &MIDDLE[..], &LONG[..]]),
    };
    let n = rng.int(1, long) as usize;
    let of = |from: &[char], rng: &mut Rng| (0..n).map(|_| rng.pick(from)).collect::<String>();
    let digits: Vec<char> = ('0'..='9').collect();
    let signs: Vec<char> = ALONE.chars().collect();
    match rng.below(4) {
        0 => rng.pick(words).to_owned(),
        1 => rng.pick(words).to_uppercase(),
        2 => of(&digits, rng),
        _ => of(&signs, rng),
    }
}
