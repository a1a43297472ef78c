//! Order of samples: by seed, by weight, and the same again behind a saved cursor.

use std::path::{Path, PathBuf};

use glmv_data::{Body, Cursor, Mixture, MixtureSpec, SourceSpec};
use glmv_processor::Part;
use serde_json::json;

use crate::support::Folder;

fn file(folder: &Folder, name: &str, rows: usize) -> PathBuf {
    let row = |i| json!({"text": format!("{name} {i}")});
    folder.rows(name, &(0..rows).map(row).collect::<Vec<_>>())
}

fn spec(paths: &[&Path], seed: u64, epochs: Option<u32>) -> MixtureSpec {
    let source = |path: &&Path| SourceSpec {
        epochs,
        ..SourceSpec::new(*path)
    };
    MixtureSpec {
        sources: paths.iter().map(source).collect(),
        seed,
        shuffle: true,
    }
}

fn texts(mixture: &mut Mixture, count: usize) -> Vec<String> {
    let records = mixture.take(count).map(|record| {
        let sample = record.expect("a good row").into_sample();
        match sample.expect("a sample").body {
            Body::Text(parts) => match &parts[..] {
                [Part::Text(text)] => text.clone(),
                other => panic!("one text expected: {other:?}"),
            },
            Body::Chat(_) => panic!("a text expected"),
        }
    });
    records.collect()
}

#[test]
fn an_epoch_has_every_row_once_in_an_order_of_its_own() {
    let folder = Folder::new();
    let path = file(&folder, "a", 50);
    let mut mixture = Mixture::open(spec(&[&path], 3, Some(2))).expect("opens");
    let all = texts(&mut mixture, 1000);
    assert_eq!(all.len(), 100);
    let (mut first, mut second) = (all[..50].to_vec(), all[50..].to_vec());
    assert_ne!(first, second);
    first.sort();
    second.sort();
    assert_eq!(first, second);
    first.dedup();
    assert_eq!(first.len(), 50);
    let again = texts(
        &mut Mixture::open(spec(&[&path], 3, Some(2))).expect("opens"),
        1000,
    );
    assert_eq!(all, again);
    let other = texts(
        &mut Mixture::open(spec(&[&path], 4, Some(2))).expect("opens"),
        1000,
    );
    assert_ne!(all, other);
}

#[test]
fn without_shuffling_the_order_is_the_files() {
    let folder = Folder::new();
    let path = file(&folder, "a", 3);
    let mut plain = spec(&[&path], 3, Some(1));
    plain.shuffle = false;
    let all = texts(&mut Mixture::open(plain).expect("opens"), 9);
    assert_eq!(all, ["a 0", "a 1", "a 2"]);
}

#[test]
fn weights_are_shares() {
    let folder = Folder::new();
    let (a, b) = (file(&folder, "a", 7), file(&folder, "b", 500));
    let mut mixed = spec(&[&a, &b], 5, None);
    mixed.sources[0].weight = 3.0;
    let all = texts(&mut Mixture::open(mixed).expect("opens"), 4000);
    let from_a = all.iter().filter(|text| text.starts_with('a')).count();
    // 3000 expected; the deviation of the draws is 27.
    assert!((2860..3140).contains(&from_a), "{from_a}");
    for bad in [0.0, -1.0, f64::NAN] {
        let mut refused = spec(&[&a], 5, None);
        refused.sources[0].weight = bad;
        assert!(Mixture::open(refused).is_err());
    }
}

#[test]
fn reading_on_from_any_cursor_gives_the_same_rows() {
    let folder = Folder::new();
    let (a, b) = (file(&folder, "a", 11), file(&folder, "b", 5));
    let mixed = spec(&[&a, &b], 9, Some(3));
    let mut whole = Mixture::open(mixed.clone()).expect("opens");
    let mut cursors = vec![whole.cursor().clone()];
    let mut all = Vec::new();
    loop {
        let next = texts(&mut whole, 1);
        if next.is_empty() {
            break;
        }
        all.extend(next);
        cursors.push(whole.cursor().clone());
    }
    assert_eq!(all.len(), 3 * 16);
    for (read, cursor) in cursors.into_iter().enumerate() {
        let saved = serde_json::to_string(&cursor).expect("serialises");
        let cursor: Cursor = serde_json::from_str(&saved).expect("reads back");
        let mut rest = Mixture::resume(mixed.clone(), cursor).expect("resumes");
        assert_eq!(texts(&mut rest, 1000), all[read..]);
    }
}

#[test]
fn a_cursor_of_other_data_is_refused() {
    let folder = Folder::new();
    let (a, b) = (file(&folder, "a", 11), file(&folder, "b", 5));
    let cursor = Mixture::open(spec(&[&a], 9, None))
        .expect("opens")
        .cursor()
        .clone();
    let refused = |spec: MixtureSpec| {
        let error = Mixture::resume(spec, cursor.clone()).expect_err("does not fit");
        error.to_string()
    };
    assert!(refused(spec(&[&a], 8, None)).contains("seed: saved 9, now 8"));
    assert!(refused(spec(&[&b], 9, None)).contains("file: saved a, now b"));
    assert!(refused(spec(&[&a, &b], 9, None)).contains("number of files: saved 1, now 2"));
    let mut text = std::fs::read_to_string(&a).expect("readable");
    text = text.replace("a 3", "a x");
    std::fs::write(&a, text).expect("writable");
    assert!(refused(spec(&[&a], 9, None)).contains("contents of a: saved"));
}
