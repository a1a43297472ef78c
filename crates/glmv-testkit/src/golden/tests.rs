use serde_json::json;

use super::*;
use crate::{compare, perturbed};

fn workspace() -> GoldenSet {
    GoldenSet::open(&workspace_golden_dir()).expect("assets/golden is complete")
}

/// Opens a folder whose `cases.json` holds one case, made from a good one by `edit`.
fn open_edited(edit: impl FnOnce(&mut Value)) -> Result<(GoldenSet, tempfile::TempDir), Error> {
    let mut file = json!({"format": 1, "generator": {}, "cases": [{
        "id": "a", "kind": "model", "model": null, "file": "a.safetensors", "tolerance": "exact",
        "tensors": {"x": {"shape": [2], "dtype": "float32"}}, "note": "kept",
    }]});
    edit(&mut file);
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("cases.json"), file.to_string()).expect("writable");
    let raw = crate::RawSafetensors {
        metadata: None,
        tensors: vec![crate::RawTensor {
            name: "x".into(),
            dtype: "F32".into(),
            shape: vec![2],
            data: [1.0_f32, 2.0]
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect(),
        }],
    };
    raw.write(&dir.path().join("a.safetensors"))
        .expect("writable");
    GoldenSet::open(dir.path()).map(|set| (set, dir))
}

#[test]
fn every_case_of_the_workspace_loads() {
    let set = workspace();
    assert!(set.cases().len() >= 60, "{} cases", set.cases().len());
    assert_eq!(set.generator()["transformers"], "5.23.0");
    for case in set.cases() {
        match &case.file {
            Some(_) => drop(case.load(&set).unwrap_or_else(|error| panic!("{error}"))),
            None => assert!(case.extra.contains_key("rows"), "{}", case.id),
        }
        if let Some(dir) = set.model_dir(case) {
            assert!(dir.join("config.json").is_file(), "{}", dir.display());
        }
    }
    let kinds: BTreeSet<&str> = set.cases().iter().map(|case| case.kind.as_str()).collect();
    assert_eq!(kinds.len(), 18, "{kinds:?}");
    assert_eq!(set.of_kind("grpo").count(), 8);
}

#[test]
fn typed_getters_check_the_type() {
    let set = workspace();
    let case = set.case("glm4v.vision.native_square").expect("listed");
    let tensors = case.load(&set).expect("readable");
    let (values, shape) = tensors.f32("pixel_values").expect("float32");
    assert_eq!((values.len(), shape), (16 * 1176, vec![16, 1176]));
    let (grid, shape) = tensors.i64("grid_thw").expect("int64");
    assert_eq!((grid.len(), shape), (3, vec![1, 3]));
    let error = tensors
        .i64("pixel_values")
        .expect_err("float32")
        .to_string();
    assert!(
        error.contains("native_square.safetensors") && error.contains("pixel_values"),
        "{error}"
    );
    assert!(tensors.f32("nothing").is_err() && !tensors.contains("nothing"));
    let grpo = set
        .case("grpo.plain")
        .expect("listed")
        .load(&set)
        .expect("readable");
    assert_eq!(grpo.f64("rewards").expect("float64").0.len(), 12);
    let bound = case.tolerance.bound("pixel_values").expect("a bound");
    let moved = perturbed(&values, 0.01).expect("finite");
    assert!(!compare(&moved, &values, &bound).expect("same length").ok);
}

#[test]
fn a_good_file_opens_and_keeps_the_rest() {
    let (set, _dir) = open_edited(|_| {}).expect("good");
    let case = set.case("a").expect("listed");
    assert_eq!(case.extra["note"], "kept");
    assert_eq!(
        case.load(&set)
            .expect("readable")
            .f32("x")
            .expect("float32")
            .0,
        [1.0, 2.0]
    );
    assert!(matches!(set.case("b"), Err(Error::NoCase { .. })));
}

#[test]
fn bad_files_are_errors_that_name_the_case() {
    let bad: [fn(&mut Value); 7] = [
        |v| v["format"] = json!(2),
        |v| v["cases"][0]["tolerance"] = json!({"ulps": 1}),
        |v| v["cases"][0]["file"] = json!("../a.safetensors"),
        |v| v["cases"][0]["model"] = json!("/etc"),
        |v| v["cases"][0]["id"] = json!(3),
        |v| v["cases"][0]["tensors"]["x"] = json!({"shape": [-1], "dtype": "float32"}),
        |v| {
            let twice = v["cases"][0].clone();
            v["cases"].as_array_mut().expect("a list").push(twice);
        },
    ];
    for (number, edit) in bad.into_iter().enumerate() {
        let error = open_edited(edit).expect_err("bad").to_string();
        assert!(error.contains("cases.json"), "{number}: {error}");
    }
    let missing = GoldenSet::open(Path::new("no/such/folder"))
        .expect_err("missing")
        .to_string();
    assert!(missing.contains("cases.json"), "{missing}");
}

#[test]
fn files_that_differ_from_the_list_are_errors() {
    type Edit = fn(&mut Value);
    let bad: [(&str, Edit); 4] = [
        ("float64", |v| {
            v["cases"][0]["tensors"]["x"]["dtype"] = json!("float64")
        }),
        ("[3]", |v| {
            v["cases"][0]["tensors"]["x"]["shape"] = json!([3])
        }),
        ("missing", |v| {
            v["cases"][0]["tensors"]["y"] = json!({"shape": [], "dtype": "uint8"})
        }),
        ("not list", |v| v["cases"][0]["tensors"] = json!({})),
    ];
    for (word, edit) in bad {
        let (set, _dir) = open_edited(edit).expect("opens");
        let error = set.cases()[0].load(&set).expect_err("differs").to_string();
        assert!(
            error.contains(word) && error.contains("a.safetensors"),
            "{error}"
        );
    }
    let (set, _dir) =
        open_edited(|v| v["cases"][0]["file"] = json!("b.safetensors")).expect("opens");
    assert!(matches!(set.cases()[0].load(&set), Err(Error::Io { .. })));
    let (set, _dir) = open_edited(|v| v["cases"][0]["file"] = json!(null)).expect("opens");
    assert!(matches!(set.cases()[0].load(&set), Err(Error::Case { .. })));
}

#[test]
fn broken_entries_do_not_hide_the_good_ones() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let good = json!({"id": "good", "kind": "model", "tolerance": "exact", "tensors": {}});
    let mut twice = good.clone();
    twice["kind"] = json!("vision");
    let mut vague = good.clone();
    vague["id"] = json!("vague");
    vague["tolerance"] = json!("about");
    let file = json!({"format": 1, "generator": {}, "cases": [vague, good, twice, 7]});
    std::fs::write(dir.path().join("cases.json"), file.to_string()).expect("writable");
    let (set, broken) = GoldenSet::open_partly(dir.path()).expect("a list of cases");
    assert_eq!(set.cases().len(), 1);
    let names: Vec<_> = broken
        .iter()
        .map(|b| (b.id.as_str(), b.kind.as_deref()))
        .collect();
    let want = [
        ("vague", Some("model")),
        ("good", Some("vision")),
        ("number 3", None),
    ];
    assert_eq!(names, want);
    assert!(
        broken[0].error.to_string().contains("about"),
        "{}",
        broken[0].error
    );
    assert!(GoldenSet::open(dir.path()).is_err());
}
