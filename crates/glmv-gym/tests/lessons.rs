//! Lessons in seeing: what is named is what is drawn, in every split what belongs there.

use glmv_gym::audit::{Fault, audit};
use glmv_gym::palette::COLOURS;
use glmv_gym::write::{Layout, Plan, make};
use glmv_gym::{Domain, Item, LEVELS, Media, Size, Split, generate, generate_of};
use image::RgbImage;
use std::collections::BTreeSet;
use std::slice;
use std::time::Instant;

fn lesson(domain: Domain, level: u8, seed: u64) -> Item {
    generate_of(&["lesson"], domain, level, seed, Size::default()).expect("a lesson")
}

fn pictures(item: &Item) -> &[RgbImage] {
    match &item.media {
        Media::Images(pictures) => pictures,
        Media::Video { frames, .. } => frames,
    }
}

/// Names of the colours of the palette that a picture has, in pixels that lie wholly in a shape.
fn colours(picture: &RgbImage) -> BTreeSet<&'static str> {
    let has = |rgb| picture.pixels().filter(|p| p.0 == rgb).count() > 3;
    let found = COLOURS.iter().filter(|c| has(c.rgb));
    found.map(|c| c.name).collect()
}

fn named(text: &str) -> BTreeSet<&'static str> {
    let names = COLOURS.iter().map(|c| c.name);
    names
        .filter(|name| text.contains(&format!(" {name} ")))
        .collect()
}

#[test]
fn grids_name_the_colours_that_are_drawn() {
    for level in 2..=LEVELS {
        for seed in 0..60 {
            let item = lesson(Domain::Vqa, level, seed);
            let [picture] = pictures(&item) else {
                panic!("{}: one picture", item.id)
            };
            assert_eq!(
                colours(picture),
                named(&item.caption),
                "{}: {}",
                item.id,
                item.caption
            );
            let cells = item.caption.split([',', ';']).count();
            let across = item.caption.split(';').count();
            assert_eq!(cells, across * across, "{}", item.caption);
        }
    }
    // Another lesson's words are not taken for this one's.
    let (one, two) = (lesson(Domain::Vqa, 2, 0), lesson(Domain::Vqa, 5, 7));
    assert_ne!(colours(&pictures(&one)[0]), named(&two.caption));
}

#[test]
fn cards_have_a_name_behind_every_picture() {
    let mut kinds = BTreeSet::new();
    for seed in 0..400 {
        let item = lesson(Domain::Vqa, 1, seed);
        let names: Vec<&str> = item.caption.split("<image>").skip(1).collect();
        assert_eq!(names.len(), pictures(&item).len(), "{}", item.caption);
        for (name, picture) in names.iter().zip(pictures(&item)) {
            assert_eq!(colours(picture), named(name), "{}: {name}", item.id);
        }
        assert!(!item.answer.contains('<'), "{}", item.answer);
        kinds.extend(names.iter().map(|name| (*name).to_owned()));
    }
    // Nothing is kept out of training but pictures: a held-out pair would be learnt never to occur.
    assert_eq!(kinds.len(), 9 * 8, "{kinds:?}");
}

#[test]
fn charts_and_texts_tell_values_and_signs() {
    for seed in 0..40 {
        let chart = lesson(Domain::Chart, 1, seed);
        let told = chart
            .caption
            .trim_start_matches("Chart: ")
            .trim_end_matches('.');
        let mut drawn = colours(&pictures(&chart)[0]);
        for column in told.split(", ") {
            let words: Vec<&str> = column.split(' ').collect();
            let [label, value, colour] = words[..] else {
                panic!("{told}")
            };
            assert!(
                label.len() == 1 && (1..=9).contains(&value.parse().unwrap_or(0)),
                "{told}"
            );
            // A low bar may be narrower than a whole pixel; its colour is still the named one.
            drawn.remove(colour);
        }
        assert!(drawn.is_empty(), "{told}: {drawn:?}");
        let text = lesson(Domain::Ocr, 3, seed);
        let told = text
            .caption
            .trim_start_matches("Text: ")
            .trim_end_matches('.');
        let good = |c: char| c.is_ascii_alphanumeric() || c == ' ' || c == ';';
        assert!(!told.is_empty() && told.chars().all(good), "{told}");
        let glued = |pair: &[char]| pair.iter().all(char::is_ascii_alphabetic);
        let signs: Vec<char> = told.chars().collect();
        assert!(!signs.windows(2).any(glued), "{told}");
    }
}

