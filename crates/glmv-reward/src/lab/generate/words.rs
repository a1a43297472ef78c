//! Words, names, dates and text.

use super::{Task, maths};
use crate::lab::rng::Rng;

const THINGS: [&str; 16] = [
    "cat",
    "red car",
    "Eiffel Tower",
    "bicycle",
    "coffee",
    "blue",
    "umbrella",
    "stop sign",
    "Monday",
    "guitar",
    "north gate",
    "Toyota",
    "snow",
    "laptop",
    "penguin",
    "basketball",
];
const PLACES: [&str; 10] = [
    "Paris", "Nile", "Brazil", "Ottawa", "长江", "黄河", "Kenya", "Danube", "四川", "Peru",
];

/// A thing that is not `this`.
fn another(rng: &mut Rng, this: &str, from: &[&'static str]) -> &'static str {
    loop {
        let other = rng.pick(from);
        if other != this {
            return other;
        }
    }
}

/// A label.
pub fn label(rng: &mut Rng) -> Task {
    let thing = rng.pick(&THINGS);
    let (other, third) = (another(rng, thing, &THINGS), another(rng, thing, &THINGS));
    Task::new("What is shown?", thing, false)
        .right([
            thing.to_uppercase(),
            thing.to_lowercase(),
            format!("{thing}."),
            format!("\\text{{{thing}}}"),
            format!("**{thing}**"),
            format!("\"{thing}\""),
        ])
        .wrong([
            other.to_owned(),
            format!("{thing} or {other}"),
            format!("{other}; {thing}"),
            format!("{thing}, {other}, {third}"),
            format!("not a {thing}"),
        ])
}

/// A question about a picture.
pub fn visual(rng: &mut Rng) -> Task {
    match rng.int(0, 5) {
        0 => maths::choice(rng),
        1 => date(rng),
        2 => {
            let n = rng.int(2, 500);
            Task::new("Which number is on the bus?", n.to_string(), true)
                .right([format!("{n}.0"), format!("{n}."), format!("**{n}**")])
                .wrong([
                    rng.other(n * 2).to_string(),
                    format!("-{n}"),
                    format!("{n}{n}"),
                ])
        }
        _ => label(rng),
    }
}

fn date(rng: &mut Rng) -> Task {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (y, m, d) = (rng.int(1950, 2024), rng.int(1, 12), rng.int(13, 28));
    let name = MONTHS[m as usize - 1];
    Task::new("When was it taken?", format!("{y}-{m:02}-{d:02}"), true)
        .right([
            format!("{d} {name} {y}"),
            format!("{name} {d}, {y}"),
            format!("{y}年{m}月{d}日"),
            format!("{y}/{m:02}/{d:02}"),
        ])
        .wrong([
            format!("{y}-{m:02}-{:02}", d - 1),
            format!("{}-{m:02}-{d:02}", y + 1),
            format!("{y}"),
            format!("{name} {y}"),
        ])
}

/// A direction, an angle, a distance or a share.
pub fn spatial(rng: &mut Rng) -> Task {
    match rng.int(0, 4) {
        0 => maths::choice(rng),
        1 => {
            let (word, opposite) = *[
                ("left", "right"),
                ("above", "below"),
                ("north", "south"),
                ("yes", "no"),
            ]
            .get(rng.int(0, 3) as usize)
            .unwrap_or(&("left", "right"));
            Task::new("On which side?", word, false)
                .right([word.to_uppercase(), format!("{word}.")])
                .wrong([
                    opposite.to_owned(),
                    opposite.to_uppercase(),
                    format!("{word} or {opposite}"),
                    "purple".into(),
                ])
        }
        2 => {
            let n = rng.int(5, 95);
            Task::new("Which share?", format!("{n}%"), true)
                .right([
                    format!("{n} %"),
                    format!("0.{n:02}"),
                    format!("{n}\\%"),
                    format!("{n}/100"),
                ])
                .wrong([
                    format!("{}%", n + 4),
                    format!("{n}"),
                    format!("0.{:02}", n + 4),
                ])
        }
        3 => {
            let n = rng.int(10, 170);
            Task::new("Which angle?", format!("{n}°"), true)
                .right([
                    format!("{n}"),
                    format!("{n}^\\circ"),
                    format!("{n}.0°"),
                    format!("{n}^{{\\circ}}"),
                ])
                .wrong([
                    format!("{}°", n + 9),
                    format!("-{n}°"),
                    format!("{}", 180 + n),
                ])
        }
        _ => maths::distance(rng),
    }
}

/// A formula of chemistry.
pub fn formula(rng: &mut Rng) -> Task {
    const FORMULAS: [(&str, &str, &str); 6] = [
        ("H2O", "H₂O", "H_2O"),
        ("CO2", "CO₂", "CO_{2}"),
        ("H2SO4", "H₂SO₄", "H_2SO_4"),
        ("NH3", "NH₃", "NH_{3}"),
        ("CaCO3", "CaCO₃", "CaCO_3"),
        ("C6H12O6", "C₆H₁₂O₆", "C_6H_{12}O_6"),
    ];
    let at = rng.int(0, 5) as usize;
    let (plain, signs, latex) = FORMULAS[at];
    let (other, other_signs, _) = FORMULAS[(at + 1 + rng.int(0, 4) as usize) % 6];
    Task::new("Which substance is it?", plain, false)
        .right([
            signs.to_owned(),
            latex.to_owned(),
            format!("$\\mathrm{{{latex}}}$"),
            format!("\\ce{{{plain}}}"),
        ])
        .wrong([
            other.to_owned(),
            other_signs.to_owned(),
            plain.to_lowercase(),
            format!("{plain}2"),
            plain.chars().rev().collect(),
        ])
}

/// A genotype, a ratio or a term.
pub fn biology(rng: &mut Rng) -> Task {
    match rng.int(0, 2) {
        0 => {
            let forms = [
                ("AaBb", "bBAa", "aABb", "AABb"),
                ("AaBB", "BBaA", "aABB", "AaBb"),
                ("Dd", "dD", "Dd", "DD"),
                ("RrYy", "YyrR", "yYrR", "rryy"),
            ];
            let (truth, a, b, wrong) = forms[rng.int(0, 3) as usize];
            Task::new("Which genotype?", truth, false)
                .right([a, b])
                .wrong([
                    wrong.to_owned(),
                    wrong.to_lowercase() + "c",
                    truth.to_lowercase(),
                ])
        }
        1 => {
            let (a, b) = (rng.int(2, 15), rng.int(16, 30));
            Task::new("Which ratio?", format!("{a}:{b}"), false)
                .right([format!("{a} : {b}"), format!("{a}：{b}")])
                .wrong([
                    format!("{b}:{a}"),
                    format!("{a}:{}", b + 1),
                    format!("{}:{b}", a + 1),
                ])
        }
        _ => {
            let terms = [
                "mitosis",
                "meiosis",
                "osmosis",
                "ribosome",
                "enzyme",
                "叶绿体",
            ];
            let at = rng.int(0, 5) as usize;
            Task::new("Which process?", terms[at], false)
                .wrong([terms[(at + 1) % 6], terms[(at + 3) % 6]])
        }
    }
}

/// A name, a list of names, or a height.
pub fn geography(rng: &mut Rng) -> Task {
    let a = rng.pick(&PLACES);
    let b = another(rng, a, &PLACES);
    if rng.one_in(3) {
        let n = rng.int(1001, 8848);
        return Task::new("How high is it?", n.to_string(), true)
            .right([format!("{n}.0"), format!("{},{:03}", n / 1000, n % 1000)])
            .wrong([(n + rng.int(1, 99)).to_string(), format!("-{n}")]);
    }
    if rng.one_in(2) {
        return Task::new("Where is it?", a, false)
            .right([a.to_uppercase(), format!("{a}。"), a.to_lowercase()])
            .wrong([b.to_owned(), format!("{a} or {b}")]);
    }
    Task::new("Name both.", format!("{a}, {b}"), false)
        .right([
            format!("{b}, {a}"),
            format!("{a}、{b}"),
            format!("{b}；{a}"),
            format!("{}, {}", b.to_lowercase(), a.to_lowercase()),
        ])
        .wrong([
            a.to_owned(),
            b.to_owned(),
            format!("{a}, {b}, Atlantis"),
            format!("{a}, Atlantis"),
        ])
}

/// Text of a picture.
pub fn ocr(rng: &mut Rng, any_case: bool) -> Task {
    let mut text = String::new();
    let cjk = rng.one_in(3);
    for i in 0..rng.int(2, 9) {
        if i > 0 {
            text.push(' ');
        }
        for _ in 0..rng.int(2, 8) {
            let c = if cjk {
                0x4e00 + rng.int(0, 3000) as u32
            } else {
                u32::from(b'a') + rng.int(0, 25) as u32
            };
            text.push(char::from_u32(c).unwrap_or('x'));
        }
    }
    let reversed: String = text
        .chars()
        .rev()
        .map(|c| if c == ' ' { 'Q' } else { 'Z'.max(c) })
        .collect();
    let task = Task::new("Read the text.", text.clone(), false)
        .right([
            text.replace(' ', ""),
            text.replace(' ', "\n"),
            format!("  {text} "),
            text.replace(' ', "  "),
        ])
        .wrong([
            String::from("unreadable text 0"),
            "0123456789".repeat(3),
            format!(
                "{text} 0987654321 0987654321 {}",
                "0 1 2 3 4 5 6 7 8 9 ".repeat(12)
            ),
            reversed.chars().map(|_| '0').collect(),
        ]);
    if any_case && !cjk {
        task.right([text.to_uppercase()])
    } else {
        task
    }
}
