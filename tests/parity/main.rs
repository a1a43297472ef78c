//! `glmv verify` on the golden folder (`GLMV_GOLDEN_DIR`, else `assets/golden`), on the CPU and on
//! a wgpu device, and on broken copies of the folder, which it must refuse by name.

mod controls;
mod folder;
mod program;

use program::{KINDS, verify};

/// Every case of every kind passes, and the JSON says what was done.
fn parity(device: &str) {
    let dir = glmv_testkit::golden_dir();
    let kinds = KINDS.join(",");
    let output = verify(&dir, &["--only", &kinds, "--device", device, "--json"]);
    assert_eq!(output.code, 0, "{output}");
    let json = output.json();
    assert_eq!(json["passed"], json["total"], "{output}");
    let cases = json["cases"].as_array().expect("a list of cases");
    assert_eq!(json["total"].as_u64(), Some(cases.len() as u64));
    let set = glmv_testkit::GoldenSet::open(&dir).expect("a golden folder");
    let wanted = set
        .cases()
        .iter()
        .filter(|c| KINDS.contains(&c.kind.as_str()));
    assert_eq!(cases.len(), wanted.count(), "every case ran");
    for case in cases {
        assert_eq!(case["passed"], true, "{case}");
        assert!(case["error"].is_null(), "{case}");
        let tensors = case["tensors"].as_array().expect("a list of tensors");
        let rated = tensors.iter().filter_map(|t| t["worst_ratio"].as_f64());
        assert!(
            rated.clone().count() > 0 && rated.fold(0.0, f64::max) <= 1.0,
            "{case}"
        );
    }
    for (kind, totals) in json["kinds"].as_object().expect("kinds") {
        assert!(KINDS.contains(&kind.as_str()), "{kind}");
        assert!(
            totals["worst"].is_string() && totals["worst_ratio"].is_number(),
            "{totals}"
        );
    }
    let want = if device == "cpu" { "native" } else { "wgsl" };
    for (op, path) in json["paths"].as_object().expect("paths") {
        assert_eq!(path, want, "{op}");
    }
    assert_eq!(
        json["device"]["backend"] == "cpu",
        device == "cpu",
        "{}",
        json["device"]
    );
}

#[test]
fn every_case_passes_on_the_cpu() {
    parity("cpu");
}

/// Without an adapter this passes only where `GLMV_REQUIRE_GPU` does not ask for one.
#[test]
fn every_case_passes_on_the_gpu() {
    let required = std::env::var_os("GLMV_REQUIRE_GPU").is_some_and(|value| value == "1");
    if !required {
        let probe = verify(
            &glmv_testkit::golden_dir(),
            &["--only", "smart_resize", "--device", "gpu"],
        );
        if probe.code != 0 && probe.stderr.contains("no GPU adapter found") {
            eprintln!("not run: {}", probe.stderr);
            return;
        }
    }
    parity("gpu");
}

#[test]
fn an_unknown_kind_on_the_command_line_is_a_usage_error() {
    let output = verify(
        &glmv_testkit::golden_dir(),
        &["--only", "visions", "--device", "cpu"],
    );
    assert_eq!(output.code, 2, "{output}");
    assert!(
        output.stderr.contains("visions") && output.stderr.contains("model_batch"),
        "{output}"
    );
}

#[test]
fn a_folder_without_cases_is_an_error() {
    let empty = tempfile::tempdir().expect("a temporary folder");
    let output = verify(empty.path(), &["--device", "cpu"]);
    assert_eq!(output.code, 1, "{output}");
    assert!(output.stderr.contains("cases.json"), "{output}");
}
