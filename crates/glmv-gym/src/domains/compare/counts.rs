//! More, how many more, and how many together.

use super::{Parts, finish};
use crate::domains::things::{self, Thing, spots};
use crate::draft::{Draft, listed, near, word};
use crate::draw::Shape;
use crate::palette::colours;
use crate::rng::Rng;

/// So many of one kind.
fn crowd(rng: &mut Rng, level: u8, n: usize, shape: Shape) -> Vec<Thing> {
    spots(rng, n)
        .iter()
        .map(|s| s.thing((shape, rng.pick(colours(level)))))
        .collect()
}

pub(super) fn more(rng: &mut Rng) -> Draft {
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

pub(super) fn how_many_more(rng: &mut Rng) -> Draft {
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

pub(super) fn together(rng: &mut Rng) -> Draft {
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
