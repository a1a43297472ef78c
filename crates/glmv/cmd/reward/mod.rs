//! `glmv reward`: case files and domains in, scores and reports out.

mod fuzz;
mod score;
mod test;

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
    }
}

/// The reward config, if one was named.
fn system(config: Option<&Path>) -> anyhow::Result<Option<RewardSystem>> {
    Ok(config.map(RewardSystem::from_file).transpose()?)
}
