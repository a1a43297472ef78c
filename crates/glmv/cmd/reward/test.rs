//! `glmv reward test`: every row of a case file against the outcomes it allows.

use crate::args::RewardTestArgs;
use anyhow::Context as _;
use glmv_reward::lab::{CaseFile, test};
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the subcommand; the exit code is success only if every row passed.
pub fn run(args: &RewardTestArgs) -> anyhow::Result<ExitCode> {
    let system = super::system(args.config.as_deref())?;
    let file = CaseFile::read(&args.file)?;
    let report = test(file, system.as_ref(), &args.file.display().to_string());
    let mut stdout = std::io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(&report)?),
        false => write!(stdout, "{report}"),
    }
    .context("the report cannot be written")?;
    Ok(match report.is_ok() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
