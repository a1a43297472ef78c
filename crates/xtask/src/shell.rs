//! Running other programs, with the command line shown first.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

/// The workspace this tool was built in.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The cargo that runs this tool, in the folder `dir`.
pub fn cargo(dir: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(dir);
    command
}

/// The project's program, built first: it lies beside this one, which is of the same profile. Another
/// one, built already, is taken from `GLMV_PROGRAM`.
///
/// # Errors
/// If it cannot be built.
pub fn program(root: &Path) -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = std::env::var_os("GLMV_PROGRAM") {
        return Ok(path.into());
    }
    if let Some(path) = BUILT.get() {
        return Ok(path.clone());
    }
    run(cargo(root).args(["build", "--quiet", "--bin", "glmv"]))?;
    let own = std::env::current_exe().context("this program has no path")?;
    let path = own.with_file_name(format!("glmv{}", std::env::consts::EXE_SUFFIX));
    Ok(BUILT.get_or_init(|| path).clone())
}

/// Runs a command to its end.
///
/// # Errors
/// If it cannot be started, or ends with a code other than 0.
pub fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    println!("$ {line}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// What a command prints to its standard output.
///
/// # Errors
/// As [`run`], and if it prints something other than text.
pub fn read(command: &mut Command) -> Result<String> {
    let line = describe(command);
    println!("$ {line}");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no text"))
}

/// True where a command starts and succeeds; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The command as one would type it.
pub fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program
        .file_stem()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    std::iter::once(name)
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A new empty folder of this process below the system's temporary folder.
///
/// # Errors
/// If it cannot be made.
pub fn temp_dir(purpose: &str) -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("glmv-{purpose}-{}", std::process::id()));
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_the_command() {
        let error = run(Command::new("no-such-program-here").arg("x")).expect_err("missing");
        assert!(
            error.to_string().contains("no-such-program-here x"),
            "{error}"
        );
        let error = run(cargo(&workspace_root()).arg("no-such-command")).expect_err("unknown");
        assert!(
            error.to_string().contains("cargo no-such-command"),
            "{error}"
        );
        assert!(succeeds(cargo(&workspace_root()).arg("--version")));
        assert!(!succeeds(&mut Command::new("no-such-program-here")));
    }

    #[test]
    fn temporary_folders_start_empty() {
        let dir = temp_dir("shell-test").expect("writable");
        std::fs::write(dir.join("x"), "").expect("writable");
        let again = temp_dir("shell-test").expect("writable");
        assert_eq!(std::fs::read_dir(&again).expect("readable").count(), 0);
        std::fs::remove_dir(again).expect("empty");
    }
}
