//! Screens: where things are, what state they are in, and the next action, in the grammar of
//! `gui_computer`.

mod forms;
mod windows;

use super::gui_draw::{Bounds, Screen, middle};
use super::words::BUTTONS;
use crate::draft::{Draft, Scenes, listed, word};
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "click one of two large buttons",
    "click one of 3 or 4 buttons, or give its box",
    "type into a field, or click it first where it has no focus",
    "boxes to tick; rows of a list, which may have to be scrolled",
    "dialogs, double clicks and keys among fields and buttons",
];

const TITLES: [&str; 8] = [
    "Notes", "Files", "Mail", "Shop", "Music", "Photos", "Clock", "Chat",
];

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    match (level, rng.below(3)) {
        (1, _) => click(2, rng),
        (2, 0) => element(rng),
        (2, _) => {
            let n = rng.int(3, 4) as usize;
            click(n, rng)
        }
        (3, _) => forms::field(rng),
        (4, 0) => forms::ticked(rng),
        (4, 1) => forms::tick(rng),
        (4, _) => windows::list(rng),
        (_, 0) => windows::dialog(rng),
        (_, 1) => windows::folder(rng),
        (_, _) => forms::enter(rng),
    }
}

struct Parts {
    task: &'static str,
    asked: (usize, String),
    trace: String,
    answer: String,
    distractor: String,
    reward_domain: &'static str,
    factors: Vec<(&'static str, String)>,
    caption: String,
}

fn finish(screen: Screen, parts: Parts) -> Draft {
    Draft {
        task: parts.task,
        wording: parts.asked.0,
        question: parts.asked.1,
        trace: parts.trace,
        answer: parts.answer,
        distractor: parts.distractor,
        reward_domain: parts.reward_domain,
        factors: parts.factors,
        caption: parts.caption,
        scenes: Scenes::Pictures(vec![screen.scene]),
    }
}

fn click_at(action: &str, bounds: Bounds) -> String {
    let [x, y] = middle(bounds);
    format!("{action}(start_box='[{x}, {y}]')")
}

/// The same action on the other side of the screen.
fn click_elsewhere(action: &str, bounds: Bounds) -> String {
    let [x, y] = middle(bounds);
    format!(
        "{action}(start_box='[{}, {}]')",
        (x + 450) % 1000,
        (y + 450) % 1000
    )
}

/// Buttons in one column, or from three on in two.
fn buttons(rng: &mut Rng, n: usize) -> (Screen, Vec<(String, Bounds)>, &'static str) {
    let title = rng.pick(&TITLES);
    let mut screen = Screen::new(rng, title);
    let names = rng.sample(&BUTTONS, n);
    let side_by_side = n > 2 || rng.chance(1, 3);
    let (w, h) = if side_by_side { (390, 200) } else { (500, 210) };
    let mut found = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let (column, row) = if side_by_side { (i % 2, i / 2) } else { (0, i) };
        let x = if side_by_side {
            60 + 450 * column as i32
        } else {
            rng.int(80, 420)
        };
        let y = 220 + 360 * row as i32;
        let (x, y) = (x + rng.int(0, 40), y + rng.int(0, 130));
        let bounds = [x, y, x + w, y + h];
        screen.button(bounds, name);
        found.push(((*name).to_owned(), bounds));
    }
    (screen, found, title)
}

fn caption(title: &str, named: &[(String, Bounds)]) -> String {
    let names: Vec<String> = named
        .iter()
        .map(|(name, b)| format!("{name} at [{},{},{},{}]", b[0], b[1], b[2], b[3]))
        .collect();
    format!(
        "A window titled {title} with the buttons {}.",
        listed(&names)
    )
}

fn click(n: usize, rng: &mut Rng) -> Draft {
    let (screen, all, title) = buttons(rng, n);
    let (name, bounds) = all[rng.below(n)].clone();
    let asked = word(
        rng,
        &[
            "Click the {name} button.",
            "Press {name}.",
            "Which action clicks on {name}?",
        ],
        &[("name", &name)],
    );
    let [x, y] = middle(bounds);
    finish(
        screen,
        Parts {
            task: "click",
            asked,
            trace: format!(
                "The {name} button has its middle at {x} across and {y} down. I click there."
            ),
            answer: click_at("left_click", bounds),
            distractor: click_elsewhere("left_click", bounds),
            reward_domain: "gui_computer",
            factors: vec![
                ("name", name),
                ("at", format!("{}.{}", x / 150, y / 150)),
                ("of", n.to_string()),
            ],
            caption: caption(title, &all),
        },
    )
}

fn element(rng: &mut Rng) -> Draft {
    let n = rng.int(2, 4) as usize;
    let (screen, all, title) = buttons(rng, n);
    let (name, [l, t, r, b]) = all[rng.below(n)].clone();
    let asked = word(
        rng,
        &[
            "Give the box of the {name} button.",
            "Where is the {name} button? Answer with [[x1,y1,x2,y2]].",
        ],
        &[("name", &name)],
    );
    finish(
        screen,
        Parts {
            task: "element",
            asked,
            trace: format!(
                "The {name} button goes from {l} to {r} across and from {t} to {b} down."
            ),
            answer: format!("[[{l},{t},{r},{b}]]"),
            distractor: format!(
                "[[{},{},{},{}]]",
                (l + 500) % 900,
                (t + 500) % 900,
                (l + 500) % 900 + 60,
                (t + 500) % 900 + 60
            ),
            reward_domain: "gui_grounding",
            factors: vec![
                ("name", name),
                ("at", format!("{}.{}", l / 150, t / 150)),
                ("of", n.to_string()),
            ],
            caption: caption(title, &all),
        },
    )
}
