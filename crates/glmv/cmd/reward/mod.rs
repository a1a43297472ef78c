//! `glmv reward`: case files, domains and training logs in, scores, reports and alarms out.

mod fuzz;
mod score;
mod test;
mod watch;

use crate::args::RewardCommand;
use glmv_reward::RewardSystem;
use std::path::Path;
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(command: &RewardCommand) -> anyhow::Result<ExitCode> {
    match command {
        RewardCommand::Score(args) => score::run(args),
        RewardCommand::Test(args) => test::run(args),
        RewardCommand::Fuzz(args) => fuzz::run(args),
        RewardCommand::Watch(args) => watch::run(args),
    }
}

/// The reward config, if one was named.
fn system(config: Option<&Path>) -> anyhow::Result<Option<RewardSystem>> {
    Ok(config.map(RewardSystem::from_file).transpose()?)
}
