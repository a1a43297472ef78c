//! The loader: full packs in a fixed order, exact resumption, errors in order, a clean end.

use std::path::Path;

use glmv_data::{
    Error, LoadedPack, Loader, LoaderOptions, LoaderState, LongPolicy, MixtureSpec, SourceSpec,
};
use serde_json::json;

use crate::support::{Folder, MOE, encoder};

const MAX: usize = 64;

fn rows(folder: &Folder, count: usize) -> std::path::PathBuf {
    let row = |i: usize| json!({"text": format!("row {i} {}", "word ".repeat(i * 7 % 9))});
    folder.rows("rows.jsonl", &(0..count).map(row).collect::<Vec<_>>())
}

fn mixture(path: &Path, epochs: Option<u32>) -> MixtureSpec {
    MixtureSpec {
        sources: vec![SourceSpec {
            epochs,
            ..SourceSpec::new(path)
        }],
        seed: 11,
        shuffle: true,
    }
}

fn start(path: &Path, options: &LoaderOptions, state: Option<LoaderState>) -> Loader {
    let loader = Loader::start(mixture(path, Some(2)), encoder(MOE), options.clone(), state);
    loader.expect("starts")
}

/// Everything of a pack that a trainer sees.
fn seen(pack: &LoadedPack) -> (Vec<u32>, Vec<bool>, Vec<usize>, Vec<u64>) {
    let lines = pack.samples.iter().map(|s| s.place.line).collect();
    (
        pack.input_ids(),
        pack.loss_mask(),
        pack.offsets.clone(),
        lines,
    )
}

#[test]
fn packs_hold_every_row_of_every_epoch() {
    let folder = Folder::new();
    let path = rows(&folder, 40);
    let packs: Vec<LoadedPack> = start(&path, &LoaderOptions::new(MAX), None)
        .map(|pack| pack.expect("a pack"))
        .collect();
    let mut lines: Vec<u64> = packs.iter().flat_map(|p| seen(p).3).collect();
    assert_eq!(lines.len(), 80);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines, (1..=40).collect::<Vec<_>>());
    for pack in &packs {
        assert!(pack.tokens() <= MAX);
        assert_eq!(pack.tokens(), pack.input_ids().len());
        // Nothing is predicted across samples.
        assert!(
            pack.offsets[..pack.samples.len()]
                .iter()
                .all(|&at| !pack.loss_mask()[at])
        );
    }
    let tokens: usize = packs.iter().map(LoadedPack::tokens).sum();
    assert!(
        tokens * 10 > packs.len() * MAX * 8,
        "packs are four fifths full"
    );
    assert_eq!(packs.last().expect("packs").totals.records, 80);
}

#[test]
fn every_pack_can_be_resumed_behind() {
    let folder = Folder::new();
    let path = rows(&folder, 30);
    let options = LoaderOptions::new(MAX);
    let packs: Vec<LoadedPack> = start(&path, &options, None)
        .map(|pack| pack.expect("a pack"))
        .collect();
    let all: Vec<_> = packs.iter().map(seen).collect();
    assert!(packs.len() > 6);
    let mut threaded = options;
    threaded.threads = 3;
    for (i, pack) in packs.iter().enumerate() {
        let saved = serde_json::to_string(&pack.state).expect("serialises");
        let state: LoaderState = serde_json::from_str(&saved).expect("reads back");
        let rest = start(&path, &threaded, Some(state)).map(|pack| pack.expect("a pack"));
        let rest: Vec<LoadedPack> = rest.collect();
        assert_eq!(rest.iter().map(seen).collect::<Vec<_>>(), all[i + 1..]);
        let last = rest.last().map_or(packs[i].totals, |pack| pack.totals);
        assert_eq!(last, packs[packs.len() - 1].totals);
    }
}

#[test]
fn an_error_comes_behind_the_samples_before_it() {
    let folder = Folder::new();
    let path = folder.text(
        "rows.jsonl",
        "{\"text\": \"one\"}\n{\"text\": \"two\"}\n{\"text\": 3}\n{\"text\": \"four\"}\n",
    );
    let plain = |max_bad_rows: u64| {
        let mut spec = mixture(&path, Some(1));
        spec.shuffle = false;
        let options = LoaderOptions {
            max_bad_rows,
            threads: 4,
            ..LoaderOptions::new(MAX)
        };
        Loader::start(spec, encoder(MOE), options, None).expect("starts")
    };
    let mut strict = plain(0);
    let first = strict.next().expect("a pack").expect("good");
    assert_eq!(seen(&first).3, [1, 2]);
    assert_eq!(first.state.cursor.drawn, 2);
    let error = strict.next().expect("an error").expect_err("a bad row");
    assert!(
        error
            .to_string()
            .ends_with("rows.jsonl:3: text: expected a string, found 3")
    );
    assert!(strict.next().is_none());
    let packs: Vec<_> = plain(1).collect::<Result<_, _>>().expect("tolerated");
    assert_eq!(packs.len(), 1);
    assert_eq!(seen(&packs[0]).3, [1, 2, 4]);
    assert_eq!((packs[0].totals.bad_rows, packs[0].bad_rows.len()), (1, 1));
}

#[test]
fn long_samples_are_counted_and_hopeless_data_ends() {
    let folder = Folder::new();
    let long = json!({"text": "word ".repeat(200)});
    let path = folder.rows("rows.jsonl", &[json!({"text": "short"}), long.clone()]);
    let options = |long| LoaderOptions {
        long,
        ..LoaderOptions::new(MAX)
    };
    let totals = |policy| {
        let packs = start(&path, &options(policy), None).map(|pack| pack.expect("a pack"));
        packs.last().expect("packs").totals
    };
    let dropped = totals(LongPolicy::Drop);
    assert_eq!((dropped.records, dropped.dropped, dropped.cut), (4, 2, 0));
    let cut = totals(LongPolicy::Cut);
    assert_eq!((cut.records, cut.dropped, cut.cut), (4, 0, 2));
    assert!(cut.cut_tokens > 0);
    let hopeless = folder.rows("long.jsonl", &[long]);
    let endless = mixture(&hopeless, None);
    let loader = Loader::start(endless, encoder(MOE), options(LongPolicy::Drop), None);
    let error = loader.expect("starts").next().expect("an end");
    let error = error.expect_err("nothing usable");
    assert!(matches!(error, Error::Fruitless { .. }), "{error}");
}

#[test]
fn an_endless_loader_ends_when_dropped() {
    let folder = Folder::new();
    let path = rows(&folder, 10);
    let spec = mixture(&path, None);
    let mut loader = Loader::start(spec, encoder(MOE), LoaderOptions::new(MAX), None);
    let loader = loader.as_mut().expect("starts");
    for _ in 0..20 {
        loader.next().expect("endless").expect("good");
    }
}

#[test]
fn settings_of_zero_are_refused() {
    let folder = Folder::new();
    let path = rows(&folder, 1);
    for key in ["max_tokens", "window_packs", "threads"] {
        let mut options = LoaderOptions::new(MAX);
        match key {
            "max_tokens" => options.max_tokens = 0,
            "window_packs" => options.window_packs = 0,
            _ => options.threads = 0,
        }
        let error = Loader::start(mixture(&path, None), encoder(MOE), options, None);
        let error = error.expect_err("refused").to_string();
        assert!(
            error.contains(&format!("`{key}`: expected at least 1, found 0")),
            "{error}"
        );
    }
}
