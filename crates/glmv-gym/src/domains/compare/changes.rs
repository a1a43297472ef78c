//! What differs between pictures that are otherwise the same.

use super::{Parts, finish, variety};
use crate::domains::things::{self, inventory};
use crate::draft::{Draft, word};
use crate::palette::colours;
use crate::rng::Rng;

const CHANGED: &[&str] = &[
    "Which shape has changed its colour?",
    "Name the shape whose colour differs between the pictures.",
];
const NEW_COLOUR: &[&str] = &[
    "One thing has changed its colour. What is its new colour?",
    "Which colour does the changed thing have in picture 2?",
];

pub(super) fn recoloured(rng: &mut Rng) -> Draft {
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
        true => word(rng, CHANGED, &[]),
        false => word(rng, NEW_COLOUR, &[]),
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

const DIFFERS: &[&str] = &[
    "Two of the three pictures are the same. Which one differs: 1, 2 or 3?",
    "Which of the pictures 1, 2 and 3 is not like the others?",
];

pub(super) fn differs(rng: &mut Rng) -> Draft {
    let n = rng.int(3, 4) as usize;
    let usual = variety(rng, 4, n);
    let mut strange = usual.clone();
    let at = rng.below(n);
    strange[at].shape = rng.other(things::shapes(4), usual[at].shape);
    let answer = rng.below(3);
    let mut pictures = vec![usual.clone(), usual.clone(), usual.clone()];
    pictures[answer] = strange.clone();
    let asked = word(rng, DIFFERS, &[]);
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

const MISSING: &[&str] = &[
    "Which shape of picture 1 is missing in picture 2?",
    "One thing is gone in picture 2. Which shape was it?",
];

pub(super) fn missing(rng: &mut Rng) -> Draft {
    let n = rng.int(4, 6) as usize;
    let before = variety(rng, 4, n);
    let mut after = before.clone();
    let gone = after.remove(rng.below(n));
    let stays = rng.pick(&after);
    let asked = word(rng, MISSING, &[]);
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

const MOVED: &[&str] = &[
    "Which shape has moved?",
    "Name the shape that is in another place in picture 2.",
];

/// All things stay but one, which is somewhere else.
pub(super) fn moved(rng: &mut Rng) -> Draft {
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
    let asked = word(rng, MOVED, &[]);
    let parts = Parts {
        task: "moved",
        asked,
        trace: format!(
            "Everything stays the same but the {shape}: it was at the {from} and is at the {to}."
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
