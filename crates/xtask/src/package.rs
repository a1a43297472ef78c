//! `cargo xtask package`: the kernel crate and what it stands on can be published, and used without us.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::shell;

/// Packages them, then checks a crate outside of the workspace that depends on
/// `glmv-kernels` alone.
///
/// The foreign check compiles the crates, so `cargo package` need not do it a second time
/// (`--no-verify`). It takes our lock file, profiles and target folder: same versions, and
/// dependencies that clippy has checked already. Nothing is linked, which the tests do anyway.
///
/// # Errors
/// If a crate does not package, or the foreign crate does not compile.
pub fn run(root: &Path) -> Result<()> {
    let args = [
        "package",
        "--no-verify",
        "--allow-dirty",
        "-p",
        "glmv-shaders",
        "-p",
        "glmv-quant",
        "-p",
        "glmv-cpu",
        "-p",
        "glmv-sampling",
        "-p",
        "glmv-kernels",
    ];
    shell::run(shell::cargo(root).args(args))?;
    let root = root.canonicalize().context("cannot find the workspace")?;
    let dir = shell::temp_dir("foreign")?;
    write_foreign_crate(&root, &dir)?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    shell::run(
        shell::cargo(&dir)
            .arg("check")
            .env("CARGO_TARGET_DIR", target),
    )?;
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
}

fn write_foreign_crate(root: &Path, dir: &Path) -> Result<()> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).context("Cargo.toml")?;
    let kernels = root.join("crates").join("glmv-kernels");
    std::fs::create_dir_all(dir.join("src")).context("src")?;
    std::fs::write(
        dir.join("Cargo.toml"),
        foreign_manifest(&kernels, &profiles(&manifest)),
    )
    .context("Cargo.toml")?;
    std::fs::write(
        dir.join("src/main.rs"),
        "use glmv_kernels as _;\n\nfn main() {}\n",
    )
    .context("main.rs")?;
    std::fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).context("Cargo.lock")?;
    Ok(())
}

fn foreign_manifest(kernels: &Path, profiles: &str) -> String {
    // A TOML literal string: backslashes of Windows paths stand for themselves.
    format!(
        "[package]\nname = \"foreign\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
         [workspace]\n\n[dependencies]\nglmv-kernels = {{ path = '{}' }}\n\n{profiles}",
        kernels.display()
    )
}

/// The `[profile…]` sections of a manifest.
fn profiles(manifest: &str) -> String {
    let mut inside = false;
    let mut text = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.starts_with("[profile");
        }
        if inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_manifest_stands_alone() {
        let manifest = "[package]\nname = \"x\"\n[profile.dev]\nopt-level = 1\n[lints]\nworkspace = true\n\
                        [profile.dev.package.\"*\"]\nopt-level = 3\n";
        let profiles = profiles(manifest);
        assert_eq!(
            profiles,
            "[profile.dev]\nopt-level = 1\n[profile.dev.package.\"*\"]\nopt-level = 3\n"
        );
        let foreign = foreign_manifest(Path::new("some/where"), &profiles);
        assert!(foreign.contains("[workspace]\n") && foreign.contains("path = 'some/where'"));
        assert!(foreign.ends_with(&profiles));
    }
}
