//! `glmv gym make`: a data set of a split.

use crate::args::GymMakeArgs;
use anyhow::Context as _;
use glmv_gym::write::{Layout, make};
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(args: &GymMakeArgs) -> anyhow::Result<ExitCode> {
    let plan = super::plan(
        &args.items,
        args.n,
        Layout::find(&args.layout)?,
        args.nothink,
    )?;
    let report = make(&plan, &args.out)?;
    let mut stdout = std::io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(&report)?),
        false => write!(stdout, "{report}"),
    }
    .context("the report cannot be written")?;
    Ok(ExitCode::SUCCESS)
}
