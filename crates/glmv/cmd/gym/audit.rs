//! `glmv gym audit`: training files against evaluation files.

use crate::args::GymAuditArgs;
use anyhow::Context as _;
use glmv_gym::audit;
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the subcommand; the exit code is success only if nothing was found.
pub fn run(args: &GymAuditArgs) -> anyhow::Result<ExitCode> {
    let found = audit(&args.train, &args.eval)?;
    let mut stdout = std::io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(&found)?),
        false => write!(stdout, "{found}"),
    }
    .context("the report cannot be written")?;
    Ok(match found.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
