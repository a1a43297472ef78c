//! `glmv bench`: what it reports, and that the planned memory is the measured one.

use crate::program::{assert_clear_error, golden, say};
use serde_json::Value;

/// A configuration of `assets/configs`, made smaller.
struct Reduced {
    dir: tempfile::TempDir,
}

impl Reduced {
    fn new(name: &str, change: impl FnOnce(&mut Value)) -> Self {
        let path = format!("{}/assets/configs/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let mut json: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        change(&mut json);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), json.to_string()).unwrap();
        Reduced { dir }
    }

    fn mid() -> Self {
        Reduced::new("mid-moe", |c| {
            let text = &mut c["text_config"];
            text["num_hidden_layers"] = 3.into();
            text["n_routed_experts"] = 12.into();
            c["vision_config"]["depth"] = 2.into();
        })
    }

    fn wide() -> Self {
        Reduced::new("wide-vocabulary", |c| {
            c["text_config"]["vocab_size"] = 50_000.into()
        })
    }

    fn bench(&self, args: &[&str]) -> Value {
        let path = self.dir.path().join("config.json");
        let base = ["bench", "--random", path.to_str().unwrap(), "--json"];
        let said = say(&[&base[..], args].concat());
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        serde_json::from_str(&said.stdout).unwrap()
    }
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// Planned and measured bytes of one sequence.
fn memory(model: &Reduced, args: &[&str]) -> (f64, f64) {
    let common = [
        "--device", "gpu", "--tg", "2", "--batch", "1", "--images", "none",
    ];
    let report = model.bench(&[&common[..], &["--reps", "1"], args].concat());
    let memory = &report["memory"];
    let found = (
        number(&memory["planned_bytes"]),
        number(&memory["one_sequence"]["peak"]),
    );
    println!(
        "planned {}, measured {}, ratio {}",
        found.0,
        found.1,
        found.0 / found.1
    );
    found
}

#[test]
fn the_plan_is_within_a_tenth_of_the_allocators_high_water_mark() {
    if !crate::run::has_adapter() {
        return;
    }
    let (mid, wide) = (Reduced::mid(), Reduced::wide());
    for (model, args) in [
        (&mid, &["--pp", "512"][..]),
        (&mid, &["--pp", "96", "--dtype", "f16"]),
        (&wide, &["--pp", "512"]),
        (&wide, &["--pp", "96", "--dtype", "f16"]),
    ] {
        let (planned, measured) = memory(model, args);
        let ratio = planned / measured;
        assert!(
            (0.9..=1.1).contains(&ratio),
            "{args:?}: {planned} of {measured}"
        );
    }
    // The comparison can fail: the plan of other weights is far off.
    let (f32_plan, _) = memory(&wide, &["--pp", "96"]);
    let (_, f16_measured) = memory(&wide, &["--pp", "96", "--dtype", "f16"]);
    assert!(f32_plan / f16_measured > 1.5);
}

#[test]
fn the_plan_holds_for_pictures_too() {
    if !crate::run::has_adapter() {
        return;
    }
    let model = Reduced::mid();
    let path = model.dir.path().join("config.json");
    for side in ["336", "672"] {
        let size = format!("{side}x{side}");
        let plan = [
            "--plan", "--device", "gpu", "--ctx", "16", "--json", "--image", &size,
        ];
        let said = say(&[&["inspect", path.to_str().unwrap()], &plan[..]].concat());
        let plan: Value = serde_json::from_str(&said.stdout).unwrap();
        let planned = number(&plan["needed_bytes"]);
        let args = [
            "--device", "gpu", "--pp", "0", "--tg", "0", "--reps", "1", "--images", side,
        ];
        let measured = number(&model.bench(&args)["memory"]["whole_run"]["peak"]);
        let ratio = planned / measured;
        println!("{side}: planned {planned}, measured {measured}, ratio {ratio}");
        assert!(
            (0.9..=1.1).contains(&ratio),
            "{side}: {planned} of {measured}"
        );
    }
}

#[test]
fn everything_asked_for_is_reported() {
    let args = [
        "--device", "cpu", "--pp", "24", "--tg", "3", "--batch", "1,3",
    ];
    let report = Reduced::mid().bench(&[&args[..], &["--images", "56", "--reps", "2"]].concat());
    let rows = report["rows"].as_array().unwrap();
    let tests: Vec<(&str, u64)> = rows
        .iter()
        .map(|r| (r["test"].as_str().unwrap(), r["batch"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        tests,
        [("pp24", 1), ("tg3", 1), ("tg3", 3), ("image 56", 1)]
    );
    for row in rows {
        let rate = &row["tokens_per_second"];
        let (min, median, max) = (
            number(&rate["min"]),
            number(&rate["median"]),
            number(&rate["max"]),
        );
        assert!(0.0 < min && min <= median && median <= max, "{row}");
        assert!(number(&row["seconds"]["median"]) > 0.0);
    }
    let start = &report["start"];
    for key in [
        "load_s",
        "first_token_cold_s",
        "first_token_warm_s",
        "start_to_first_token_s",
    ] {
        assert!(number(&start[key]) > 0.0, "{key}: {start}");
    }
    // The CPU device has neither a queue nor an allocator of its own.
    assert!(report["work"].is_null() && report["memory"]["one_sequence"].is_null());
}

#[test]
fn launches_and_reads_are_counted_at_the_queue() {
    if !crate::run::has_adapter() {
        return;
    }
    let model = Reduced::mid();
    let args = [
        "--device", "gpu", "--pp", "8", "--tg", "0", "--images", "none", "--reps", "1",
    ];
    let work = model.bench(&args)["work"].clone();
    let (decode, queue) = (&work["decode"], &work["queue"]);
    assert_eq!(decode["dispatches"], queue["dispatches"], "{work}");
    assert!(
        number(&decode["own"]) > 0.0 && number(&decode["own"]) <= number(&decode["dispatches"])
    );
    // A token id and its log-probability come back, nothing else.
    assert_eq!(number(&work["bytes_read_per_token"]), 8.0);
    // The budget: 8 a dense layer, 12 a MoE layer, 4 for the embedding, angles, norm and head, 3 for the
    // choice of the token.
    // One dispatch a layer at the very least, or the count does not see the model.
    let per_token = number(&work["dispatches_per_token"]);
    assert!(
        (3.0..=8.0 + 2.0 * 12.0 + 7.0).contains(&per_token),
        "{work}"
    );
}

#[test]
fn markdown_has_a_table() {
    let model = golden().join("glm4v_moe-f32");
    let args = [
        "bench",
        "--model",
        model.to_str().unwrap(),
        "--device",
        "cpu",
        "--pp",
        "8",
    ];
    let said = say(&[
        &args[..],
        &["--tg", "2", "--batch", "2", "--images", "none"],
    ]
    .concat());
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for text in [
        "| test | batch | tokens/s |",
        "| pp8 | 1 |",
        "| tg2 | 2 |",
        "first token, cold",
    ] {
        assert!(said.stdout.contains(text), "{text}: {}", said.stdout);
    }
}

#[test]
fn wrong_settings_are_named() {
    let model = golden().join("glm4v_moe-f32");
    let model = model.to_str().unwrap();
    let bench =
        |args: &[&str]| say(&[&["bench", "--model", model, "--device", "cpu"], args].concat());
    assert_eq!(say(&["bench"]).code, Some(2));
    assert_eq!(bench(&["--random", "x.json"]).code, Some(2));
    assert_clear_error(&bench(&["--reps", "0"]), &["--reps"]);
    assert_clear_error(&bench(&["--batch", "1,0"]), &["--batch"]);
    assert_clear_error(&bench(&["--images", "wide"]), &["--images", "wide"]);
    assert_clear_error(&bench(&["--images", "5"]), &["--images", "28"]);
    assert_clear_error(&bench(&["--pp", "4000", "--tg", "200"]), &["4096"]);
    assert_clear_error(&bench(&["--memory", "1KiB"]), &["needs", "1.0 KiB"]);
    let said = say(&["bench", "--random", "no.json", "--device", "cpu"]);
    assert_clear_error(&said, &["no.json"]);
}

/// Planned and measured bytes of training.
fn training(model: &Reduced, args: &[&str]) -> (f64, f64) {
    let common = ["--train", "--device", "gpu", "--reps", "1"];
    let report = model.bench(&[&common[..], args].concat());
    let memory = &report["memory"];
    let (planned, measured) = (
        number(&memory["planned_bytes"]),
        number(&memory["measured"]["peak"]),
    );
    println!(
        "{args:?}: planned {planned}, measured {measured}, {}",
        planned / measured
    );
    assert!(number(&report["step"]["tokens_per_second"]["median"]) > 0.0);
    (planned, measured)
}

/// Layers enough that what they keep shows beside weights and states.
fn small(name: &str) -> Reduced {
    Reduced::new(name, |c| {
        let text = &mut c["text_config"];
        text["num_hidden_layers"] = 6.into();
        text["intermediate_size"] = 704.into();
        match name {
            "mid-moe" => {
                text["hidden_size"] = 256.into();
                text["num_attention_heads"] = 8.into();
                text["n_routed_experts"] = 8.into();
                text["moe_intermediate_size"] = 128.into();
                c["vision_config"]["out_hidden_size"] = 256.into();
            }
            _ => text["vocab_size"] = 4000.into(),
        }
        c["vision_config"]["depth"] = 4.into();
    })
}

#[test]
fn the_plan_of_training_is_within_a_tenth_and_recompute_shows() {
    if !crate::run::has_adapter() {
        return;
    }
    for name in ["wide-vocabulary", "mid-moe"] {
        let model = small(name);
        let mut peaks = Vec::new();
        for args in [
            &["--pp", "512", "--recompute", "layer"][..],
            &["--pp", "512", "--recompute", "none"],
            &["--pp", "32", "--recompute", "layer", "--states", "8bit"],
            &["--pp", "32", "--picture", "336", "--recompute", "layer"],
            &["--pp", "32", "--picture", "336", "--recompute", "none"],
        ] {
            let (planned, measured) = training(&model, args);
            let ratio = planned / measured;
            assert!((0.9..=1.1).contains(&ratio), "{name} {args:?}: {ratio}");
            peaks.push(measured);
        }
        // A long sequence through six layers, and a picture through four blocks.
        assert!(peaks[0] < 0.92 * peaks[1], "{name}: {peaks:?}");
        assert!(peaks[3] < 0.97 * peaks[4], "{name}: {peaks:?}");
    }
}

#[test]
fn the_plan_of_adapters_is_within_a_tenth() {
    if !crate::run::has_adapter() {
        return;
    }
    for name in ["wide-vocabulary", "mid-moe"] {
        let model = small(name);
        for args in [
            // Long enough that a page of the allocator is little of it.
            &["--pp", "1024", "--lora", "64", "--recompute", "none"][..],
            &["--pp", "1024", "--lora", "8", "--dtype", "q8"],
            &["--pp", "32", "--lora", "8", "--picture", "336"],
        ] {
            let (planned, measured) = training(&model, args);
            let ratio = planned / measured;
            assert!((0.9..=1.1).contains(&ratio), "{name} {args:?}: {ratio}");
        }
    }
    // The comparison can fail: the plan of all weights is far off.
    let model = small("mid-moe");
    let (all, _) = training(&model, &["--pp", "32"]);
    let (_, adapter) = training(&model, &["--pp", "32", "--lora", "8"]);
    assert!(all / adapter > 1.5, "{all} of {adapter}");
}
