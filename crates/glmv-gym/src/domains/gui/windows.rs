//! Windows: a list that scrolls, a dialog, folders.

use super::{Parts, TITLES, click_at, finish};
use crate::domains::gui_draw::{Screen, middle};
use crate::domains::words::{BUTTONS, SHORT};
use crate::draft::{Draft, listed, word};
use crate::rng::Rng;

const OPEN: &[&str] = &[
    "Open Item {n}. What is the next action?",
    "Item {n} shall be chosen. What do you do first?",
];

/// Rows named by numbers: what is above or below the visible part can be told.
pub(super) fn list(rng: &mut Rng) -> Draft {
    let mut screen = Screen::new(rng, "List");
    let (first, total) = (rng.int(3, 14) as usize, 20);
    let rows: Vec<String> = (first..first + 4).map(|i| format!("Item {i}")).collect();
    let places = screen.list(&rows, first - 1, total);
    let kind = rng.below(3);
    let wanted = match kind {
        0 => first + rng.below(4),
        1 => first + 4 + rng.below(total - first - 3),
        _ => 1 + rng.below(first - 1),
    };
    let asked = word(rng, OPEN, &[("n", &wanted.to_string())]);
    let scroll = |direction: &str| {
        format!("scroll(start_box='[450, 550]', direction='{direction}', step=5)")
    };
    let seen = format!("I see the items {first} to {}.", first + 3);
    let (trace, answer, distractor) = match kind {
        0 => (
            format!(
                "{seen} Item {wanted} is row {} of them. I click it.",
                wanted - first + 1
            ),
            click_at("left_click", places[wanted - first]),
            scroll("down"),
        ),
        1 => (
            format!("{seen} Item {wanted} comes after them. I scroll down."),
            scroll("down"),
            scroll("up"),
        ),
        _ => (
            format!("{seen} Item {wanted} comes before them. I scroll up."),
            scroll("up"),
            scroll("down"),
        ),
    };
    finish(
        screen,
        Parts {
            task: "list",
            asked,
            trace,
            answer,
            distractor,
            reward_domain: "gui_computer",
            factors: vec![("first", first.to_string()), ("wanted", wanted.to_string())],
            caption: format!("A list that shows {}.", listed(&rows)),
        },
    )
}

pub(super) fn dialog(rng: &mut Rng) -> Draft {
    let title = rng.pick(&TITLES);
    let mut screen = Screen::new(rng, title);
    screen.button([80, 200, 420, 360], rng.pick(&BUTTONS));
    let name = rng.pick(&SHORT);
    let (x, y) = (rng.int(60, 120), rng.int(330, 380));
    screen.window([x, y, x + 820, y + 580], "Delete");
    screen.text(&format!("{name}?"), [x + 410, y + 225], 110);
    let (yes, no) = (
        [x + 60, y + 350, x + 380, y + 520],
        [x + 440, y + 350, x + 760, y + 520],
    );
    let flip = rng.chance(1, 2);
    let (yes, no) = if flip { (no, yes) } else { (yes, no) };
    screen.button(yes, "Yes");
    screen.button(no, "No");
    let keep = rng.chance(1, 2);
    let asked = match keep {
        true => word(
            rng,
            &["Keep {name}.", "{name} shall not be deleted."],
            &[("name", name)],
        ),
        false => word(
            rng,
            &["Delete {name}.", "{name} shall be removed."],
            &[("name", name)],
        ),
    };
    let (target, button) = if keep { (no, "No") } else { (yes, "Yes") };
    let [tx, ty] = middle(target);
    finish(
        screen,
        Parts {
            task: if keep { "keep" } else { "delete" },
            asked,
            trace: format!(
                "The dialog asks whether to delete {name}. The answer is {button}, at {tx} across and {ty} down."
            ),
            answer: click_at("left_click", target),
            distractor: click_at("left_click", if keep { yes } else { no }),
            reward_domain: "gui_computer",
            factors: vec![("name", name.into()), ("flip", flip.to_string())],
            caption: format!(
                "A dialog over the window {title} asks whether to delete {name}, with Yes and No."
            ),
        },
    )
}

pub(super) fn folder(rng: &mut Rng) -> Draft {
    let mut screen = Screen::new(rng, "Files");
    let names = rng.sample(&SHORT, 4);
    let mut places = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let (x, y) = (
            150 + 420 * (i as i32 % 2) + rng.int(0, 70),
            190 + 390 * (i as i32 / 2) + rng.int(0, 30),
        );
        let bounds = [x, y, x + 250, y + 190];
        screen.folder(bounds, name);
        places.push(bounds);
    }
    let at = rng.below(4);
    let name = names[at];
    let asked = word(
        rng,
        &[
            "Open the folder {name} with a double click.",
            "Double click the folder {name}.",
        ],
        &[("name", name)],
    );
    let [x, y] = middle(places[at]);
    finish(
        screen,
        Parts {
            task: "folder",
            asked,
            trace: format!(
                "The folder {name} has its middle at {x} across and {y} down. I double click it."
            ),
            answer: click_at("left_double_click", places[at]),
            distractor: click_at("left_click", places[at]),
            reward_domain: "gui_computer",
            factors: vec![("name", name.into()), ("at", at.to_string())],
            caption: format!("A window with the folders {}.", listed(&names)),
        },
    )
}
