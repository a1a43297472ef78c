//! Running the program and reading what it says.

use std::path::PathBuf;
use std::process::{Command, Output};

/// The fixture folder.
pub fn golden() -> PathBuf {
    glmv_testkit::golden_dir()
}

/// The program under test.
pub fn glmv() -> Command {
    Command::new(env!("CARGO_BIN_EXE_glmv"))
}

/// What a finished run printed.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
        }
    }
}

/// Runs to the end with `args`.
pub fn say(args: &[&str]) -> Said {
    glmv()
        .args(args)
        .output()
        .expect("the program starts")
        .into()
}

/// Asserts exit code 1 or 2, no panic, and that stderr names every one of `names`.
pub fn assert_clear_error(said: &Said, names: &[&str]) {
    assert!(
        matches!(said.code, Some(1 | 2)),
        "exit {:?}: {}",
        said.code,
        said.stderr
    );
    assert!(!said.stderr.contains("panicked"), "panic: {}", said.stderr);
    assert!(
        said.stderr.contains("error:"),
        "no error line: {}",
        said.stderr
    );
    for name in names {
        assert!(
            said.stderr.contains(name),
            "{name:?} is not named in: {}",
            said.stderr
        );
    }
}
