//! `glmv rl`: what goes with rewarded runs.

mod compare;
mod grade;
mod harvest;
mod replay;

use crate::args::RlCommand;
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(command: &RlCommand) -> anyhow::Result<ExitCode> {
    match command {
        RlCommand::Compare(args) => compare::run(args),
        RlCommand::Grade(args) => grade::run(args),
        RlCommand::Harvest(args) => harvest::run(args),
        RlCommand::Replay(args) => replay::run(args),
        RlCommand::Report(args) => {
            let page = glmv_monitor::write_report(&args.run)?;
            println!("{}", page.display());
            Ok(ExitCode::SUCCESS)
        }
    }
}
