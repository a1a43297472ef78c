//! The tokenizer of the bundled model: it is what its command makes, nothing is lost in it, and numbers
//! are spelt digit by digit.

use glmv_gym::tokenizer::{ADDED, Plan};
use glmv_gym::{Domain, Error, Item, LEVELS, Size, Split, generate};
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/glmv-tiny")
}

fn bundled() -> Tokenizer {
    Tokenizer::from_file(folder().join("tokenizer.json")).expect("a tokenizer")
}

fn items(n: u64) -> impl Iterator<Item = Item> {
    let kinds = Domain::ALL
        .into_iter()
        .flat_map(|d| (1..=LEVELS).map(move |l| (d, l)));
    kinds.flat_map(move |(domain, level)| {
        (0..n).map(move |offset| {
            let seed = Split::ALL[offset as usize % 3].seed(90_000 + offset);
            generate(domain, level, seed.expect("in range"), Size { side: 28 }).expect("an item")
        })
    })
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let encoding = tokenizer.encode(text, false).expect("encoded");
    encoding.get_ids().to_vec()
}

#[test]
fn the_bundled_one_is_what_the_default_plan_makes() {
    let dir = tempfile::tempdir().expect("a folder");
    let made = Plan::default().train().expect("a tokenizer");
    made.write(dir.path()).expect("written");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let read = |dir: &Path| std::fs::read_to_string(dir.join(name)).expect(name);
        assert!(read(dir.path()) == read(&folder()), "{name} differs");
    }
    let other = Plan {
        seed: 7,
        ..Plan::default()
    };
    let other = other.train().expect("a tokenizer");
    assert_ne!(other.json().expect("text"), made.json().expect("text"));
}

#[test]
fn every_text_comes_back() {
    let tokenizer = bundled();
    let mut most = 0;
    for item in items(12) {
        for text in [
            item.completion(),
            item.direct(),
            item.question,
            item.caption,
        ] {
            let ids = ids(&tokenizer, &text);
            most = most.max(ids.len());
            assert_eq!(
                tokenizer.decode(&ids, false).expect("decoded"),
                text,
                "{}",
                item.id
            );
        }
    }
    assert!(most < 500, "a text of {most} tokens");
    let foreign = "Füße, naïve 中文 \u{1F600}\r\n\t~";
    let back = tokenizer.decode(&ids(&tokenizer, foreign), false);
    assert_eq!(back.expect("decoded"), foreign);
}

#[test]
fn digits_and_marks_are_tokens_of_their_own() {
    let tokenizer = bundled();
    let vocabulary = tokenizer.get_vocab(false);
    let digits = |token: &str| token.chars().filter(char::is_ascii_digit).count();
    let joined = vocabulary
        .keys()
        .find(|t| digits(t) > 0 && t.chars().count() > 1);
    assert_eq!(joined, None);
    assert_eq!(ids(&tokenizer, "7305").len(), 4);
    for (i, (mark, special)) in ADDED.into_iter().enumerate() {
        let first = tokenizer.get_vocab_size(true) - ADDED.len();
        assert_eq!(
            ids(&tokenizer, &format!("a{mark}b"))[1],
            (first + i) as u32,
            "{mark}"
        );
        let shown = tokenizer
            .decode(&[(first + i) as u32], true)
            .expect("decoded");
        assert_eq!(shown.is_empty(), special, "{mark}");
    }
    // Words of the questions are whole, which is what the training is for.
    for word in [" circle", " yellow", "How", " picture"] {
        assert_eq!(ids(&tokenizer, word).len(), 1, "{word}");
    }
}

#[test]
fn sizes_that_cannot_be_are_errors() {
    let small = Plan {
        size: 100,
        n: 1,
        ..Plan::default()
    };
    assert!(matches!(
        small.train(),
        Err(Error::Vocabulary { size: 100, .. })
    ));
    let large = Plan {
        size: 50_000,
        n: 1,
        ..Plan::default()
    };
    let error = large.train().expect_err("too few texts").to_string();
    assert!(error.contains("50000") && error.contains("only"), "{error}");
}
