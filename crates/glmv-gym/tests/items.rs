//! Every domain and level: answers that are judged right and wrong ones that are not, splits, and the
//! same bytes everywhere.

use glmv_gym::{Domain, Error, Item, LEVELS, Media, Size, Split, generate, generate_of};
use glmv_reward::Scorer;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

const SMALL: Size = Size { side: 28 };

fn items(n: u64) -> impl Iterator<Item = Item> {
    let kinds = Domain::ALL
        .into_iter()
        .flat_map(|d| (1..=LEVELS).map(move |l| (d, l)));
    kinds.flat_map(move |(domain, level)| {
        (0..n).map(move |offset| {
            let seed = Split::ALL[offset as usize % 3]
                .seed(offset)
                .expect("in range");
            generate(domain, level, seed, SMALL).expect("an item")
        })
    })
}

fn reward(scorer: &Scorer, completion: &str, item: &Item) -> Option<f64> {
    scorer
        .completion(completion, &item.answer)
        .expect("a good truth")
        .reward
}

#[test]
fn references_score_one_and_wrong_answers_nothing() {
    let mut judged = BTreeSet::new();
    for item in items(60) {
        let scorer = Scorer::of_domain(item.reward_domain).expect("a domain");
        let say = |what: &str| format!("{} {:?}: {what}", item.id, item.question);
        assert_eq!(
            reward(&scorer, &item.completion(), &item),
            Some(1.0),
            "{}",
            say(&item.answer)
        );
        assert_eq!(
            reward(&scorer, &item.direct(), &item),
            Some(1.0),
            "{}",
            say("direct")
        );
        let wrong = Item {
            answer: item.distractor.clone(),
            ..item.clone()
        };
        assert_eq!(
            reward(&scorer, &wrong.completion(), &item),
            Some(0.0),
            "{}",
            say(&format!("{} against {}", item.distractor, item.answer))
        );
        judged.insert(item.reward_domain);
    }
    assert_eq!(judged.len(), 11, "{judged:?}");
}

#[test]
fn traces_end_at_the_answer_and_questions_are_whole() {
    for item in items(40) {
        assert!(
            !item.question.contains(['{', '}']),
            "{}: {}",
            item.id,
            item.question
        );
        assert!(!item.trace.contains("<|") && !item.trace.contains("</think>"));
        assert!(item.trace.len() < 700, "{}: {}", item.id, item.trace);
        assert!(!item.caption.is_empty() && !item.factors.is_empty());
        // Actions are spelled out from numbers and words that the trace names.
        let said = |part: &str| item.trace.to_lowercase().contains(&part.to_lowercase());
        let parts = item
            .answer
            .split(|c: char| !c.is_alphanumeric() && !['.', '-', '_'].contains(&c));
        let meant = [
            "left_click",
            "left_double_click",
            "start_box",
            "type",
            "content",
            "key",
            "keys",
            "direction",
            "step",
            "5",
        ];
        // Where the click or the wheel goes follows from the row that the trace names.
        if item.template.starts_with("gui/list/") {
            continue;
        }
        for part in parts.filter(|p| !meant.contains(p) && !p.is_empty() && *p != "-") {
            assert!(
                said(part),
                "{}: {part:?} is not in {:?}",
                item.id,
                item.trace
            );
        }
    }
}

#[test]
fn seeds_and_combinations_keep_to_their_split() {
    for item in items(30) {
        assert_eq!(Split::of_seed(item.seed).expect("in range"), item.split);
        assert_eq!(
            Split::of_combination(&item.combination()),
            item.split,
            "{}",
            item.id
        );
        let other = Item {
            template: format!("{}x", item.template),
            ..item.clone()
        };
        assert_ne!(other.combination(), item.combination());
    }
}

#[test]
fn the_size_changes_pixels_only() {
    for domain in Domain::ALL {
        let make = |side: u32| generate(domain, 3, 5, Size { side }).expect("an item");
        let (small, large) = (make(56), make(84));
        assert_eq!(
            (
                &small.question,
                &small.answer,
                &small.trace,
                small.combination()
            ),
            (
                &large.question,
                &large.answer,
                &large.trace,
                large.combination()
            )
        );
        let sides = |item: &Item| match &item.media {
            Media::Images(all) => all.iter().map(|p| p.dimensions()).collect::<Vec<_>>(),
            Media::Video { frames, .. } => frames.iter().map(|p| p.dimensions()).collect(),
        };
        assert!(sides(&small).iter().all(|d| *d == (56, 56)));
        assert!(sides(&large).iter().all(|d| *d == (84, 84)));
    }
}

/// Everything of an item in one digest.
fn digest(item: &Item, sha: &mut Sha256) {
    for text in [
        &item.id,
        &item.question,
        &item.trace,
        &item.answer,
        &item.caption,
    ] {
        sha.update(text.as_bytes());
    }
    let pictures = match &item.media {
        Media::Images(all) => all,
        Media::Video { frames, .. } => frames,
    };
    pictures.iter().for_each(|p| sha.update(p.as_raw()));
}

