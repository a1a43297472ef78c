//! The project's own commands: `cargo xtask test | lint | lines | package | pictures | reward | curriculum | world | bundle | experiments`. CI runs the same words.

mod curriculum;
mod experiments;
mod lines;
mod lint;
mod package;
mod pictures;
mod results;
mod reward;
mod shell;
mod test;
mod vulkan;
mod world;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND

  test [-- ARGS]  make sure of a Vulkan adapter, then `cargo test --workspace ARGS`
  lint            rustfmt, clippy, cargo-deny
  lines           length of the source files
  package         package the shader and kernel crates, check a foreign crate on them
  pictures [cpu|gpu|auto] [short] [OUT]
                  train a small model from random weights until it names colours
  reward [cpu|gpu|auto] [short] [OUT]
                  learn the same from reward alone, where a model half knows it
  curriculum [cpu|gpu|auto] [short] [OUT]
                  curriculum sampling against uniform sampling, over tasks of which most are out of reach
  world [cpu|gpu|auto] [short] [bundled] [OUT]
                  train the bundled model through all stages; with `bundled`, those it has not been through
  bundle [cpu|gpu|auto] [WORLD]
                  put the model of a world's last finished stage into assets/models/glmv-tiny
  experiments [cpu|gpu|auto] [short] [WORLD]
                  what the paper found, small: from the fine-tuned checkpoint of a finished `world`
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<ExitCode> {
    let root = shell::workspace_root();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test", "--", rest @ ..] | ["test", rest @ ..] => return test::run(&root, rest),
        ["lint"] => lint::run(&root)?,
        ["lines"] => lines::run(&root)?,
        ["package"] => package::run(&root)?,
        ["pictures", rest @ ..] => pictures::run(&root, rest)?,
        ["reward", rest @ ..] => reward::run(&root, rest)?,
        ["curriculum", rest @ ..] => curriculum::run(&root, rest)?,
        ["world", rest @ ..] => world::run(&root, rest)?,
        ["bundle", rest @ ..] => world::bundle::run(&root, rest)?,
        ["experiments", rest @ ..] => experiments::run(&root, rest)?,
        [] | ["help" | "--help" | "-h"] => print!("{USAGE}"),
        other => bail!("{:?} is not a command\n\n{USAGE}", other.join(" ")),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_commands_are_errors() {
        let error = dispatch(&["tset".into()]).expect_err("a typing mistake");
        assert!(error.to_string().contains("tset") && error.to_string().contains("usage"));
        assert!(dispatch(&["lint".into(), "surplus".into()]).is_err());
        assert!(dispatch(&[]).is_ok());
    }
}
