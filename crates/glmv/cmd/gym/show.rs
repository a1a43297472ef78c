//! `glmv gym show`: items beside each other on one picture.

use crate::args::GymShowArgs;
use anyhow::Context as _;
use glmv_gym::sheet::sheet;
use glmv_gym::write::Layout;
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(args: &GymShowArgs) -> anyhow::Result<ExitCode> {
    let plan = super::plan(&args.items, args.n, Layout::Sft, 0.0)?;
    let items = (0..args.n)
        .map(|i| plan.item(i))
        .collect::<Result<Vec<_>, _>>()?;
    let page = sheet(&items, args.columns)?;
    page.save(&args.out)
        .with_context(|| format!("{} cannot be written", args.out.display()))?;
    Ok(ExitCode::SUCCESS)
}
