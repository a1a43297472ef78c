//! Burn's features, as cargo resolves them for this machine. `burn/vulkan` and `burn/metal` switch
//! the runtime to compilers that refuse WGSL text, so nobody may turn them on, not even a dependency.

use crate::root;
use std::process::Command;

/// Features that replace the WGSL compiler: of burn, then of the crates below it.
const FORBIDDEN: [&str; 4] = ["vulkan", "metal", "spirv", "msl"];

/// Lines `name version|feature,feature` of every package of the workspace's build.
fn packages() -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // `cargo metadata` shows the features of all platforms and targets at once; `cargo tree` shows
    // those that the build has.
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["tree", "--offline", "--locked", "--workspace"])
        .args(["--prefix", "none", "--format", "{p}|{f}"])
        .output()
        .expect("cargo starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {complaint}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Packages of Burn and CubeCL with a feature that takes WGSL away.
fn offenders(packages: &str) -> Vec<&str> {
    let lines = packages.lines().filter(|line| {
        let (package, features) = line.split_once('|').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or_default();
        let family = name.starts_with("burn") || name.starts_with("cubecl");
        // A repeated package ends in " (*)".
        let mut features = features.split([',', ' ']);
        let wrong = features.any(|f| FORBIDDEN.contains(&f));
        family && (wrong || name == "cubecl-spirv")
    });
    lines.collect()
}

#[test]
fn no_dependency_takes_the_wgsl_compiler_away() {
    let packages = packages();
    let burn = packages.lines().find(|line| line.starts_with("burn v"));
    let burn = burn.expect("burn is a dependency");
    assert!(burn.contains("wgpu"), "the list shows features: {burn}");
    assert_eq!(offenders(&packages), Vec::<&str>::new());
}

#[test]
fn a_forbidden_feature_would_be_seen() {
    let good = "burn v0.22.1|std,wgpu\nwgpu v30.0.0|metal,vulkan,wgsl\n";
    assert_eq!(offenders(good), Vec::<&str>::new());
    for bad in [
        "burn v0.22.1|std,vulkan,wgpu",
        "burn v0.22.1|metal (*)",
        "cubecl-wgpu v0.11.3|spirv",
        "cubecl-spirv v0.11.3|",
    ] {
        assert_eq!(offenders(&format!("{good}{bad}\n")), [bad]);
    }
}
