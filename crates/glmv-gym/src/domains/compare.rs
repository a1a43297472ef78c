//! Several pictures: which has more, are they alike, what has changed.

use super::things::{self, Thing, inventory, spots};
use crate::draft::{Draft, Scenes, capital, listed, near, word};
use crate::draw::Shape;
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
        (1, true) => more(rng),
        (1, false) => same(rng),
        (2, true) => how_many_more(rng),
        (2, false) => which_shows(rng),
        (3, _) => recoloured(rng),
        (4, true) => differs(rng),
        (4, false) => missing(rng),
        (_, true) => together(rng),
        (_, false) => moved(rng),
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

/// So many of one kind.
fn crowd(rng: &mut Rng, level: u8, n: usize, shape: Shape) -> Vec<Thing> {
    spots(rng, n)
        .iter()
        .map(|s| s.thing((shape, rng.pick(colours(level)))))
        .collect()
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

fn more(rng: &mut Rng) -> Draft {
    let shape = rng.pick(things::shapes(1));
    let few = rng.int(1, 3) as usize;
    let many = rng.int(few as i32 + 1, 5) as usize;
    let first = rng.chance(1, 2);
    let counts = if first { [many, few] } else { [few, many] };
    let pictures = counts.map(|n| crowd(rng, 1, n, shape));
    let asked = word(
        rng,
        &[
            "Which picture has more {things}, 1 or 2?",
            "In which picture are there more {things}: 1 or 2?",
        ],
        &[("things", shape.plural())],
    );
    let answer = if first { 1 } else { 2 };
    let parts = Parts {
        task: "more",
        asked,
        trace: format!(
            "Picture 1 has {}, picture 2 has {}. Picture {answer} has more.",
            counts[0], counts[1]
        ),
        answer: answer.to_string(),
        distractor: (3 - answer).to_string(),
        reward_domain: "multi_image",
        factors: vec![
            ("shape", shape.name().into()),
            ("counts", format!("{}-{}", counts[0], counts[1])),
        ],
    };
    finish(rng, &pictures, parts)
}

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
        true => word(
            rng,
            &[
                "Do both pictures show the same colour?",
                "Are the two things of the same colour?",
            ],
            &[],
        ),
        false => word(
            rng,
            &[
                "Do both pictures show the same shape?",
                "Are the two things of the same shape?",
            ],
            &[],
        ),
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

fn how_many_more(rng: &mut Rng) -> Draft {
    let shape = rng.pick(things::shapes(2));
    let few = rng.int(1, 5) as usize;
    let more = rng.int(1, 4) as usize;
    let first = rng.chance(1, 2);
    let counts = if first {
        [few + more, few]
    } else {
        [few, few + more]
    };
    let pictures = counts.map(|n| crowd(rng, 2, n, shape));
    let (a, b) = if first { ("1", "2") } else { ("2", "1") };
    let asked = word(
        rng,
        &[
            "How many more {things} does picture {a} have than picture {b}?",
            "By how many {things} is picture {a} ahead of picture {b}?",
        ],
        &[("things", shape.plural()), ("a", a), ("b", b)],
    );
    let parts = Parts {
        task: "how_many_more",
        asked,
        trace: format!(
            "Picture 1 has {}, picture 2 has {}. {} - {few} = {more}.",
            counts[0],
            counts[1],
            few + more
        ),
        answer: more.to_string(),
        distractor: near(rng, more as i32).to_string(),
        reward_domain: "multi_image",
        factors: vec![
            ("shape", shape.name().into()),
            ("counts", format!("{}-{}", counts[0], counts[1])),
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

fn recoloured(rng: &mut Rng) -> Draft {
    let n = rng.int(3, 4) as usize;
    let before = variety(rng, 3, n);
    let mut after = before.clone();
    let at = rng.below(n);
    after[at].colour = rng.other(colours(3), before[at].colour);
    let (old, new, shape) = (
        before[at].colour.name,
        after[at].colour.name,
        before[at].shape,
    );
    let ask_shape = rng.chance(1, 2);
    let asked = match ask_shape {
        true => word(
            rng,
            &[
                "Which shape has changed its colour?",
                "Name the shape whose colour differs between the pictures.",
            ],
            &[],
        ),
        false => word(
            rng,
            &[
                "One thing has changed its colour. What is its new colour?",
                "Which colour does the changed thing have in picture 2?",
            ],
            &[],
        ),
    };
    let (answer, distractor) = match ask_shape {
        true => (shape.name(), before[(at + 1) % n].shape.name()),
        false => (new, old),
    };
    let parts = Parts {
        task: if ask_shape {
            "recoloured_shape"
        } else {
            "new_colour"
        },
        asked,
        trace: format!(
            "Picture 1: {}. Picture 2: {}. The {} was {old} and is {new}.",
            inventory(&before),
            inventory(&after),
            shape.name()
        ),
        answer: answer.into(),
        distractor: distractor.into(),
        reward_domain: "closed",
        factors: vec![
            ("shape", shape.name().into()),
            ("old", old.into()),
            ("new", new.into()),
        ],
    };
    finish(rng, &[before, after], parts)
}

fn differs(rng: &mut Rng) -> Draft {
    let n = rng.int(3, 4) as usize;
    let usual = variety(rng, 4, n);
    let mut strange = usual.clone();
    let at = rng.below(n);
    strange[at].shape = rng.other(things::shapes(4), usual[at].shape);
    let answer = rng.below(3);
    let mut pictures = vec![usual.clone(), usual.clone(), usual.clone()];
    pictures[answer] = strange.clone();
    let asked = word(
        rng,
        &[
            "Two of the three pictures are the same. Which one differs: 1, 2 or 3?",
            "Which of the pictures 1, 2 and 3 is not like the others?",
        ],
        &[],
    );
    let parts = Parts {
        task: "differs",
        asked,
        trace: format!(
            "Two pictures show {}. Picture {} has the {} in place of the {}.",
            inventory(&usual),
            answer + 1,
            strange[at].name(),
            usual[at].name()
        ),
        answer: (answer + 1).to_string(),
        distractor: ((answer + 1) % 3 + 1).to_string(),
        reward_domain: "multi_image",
        factors: vec![
            ("old", usual[at].name()),
            ("new", strange[at].shape.name().into()),
            ("answer", (answer + 1).to_string()),
        ],
    };
    finish(rng, &pictures, parts)
}

fn missing(rng: &mut Rng) -> Draft {
    let n = rng.int(4, 6) as usize;
    let before = variety(rng, 4, n);
    let mut after = before.clone();
    let gone = after.remove(rng.below(n));
    let stays = rng.pick(&after);
    let asked = word(
        rng,
        &[
            "Which shape of picture 1 is missing in picture 2?",
            "One thing is gone in picture 2. Which shape was it?",
        ],
        &[],
    );
    let parts = Parts {
        task: "missing",
        asked,
        trace: format!(
            "Picture 1: {}. Picture 2: {}. The {} is gone.",
            inventory(&before),
            inventory(&after),
            gone.shape.name()
        ),
        answer: gone.shape.name().into(),
        distractor: stays.shape.name().into(),
        reward_domain: "closed",
        factors: vec![("gone", gone.name()), ("of", n.to_string())],
    };
    finish(rng, &[before, after], parts)
}

fn together(rng: &mut Rng) -> Draft {
    let shape = rng.pick(things::shapes(4));
    let counts = [0; 3].map(|_: usize| rng.below(4));
    let pictures = counts.map(|n| {
        let mut kinds = vec![shape; n];
        while kinds.len() < n + 2 {
            kinds.push(rng.other(things::shapes(4), shape));
        }
        rng.shuffle(&mut kinds);
        let places = spots(rng, kinds.len());
        places
            .iter()
            .zip(&kinds)
            .map(|(s, k)| s.thing((*k, rng.pick(colours(4)))))
            .collect::<Vec<_>>()
    });
    let total: usize = counts.iter().sum();
    let asked = word(
        rng,
        &[
            "How many {things} are there in all three pictures together?",
            "Count the {things} of all pictures.",
        ],
        &[("things", shape.plural())],
    );
    let each = counts.map(|n| n.to_string());
    let parts = Parts {
        task: "together",
        asked,
        trace: format!(
            "The {} per picture: {}. {} = {total}.",
            shape.plural(),
            listed(&each),
            each.join(" + ")
        ),
        answer: total.to_string(),
        distractor: near(rng, total as i32).to_string(),
        reward_domain: "multi_image",
        factors: vec![("shape", shape.name().into()), ("counts", each.join("-"))],
    };
    finish(rng, &pictures, parts)
}

/// All things stay but one, which is somewhere else.
fn moved(rng: &mut Rng) -> Draft {
    let n = rng.int(4, 5) as usize;
    let places = variety(rng, 5, n + 1);
    let mut before = places[..].to_vec();
    let free = before.remove(rng.below(n + 1));
    let at = rng.below(n);
    let mut after = before.clone();
    (after[at].x, after[at].y, after[at].r) = (free.x, free.y, before[at].r.min(free.r));
    before[at].r = after[at].r;
    let shape = before[at].shape.name();
    let from = things::place(before[at].x, before[at].y);
    let to = things::place(after[at].x, after[at].y);
    let asked = word(
        rng,
        &[
            "Which shape has moved?",
            "Name the shape that is in another place in picture 2.",
        ],
        &[],
    );
    let parts = Parts {
        task: "moved",
        asked,
        trace: format!(
            "{} stays the same but the {shape}: it was at the {from} and is at the {to}.",
            capital("everything")
        ),
        answer: shape.into(),
        distractor: before[(at + 1) % n].shape.name().into(),
        reward_domain: "closed",
        factors: vec![
            ("thing", before[at].name()),
            ("from", from.into()),
            ("to", to.into()),
        ],
    };
    finish(rng, &[before, after], parts)
}
