//! `cargo xtask lint`: format, lints, licences and sources of dependencies.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// Runs rustfmt, clippy and cargo-deny; installs what is missing.
///
/// # Errors
/// If one of them fails, or cannot be installed.
pub fn run(root: &Path) -> Result<()> {
    ensure_component(root, "fmt", "rustfmt")?;
    shell::run(shell::cargo(root).args(["fmt", "--all", "--check"]))?;
    ensure_component(root, "clippy", "clippy")?;
    shell::run(shell::cargo(root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    if !shell::succeeds(shell::cargo(root).args(["deny", "--version"])) {
        println!("cargo-deny is not installed: building it (some minutes, once)");
        shell::run(shell::cargo(root).args(["install", "cargo-deny", "--locked"]))?;
    }
    shell::run(shell::cargo(root).args(["deny", "check", "bans", "licenses", "sources"]))
}

/// Makes sure of a cargo subcommand that is a component of the toolchain.
fn ensure_component(root: &Path, subcommand: &str, component: &str) -> Result<()> {
    if shell::succeeds(shell::cargo(root).args([subcommand, "--version"])) {
        return Ok(());
    }
    if !shell::succeeds(Command::new("rustup").arg("--version")) {
        bail!("`cargo {subcommand}` is missing: install your toolchain's {component}");
    }
    shell::run(
        Command::new("rustup")
            .current_dir(root)
            .args(["component", "add", component]),
    )
}
