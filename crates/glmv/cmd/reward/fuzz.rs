//! `glmv reward fuzz`: answers of known truth against the rules of a domain.

use crate::args::RewardFuzzArgs;
use anyhow::Context as _;
use glmv_reward::lab::fuzz;
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the subcommand; the exit code is success only if precision is at least 99 % and recall at
/// least 95 %.
pub fn run(args: &RewardFuzzArgs) -> anyhow::Result<ExitCode> {
    let report = fuzz(&args.domain, args.answers, args.seed)?;
    let mut stdout = std::io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(&report)?),
        false => write!(stdout, "{report}"),
    }
    .context("the report cannot be written")?;
    Ok(match report.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
