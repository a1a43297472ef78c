//! Several pictures: which has more, are they alike, what has changed.

mod changes;
mod counts;

use super::things::{self, Thing, inventory, spots};
use crate::draft::{Draft, Scenes, word};
use crate::palette::colours;
use crate::rng::Rng;

pub(crate) const LEVELS: [&str; 5] = [
    "which of two pictures has more things; are two things of the same shape or colour",
    "how many more; which of two pictures shows a thing",
    "which thing has changed its colour, among 3 or 4",
    "which of three pictures differs; what is missing, among 4 to 6",
    "how many of a shape in three pictures together; what has moved",
];

pub(crate) fn draft(level: u8, rng: &mut Rng) -> Draft {
    match (level, rng.chance(1, 2)) {
        (1, true) => counts::more(rng),
        (1, false) => same(rng),
        (2, true) => counts::how_many_more(rng),
        (2, false) => which_shows(rng),
        (3, _) => changes::recoloured(rng),
        (4, true) => changes::differs(rng),
        (4, false) => changes::missing(rng),
        (_, true) => counts::together(rng),
        (_, false) => changes::moved(rng),
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
}

fn finish(rng: &mut Rng, pictures: &[Vec<Thing>], parts: Parts) -> Draft {
    let back = things::ground(rng);
    let scenes = pictures
        .iter()
        .map(|all| {
            let mut scene = crate::draw::Scene::new(back);
            all.iter().for_each(|t| t.draw(&mut scene));
            scene
        })
        .collect();
    let shown: Vec<String> = pictures
        .iter()
        .enumerate()
        .map(|(i, all)| format!("Picture {}: {}.", i + 1, inventory(all)))
        .collect();
    Draft {
        task: parts.task,
        wording: parts.asked.0,
        question: parts.asked.1,
        trace: parts.trace,
        answer: parts.answer,
        distractor: parts.distractor,
        reward_domain: parts.reward_domain,
        factors: parts.factors,
        caption: shown.join(" "),
        scenes: Scenes::Pictures(scenes),
    }
}

/// Things that all differ in shape.
fn variety(rng: &mut Rng, level: u8, n: usize) -> Vec<Thing> {
    let forms = rng.sample(things::shapes(level.max(3)), n);
    spots(rng, n)
        .iter()
        .zip(&forms)
        .map(|(s, form)| s.thing((*form, rng.pick(colours(level)))))
        .collect()
}

const SAME_COLOUR: &[&str] = &[
    "Do both pictures show the same colour?",
    "Are the two things of the same colour?",
];
const SAME_SHAPE: &[&str] = &[
    "Do both pictures show the same shape?",
    "Are the two things of the same shape?",
];

fn same(rng: &mut Rng) -> Draft {
    let by_colour = rng.chance(1, 2);
    let alike = rng.chance(1, 2);
    let (shape, colour) = things::kind(1, rng);
    let other_shape = rng.other(things::shapes(1), shape);
    let other_colour = rng.other(colours(1), colour);
    let second = match (by_colour, alike) {
        (true, true) => (rng.pick(things::shapes(1)), colour),
        (true, false) => (rng.pick(things::shapes(1)), other_colour),
        (false, true) => (shape, rng.pick(colours(1))),
        (false, false) => (other_shape, rng.pick(colours(1))),
    };
    let pictures = [(shape, colour), second].map(|kind| vec![spots(rng, 1)[0].thing(kind)]);
    let asked = match by_colour {
        true => word(rng, SAME_COLOUR, &[]),
        false => word(rng, SAME_SHAPE, &[]),
    };
    let (p, q) = match by_colour {
        true => (colour.name, second.1.name),
        false => (shape.name(), second.0.name()),
    };
    let (answer, distractor) = if alike { ("yes", "no") } else { ("no", "yes") };
    let parts = Parts {
        task: if by_colour {
            "same_colour"
        } else {
            "same_shape"
        },
        asked,
        trace: format!("Picture 1 shows {p}, picture 2 shows {q}. So {answer}."),
        answer: answer.into(),
        distractor: distractor.into(),
        reward_domain: "closed",
        factors: vec![
            ("first", pictures[0][0].name()),
            ("second", pictures[1][0].name()),
        ],
    };
    finish(rng, &pictures, parts)
}

fn which_shows(rng: &mut Rng) -> Draft {
    let all = rng.sample(things::shapes(2), 5);
    let answer = rng.int(1, 2);
    let target = all[0];
    let (mut here, mut there) = (vec![all[0], all[1]], vec![all[2], all[3]]);
    rng.shuffle(&mut here);
    rng.shuffle(&mut there);
    let mut sets = [here, there];
    if answer == 2 {
        sets.swap(0, 1);
    }
    let pictures = sets.map(|forms| -> Vec<Thing> {
        spots(rng, forms.len())
            .iter()
            .zip(&forms)
            .map(|(s, f)| s.thing((*f, rng.pick(colours(2)))))
            .collect()
    });
    let asked = word(
        rng,
        &[
            "Which picture shows a {thing}, 1 or 2?",
            "In which picture is there a {thing}: 1 or 2?",
        ],
        &[("thing", target.name())],
    );
    let parts = Parts {
        task: "which_shows",
        asked,
        trace: format!(
            "Picture 1 shows {}. Picture 2 shows {}. The {} is in picture {answer}.",
            inventory(&pictures[0]),
            inventory(&pictures[1]),
            target.name()
        ),
        answer: answer.to_string(),
        distractor: (3 - answer).to_string(),
        reward_domain: "multi_image",
        factors: vec![
            ("shape", target.name().into()),
            (
                "others",
                format!("{} {} {}", all[1].name(), all[2].name(), all[3].name()),
            ),
        ],
    };
    finish(rng, &pictures, parts)
}
