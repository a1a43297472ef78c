//! `cargo xtask test`: all tests, with a GPU adapter required.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::{shell, vulkan};

/// Makes sure of an adapter, runs `cargo test --workspace` and returns its exit code.
///
/// # Errors
/// If the adapter cannot be installed, or cargo not started.
pub fn run(root: &Path, args: &[&str]) -> Result<ExitCode> {
    vulkan::ensure_adapter()?;
    let runtime_dir = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(_) => None, // lavapipe and Wayland print warnings without one
        None => Some(shell::temp_dir("runtime")?),
    };
    let mut command = shell::cargo(root);
    command.args(["test", "--workspace"]).args(args);
    set_environment(&mut command, runtime_dir.as_deref())?;
    let line = shell::describe(&command);
    println!("$ GLMV_REQUIRE_GPU=1 {line}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"));
    if let Some(dir) = runtime_dir {
        std::fs::remove_dir_all(&dir)
            .with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(exit_code(status?.code()))
}

fn set_environment(command: &mut Command, runtime_dir: Option<&Path>) -> Result<()> {
    command
        .env("GLMV_REQUIRE_GPU", "1")
        .env("RUST_BACKTRACE", "1");
    let Some(dir) = runtime_dir else {
        return Ok(());
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    }
    command.env("XDG_RUNTIME_DIR", dir);
    Ok(())
}

/// Cargo's own code; 1 where a signal ended it.
fn exit_code(code: Option<i32>) -> ExitCode {
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_cargos() {
        assert_eq!(exit_code(Some(0)), ExitCode::SUCCESS);
        assert_eq!(exit_code(Some(101)), ExitCode::from(101));
        assert_eq!(exit_code(None), ExitCode::FAILURE);
        assert_eq!(exit_code(Some(256)), ExitCode::FAILURE);
    }

    #[test]
    fn a_gpu_is_required() {
        let mut command = Command::new("cargo");
        set_environment(&mut command, None).expect("no folder");
        let set: Vec<_> = command.get_envs().collect();
        assert!(set.contains(&("GLMV_REQUIRE_GPU".as_ref(), Some("1".as_ref()))));
        assert!(!set.iter().any(|(name, _)| *name == "XDG_RUNTIME_DIR"));
    }
}
