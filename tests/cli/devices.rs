//! Device choice: what `auto`, `gpu` and `cpu` do with and without adapters.

use crate::program::{Said, assert_clear_error, glmv, golden};

/// Runs a short answer on `device`, with the Vulkan drivers hidden if `hide`.
fn run(device: &str, hide: bool) -> Said {
    let model = golden().join("glm4v-f32");
    let mut command = glmv();
    command.args([
        "run",
        "--model",
        model.to_str().unwrap(),
        "--max-new-tokens",
        "1",
    ]);
    command.args(["--device", device, "--json", "Hi"]);
    if hide {
        for name in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
            command.env(name, "/nonexistent.json");
        }
    }
    command.output().expect("the program starts").into()
}

fn backend(said: &Said) -> String {
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    report["device"]["backend"].as_str().unwrap().to_string()
}

#[test]
fn cpu_needs_no_adapter_and_says_nothing() {
    let said = run("cpu", true);
    assert_eq!(backend(&said), "cpu");
    assert!(!said.stderr.contains("note:"), "{}", said.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn without_adapters_auto_takes_the_cpu_and_gpu_is_an_error() {
    let said = run("auto", true);
    assert_eq!(backend(&said), "cpu");
    assert!(
        said.stderr.contains("note: no hardware GPU adapter found"),
        "{}",
        said.stderr
    );
    assert_clear_error(
        &run("gpu", true),
        &["no GPU adapter found", "mesa-vulkan-drivers"],
    );
}

#[test]
fn a_software_adapter_is_taken_only_on_request() {
    if !crate::run::has_adapter() {
        return;
    }
    let best = &glmv::kernels::device::list()[0];
    let chosen = backend(&run("auto", false));
    if best.software {
        assert_eq!(chosen, "cpu");
    } else {
        assert_eq!(chosen, best.backend);
    }
    assert_eq!(backend(&run("gpu", false)), best.backend);
}
