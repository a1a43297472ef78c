//! Forms: fields, boxes to tick, the Enter key.

use super::{Parts, TITLES, click_at, click_elsewhere, finish};
use crate::domains::gui_draw::{Bounds, Screen, middle};
use crate::domains::words::{BUTTONS, FIELDS, MIDDLE, SHORT};
use crate::draft::{Draft, listed, word};
use crate::rng::Rng;

const FILL: &[&str] = &[
    "Type {text} into the {name} field. What is the next action?",
    "The {name} field shall say {text}. What do you do first?",
];

pub(super) fn field(rng: &mut Rng) -> Draft {
    let title = rng.pick(&TITLES);
    let mut screen = Screen::new(rng, title);
    let names = rng.sample(&FIELDS, 2);
    let focus = rng.below(3);
    let (x, y) = (rng.int(345, 400), rng.int(185, 250));
    let gap = rng.int(195, 225);
    let places = [0, 1].map(|row| [x, y + gap * row, 935, y + gap * row + 160]);
    for (i, name) in names.iter().enumerate() {
        screen.field(places[i], name, "", focus == i);
    }
    let button = rng.pick(&BUTTONS);
    screen.button([320, 700, 680, 890], button);
    let wanted = rng.below(2);
    let (name, text) = (names[wanted], rng.pick(&SHORT));
    let asked = word(rng, FILL, &[("text", text), ("name", name)]);
    let ready = focus == wanted;
    let typed = format!("type(content='{text}')");
    let click = click_at("left_click", places[wanted]);
    let [x, y] = middle(places[wanted]);
    finish(
        screen,
        Parts {
            task: "field",
            asked,
            trace: match ready {
                true => format!(
                    "The {name} field has a blue border and a cursor: it has the focus. I type {text}."
                ),
                false => format!(
                    "The {name} field has no blue border: it lacks the focus. I click its middle at {x} across and {y} down."
                ),
            },
            answer: if ready { typed.clone() } else { click.clone() },
            distractor: if ready { click } else { typed },
            reward_domain: "gui_computer",
            factors: vec![
                ("name", name.into()),
                ("text", text.into()),
                ("focus", focus.to_string()),
                ("at", wanted.to_string()),
            ],
            caption: format!(
                "A window titled {title} with the fields {} and the button {button}.",
                listed(&names)
            ),
        },
    )
}

fn options(rng: &mut Rng) -> (Screen, Vec<(&'static str, Bounds)>, usize) {
    let title = rng.pick(&TITLES);
    let mut screen = Screen::new(rng, title);
    let names = rng.sample(&MIDDLE, 3);
    let on = rng.below(3);
    let mut found = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let top = 215 + 240 * i as i32 + rng.int(0, 50);
        let bounds = [90, top, 220, top + 130];
        screen.tick(bounds, name, i == on);
        found.push((*name, bounds));
    }
    (screen, found, on)
}

fn options_caption(all: &[(&str, Bounds)], on: usize) -> String {
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    format!(
        "Boxes to tick named {}; {} is ticked.",
        listed(&names),
        all[on].0
    )
}

pub(super) fn ticked(rng: &mut Rng) -> Draft {
    let (screen, all, on) = options(rng);
    let asked = word(
        rng,
        &[
            "Which option is ticked?",
            "Name the option whose box is ticked.",
        ],
        &[],
    );
    let name = all[on].0;
    finish(
        screen,
        Parts {
            task: "ticked",
            asked,
            trace: format!(
                "The tick is in box {} from the top. Its name is {name}.",
                on + 1
            ),
            answer: name.into(),
            distractor: all[(on + 1) % 3].0.into(),
            reward_domain: "closed",
            factors: vec![("name", name.into()), ("at", on.to_string())],
            caption: options_caption(&all, on),
        },
    )
}

pub(super) fn tick(rng: &mut Rng) -> Draft {
    let (screen, all, on) = options(rng);
    let (name, bounds) = all[(on + 1 + rng.below(2)) % 3];
    let asked = word(
        rng,
        &["Tick {name}.", "Turn on the option {name}."],
        &[("name", name)],
    );
    let [x, y] = middle(bounds);
    finish(
        screen,
        Parts {
            task: "tick",
            asked,
            trace: format!(
                "The box of {name} has its middle at {x} across and {y} down. I click it."
            ),
            answer: click_at("left_click", bounds),
            distractor: click_elsewhere("left_click", bounds),
            reward_domain: "gui_computer",
            factors: vec![("name", name.into()), ("at", (y / 100).to_string())],
            caption: options_caption(&all, on),
        },
    )
}

const SEND: &[&str] = &[
    "Fill in {text} as {name}, then press Enter. What is the next action?",
    "{name} shall be {text}, sent with the Enter key. What comes next?",
];

/// A form of which one field is right already: press Enter, correct it, or fill the other one.
pub(super) fn enter(rng: &mut Rng) -> Draft {
    let title = rng.pick(&TITLES);
    let mut screen = Screen::new(rng, title);
    let name = rng.pick(&FIELDS);
    let pair = rng.sample(&SHORT, 2);
    let done = rng.chance(1, 2);
    let y = rng.int(200, 380);
    let bounds = [370, y, 930, y + 170];
    screen.field(bounds, name, if done { pair[0] } else { "" }, true);
    screen.button([80, 640, 460, 840], rng.pick(&BUTTONS));
    screen.button([540, 640, 920, 840], "Clear");
    let asked = word(rng, SEND, &[("text", pair[0]), ("name", name)]);
    let (typed, key) = (
        format!("type(content='{}')", pair[0]),
        "key(keys='enter')".to_owned(),
    );
    finish(
        screen,
        Parts {
            task: "enter",
            asked,
            trace: match done {
                true => format!("The field already says {}. So I press Enter.", pair[0]),
                false => format!(
                    "The field is empty and has the focus. So I type {}.",
                    pair[0]
                ),
            },
            answer: if done { key.clone() } else { typed.clone() },
            distractor: if done { typed } else { key },
            reward_domain: "gui_computer",
            factors: vec![
                ("name", name.into()),
                ("text", pair[0].into()),
                ("done", done.to_string()),
            ],
            caption: format!(
                "A window titled {title} with the field {name}, {}.",
                if done { "filled in" } else { "empty" }
            ),
        },
    )
}