/// Middle of the pixels of a colour.
fn middle(picture: &RgbImage, colour: &str) -> [f64; 2] {
    let rgb = COLOURS
        .iter()
        .find(|c| c.name == colour)
        .expect("a colour")
        .rgb;
    let (mut n, mut sum) = (0.0, [0.0, 0.0]);
    for (x, y, pixel) in picture.enumerate_pixels() {
        if pixel.0 == rgb {
            n += 1.0;
            sum = [sum[0] + f64::from(x), sum[1] + f64::from(y)];
        }
    }
    assert!(n > 3.0, "no {colour}");
    sum.map(|v| v / n)
}

#[test]
fn clips_tell_the_ways_of_what_moves() {
    let mut ways = BTreeSet::new();
    for seed in 0..80 {
        let item = lesson(Domain::Video, 3, seed);
        let told = item
            .caption
            .trim_start_matches("Video: ")
            .trim_end_matches('.');
        let things: Vec<Vec<&str>> = told.split(", ").map(|t| t.split(' ').collect()).collect();
        for thing in &things {
            if things.iter().filter(|t| t[0] == thing[0]).count() > 1 {
                continue;
            }
            let frames = pictures(&item);
            let (first, last) = (middle(&frames[0], thing[0]), middle(&frames[5], thing[0]));
            let (dx, dy) = (last[0] - first[0], last[1] - first[1]);
            let seen = match (dx.round() as i32, dy.round() as i32) {
                (0, 0) => "rests",
                (20.., 0) => "right",
                (..=-20, 0) => "left",
                (0, 20..) => "down",
                (0, ..=-20) => "up",
                other => panic!("{told}: {other:?}"),
            };
            assert_eq!(seen, thing[2], "{told}");
            ways.insert(seen);
        }
    }
    assert_eq!(ways.len(), 5);
}

#[test]
fn lessons_are_apart_from_tasks_and_keep_to_their_split() {
    for domain in Domain::ALL {
        for level in 1..=LEVELS {
            for split in Split::ALL {
                let seed = split.seed(5).expect("in range");
                let (item, task) = (
                    lesson(domain, level, seed),
                    generate(domain, level, seed, Size::default()),
                );
                let task = task.expect("a task");
                assert_eq!(Split::of_combination(&item.combination()), split);
                match item.id.ends_with("-lesson") {
                    true => assert!(item.template.contains("/lesson/"), "{}", item.template),
                    // Those without lessons of their own give their tasks.
                    false => assert_eq!((&item.id, &item.caption), (&task.id, &task.caption)),
                }
                assert!(!task.template.contains("/lesson/"));
            }
        }
    }
}

#[test]
fn written_lessons_pass_the_audit_and_changed_ones_do_not() {
    let dir = tempfile::tempdir().expect("writable");
    let plan = |split, tasks: &[&str], layout| Plan {
        domains: Domain::ALL.to_vec(),
        levels: vec![1, 2, 4],
        tasks: tasks.iter().map(|t| (*t).to_owned()).collect(),
        split,
        seed: 0,
        n: 66,
        size: Size { side: 28 },
        layout,
        nothink: 0.0,
    };
    let train = make(
        &plan(Split::Train, &["lesson"], Layout::Caption),
        &dir.path().join("a"),
    );
    let test = make(&plan(Split::Test, &[], Layout::Rl), &dir.path().join("b"));
    let (train, test) = (train.expect("made").file, test.expect("made").file);
    let found = audit(slice::from_ref(&train), slice::from_ref(&test)).expect("readable");
    assert!(found.is_clean() && found.train_rows == 66, "{found}");
    let picture = dir.path().join("a/images/vqa-1-1-lesson-3.png");
    let mut pixels = image::open(&picture).expect("a picture").to_rgb8();
    pixels.get_pixel_mut(1, 1).0[0] ^= 1;
    pixels.save(&picture).expect("writable");
    let found = audit(&[train], &[test]).expect("readable");
    let faults: Vec<Fault> = found.findings.iter().map(|f| f.fault.clone()).collect();
    assert_eq!(faults, [Fault::Altered], "{found}");
}

#[test]
fn lessons_are_made_fast_enough() {
    let (start, mut n) = (Instant::now(), 0);
    for domain in Domain::ALL {
        for level in 1..=LEVELS {
            for seed in 0..12 {
                assert!(!lesson(domain, level, seed).caption.is_empty());
                n += 1;
            }
        }
    }
    let speed = f64::from(n) / start.elapsed().as_secs_f64();
    println!("{speed:.0} lessons/s at 112 x 112 pixels");
    // A busy machine may be ten times slower than an idle one.
    assert!(speed > 20.0, "{speed:.0} lessons/s");
}
