//! Screens: where things are, what state they are in, and the next action, in the grammar of
//! `gui_computer`.

use super::gui_draw::{Bounds, Screen, middle};
use super::words::{BUTTONS, FIELDS, MIDDLE, SHORT};
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
        (3, _) => field(rng),
        (4, 0) => ticked(rng),
        (4, 1) => tick(rng),
        (4, _) => list(rng),
        (_, 0) => dialog(rng),
        (_, 1) => folder(rng),
        (_, _) => enter(rng),
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

fn field(rng: &mut Rng) -> Draft {
    let title = rng.pick(&TITLES);
    let mut screen = Screen::new(rng, title);
    let names = rng.sample(&FIELDS, 2);
    let focus = rng.below(3);
    let (x, y) = (rng.int(330, 400), rng.int(185, 250));
    let gap = rng.int(195, 225);
    let places = [0, 1].map(|row| [x, y + gap * row, 935, y + gap * row + 160]);
    for (i, name) in names.iter().enumerate() {
        screen.field(places[i], name, "", focus == i);
    }
    let button = rng.pick(&BUTTONS);
    screen.button([320, 700, 680, 890], button);
    let wanted = rng.below(2);
    let (name, text) = (names[wanted], rng.pick(&SHORT));
    let asked = word(
        rng,
        &[
            "Type {text} into the {name} field. What is the next action?",
            "The {name} field shall say {text}. What do you do first?",
        ],
        &[("text", text), ("name", name)],
    );
    let ready = focus == wanted;
    let (typed, click) = (
        format!("type(content='{text}')"),
        click_at("left_click", places[wanted]),
    );
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

fn ticked(rng: &mut Rng) -> Draft {
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

fn tick(rng: &mut Rng) -> Draft {
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

/// Rows named by numbers: what is above or below the visible part can be told.
fn list(rng: &mut Rng) -> Draft {
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
    let asked = word(
        rng,
        &[
            "Open Item {n}. What is the next action?",
            "Item {n} shall be chosen. What do you do first?",
        ],
        &[("n", &wanted.to_string())],
    );
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

fn dialog(rng: &mut Rng) -> Draft {
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

fn folder(rng: &mut Rng) -> Draft {
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

/// A form of which one field is right already: press Enter, correct it, or fill the other one.
fn enter(rng: &mut Rng) -> Draft {
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
    let asked = word(
        rng,
        &[
            "Fill in {text} as {name}, then press Enter. What is the next action?",
            "{name} shall be {text}, sent with the Enter key. What comes next?",
        ],
        &[("text", pair[0]), ("name", name)],
    );
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
