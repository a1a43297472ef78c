//! The check: counts that were counted by hand, and every bad row with its line.

use glmv_data::{CheckOptions, SourceSpec, Spread, check};
use serde_json::json;

use crate::support::{Folder, MOE, encoder};

#[test]
fn a_file_with_good_and_bad_rows_is_reported_in_full() {
    let folder = Folder::new();
    folder.picture("a.png", 80, 60, 10);
    let answer = |reasoning: &str| json!({"role": "assistant", "content": "Red.", "reasoning_content": reasoning});
    let good = json!({"messages": [{"role": "user", "content": "<image>What?"}, answer("look")],
        "images": ["a.png"], "domain": "vqa"});
    let mut missing = good.clone();
    missing["images"] = json!(["b.png"]);
    let mut count = good.clone();
    count["images"] = json!([]);
    let plain = json!({"messages": [{"role": "user", "content": "Hi"}, answer("")]});
    let lines = [
        good.to_string(),
        missing.to_string(),
        "{".to_owned(),
        count.to_string(),
        plain.to_string(),
        good.to_string(),
    ];
    let path = folder.text("rows.jsonl", &lines.join("\n"));
    let encoder = encoder(MOE);
    let options = CheckOptions {
        max_tokens: Some(20),
        listed: 2,
    };
    let mut heard = Vec::new();
    let report = check(
        &SourceSpec::new(&path),
        &encoder,
        &options,
        &mut |done, all| {
            heard.push((done, all));
        },
    );
    let report = report.expect("opens");
    assert_eq!(heard, (1..=6).map(|done| (done, 6)).collect::<Vec<_>>());
    assert_eq!((report.rows, report.bad_rows, report.samples), (6, 3, 3));
    assert_eq!((report.thinking_rows, report.domains["vqa"]), (2, 2));
    let bad: Vec<u64> = report.bad.iter().map(|row| row.line).collect();
    assert_eq!(bad, [2, 3], "two are listed, three counted");
    assert!(
        report.bad[0].reason.starts_with("image 1 ("),
        "{:?}",
        report.bad
    );
    assert!(
        report.bad[1].reason.starts_with("not valid JSON"),
        "{:?}",
        report.bad
    );
    let repeats: Vec<(u64, u64)> = report
        .duplicates
        .iter()
        .map(|d| (d.line, d.first))
        .collect();
    assert_eq!((report.duplicate_rows, repeats), (1, vec![(6, 1)]));
    assert_eq!((report.images.count, report.videos.count), (2, 0));
    assert_eq!(report.images.source_width_px.max, 80);
    assert_eq!(report.images.source_height_px.min, 60);
    let factor = u64::from(encoder.processor().image.geometry().factor());
    assert_eq!(report.images.width_px.max % factor, 0);
    assert_eq!(report.length.max * 2 + report.length.min, report.tokens);
    assert_eq!(report.lengths.classes.values().sum::<u64>(), 3);
    assert_eq!(
        report.too_long,
        Some(if report.length.max > 20 { 2 } else { 0 })
    );
    assert!(report.loss_tokens > 0 && report.loss_tokens < report.tokens);
    let json = serde_json::to_value(&report).expect("serialises");
    assert_eq!(json["bad"][1]["line"], 3);
    assert_eq!(json["layout"], "messages");
    let text = report.to_string();
    assert!(text.contains("bad rows    3\n  line 2: image 1"), "{text}");
    assert!(text.contains("  line 6 repeats line 1\n"), "{text}");
}

#[test]
fn tasks_are_checked_too() {
    let folder = Folder::new();
    let task = |truth| {
        json!({"data_source": "geo", "prompt": [{"role": "user", "content": "How many?"}],
            "reward_model": {"ground_truth": truth}})
    };
    let path = folder.rows("tasks.jsonl", &[task(json!("3")), task(json!(null))]);
    let options = CheckOptions::default();
    let report = check(
        &SourceSpec::new(&path),
        &encoder(MOE),
        &options,
        &mut |_, _| (),
    );
    let report = report.expect("opens");
    assert_eq!(
        (report.samples, report.bad_rows, report.loss_tokens),
        (1, 1, 0)
    );
    assert_eq!((report.too_long, report.domains["geo"]), (None, 1));
    assert_eq!(
        report.bad[0].reason,
        "reward_model.ground_truth: expected the true answer, found nothing"
    );
}

#[test]
fn spreads_are_those_of_a_hand() {
    let spread = Spread::of((1..=100).rev().collect());
    assert_eq!(
        (spread.min, spread.median, spread.p95, spread.max),
        (1, 50, 95, 100)
    );
    assert!((spread.mean - 50.5).abs() < 1e-12);
    assert_eq!(Spread::of(Vec::new()), Spread::default());
    assert_eq!(Spread::of(vec![7]).p95, 7);
}