fn hex(sha: Sha256) -> String {
    sha.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_machine() {
    let mut sha = Sha256::new();
    let mut first = None;
    for (domain, level) in Domain::ALL
        .into_iter()
        .flat_map(|d| (1..=LEVELS).map(move |l| (d, l)))
    {
        let item = generate(domain, level, 11, Size { side: 84 }).expect("an item");
        digest(&item, &mut sha);
        first.get_or_insert(item);
    }
    assert_eq!(
        hex(sha),
        "5980fa929f43c2c2ec75372dacfb2e152869a4d9251dbfc63bdbf1e3faf4e457",
        "items have changed: published data sets and weights were made from the old ones"
    );
    // The digest sees a single pixel.
    let item = first.expect("an item");
    let mut changed = item.clone();
    if let Media::Images(pictures) = &mut changed.media {
        pictures[0].get_pixel_mut(3, 3).0[1] ^= 1;
    }
    let of = |item: &Item| {
        let mut sha = Sha256::new();
        digest(item, &mut sha);
        hex(sha)
    };
    assert_ne!(of(&item), of(&changed));
    assert_eq!(of(&item), of(&item.clone()));
}

#[test]
fn answers_are_spread_at_the_easy_level() {
    for domain in Domain::ALL {
        let mut answers = BTreeMap::new();
        for seed in 0..200 {
            let item = generate(domain, 1, seed, SMALL).expect("an item");
            *answers.entry(item.answer).or_insert(0) += 1;
        }
        let most = answers.values().max().copied().unwrap_or(0);
        assert!(
            most <= 70,
            "{}: one answer {most} times of 200",
            domain.name()
        );
    }
}

/// Answers of training items, by their question.
type Answers = BTreeMap<String, BTreeMap<String, usize>>;

/// Test items whose question is common in training, and there never has their answer: who has learnt
/// what is likely will not look. Questions with many answers, such as boxes, rule nothing out.
fn ruled_out(training: &Answers, held_out: &[Item]) -> usize {
    let is_out = |item: &&Item| {
        training.get(&item.question).is_some_and(|answers| {
            let common = answers.values().sum::<usize>() >= 15 && answers.len() <= 8;
            common && !answers.contains_key(&item.answer)
        })
    };
    held_out.iter().filter(is_out).count()
}

#[test]
fn training_rules_no_held_out_answer_out() {
    for domain in Domain::ALL {
        let make = |split: Split, n: u64| -> Vec<Item> {
            let item = |offset| {
                let seed = split.seed(offset).expect("in range");
                generate(domain, 1, seed, SMALL).expect("an item")
            };
            (0..n).map(item).collect()
        };
        let mut training = Answers::new();
        for item in make(Split::Train, 2500) {
            let answers = training.entry(item.question).or_default();
            *answers.entry(item.answer).or_default() += 1;
        }
        let held_out = make(Split::Test, 200);
        let out = ruled_out(&training, &held_out);
        assert!(out <= 6, "{}: {out} of 200", domain.name());
        // Without the answers of the held-out items, all that are common are ruled out.
        for item in &held_out {
            if let Some(answers) = training.get_mut(&item.question) {
                answers.remove(&item.answer);
            }
        }
        let common = |i: &&Item| {
            training
                .get(&i.question)
                .is_some_and(|a| a.values().sum::<usize>() >= 15 && a.len() <= 8)
        };
        let all = held_out.iter().filter(common).count();
        assert_eq!(ruled_out(&training, &held_out), all, "{}", domain.name());
    }
}

#[test]
fn a_task_alone_makes_the_items_it_makes_among_all() {
    for item in items(6) {
        let task = item.template.split('/').nth(1).expect("a task");
        let again = generate_of(&[task], item.domain, item.level, item.seed, SMALL);
        let again = again.expect("an item");
        assert_eq!(
            (&again.question, &again.answer),
            (&item.question, &item.answer)
        );
        assert_eq!(again.media, item.media, "{}", item.id);
    }
}

#[test]
fn what_is_out_of_range_is_an_error() {
    let wrong = |level: u8, seed: u64, side: u32| {
        generate(Domain::Ocr, level, seed, Size { side }).expect_err("out of range")
    };
    assert!(matches!(wrong(0, 0, 56), Error::Level { level: 0, .. }));
    assert!(matches!(wrong(6, 0, 56), Error::Level { level: 6, .. }));
    assert!(matches!(wrong(1, u64::MAX, 56), Error::Seed { .. }));
    assert!(matches!(wrong(1, 0, 27), Error::Side { side: 27, .. }));
    assert!(Domain::find("maths").is_err_and(|e| e.to_string().contains("arithmetic")));
    assert_eq!(Domain::list("all").expect("all"), Domain::ALL);
    assert_eq!(
        Domain::list("ocr, gui").expect("names"),
        [Domain::Ocr, Domain::Gui]
    );
    assert!(Domain::list("ocr,,gui").is_err());
    assert_eq!(Domain::find("ocr").expect("a domain"), Domain::Ocr);
}
