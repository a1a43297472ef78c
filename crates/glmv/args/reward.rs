//! Arguments of `glmv reward`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum RewardCommand {
    /// Score the rows of a case file.
    Score(RewardScoreArgs),
    /// Check that every row of a case file gives an outcome it allows.
    Test(RewardTestArgs),
    /// Attack the rules of a domain with right and wrong answers of known truth.
    Fuzz(RewardFuzzArgs),
    /// Watch a training log for reward hacking: exit 1 if the run should pause.
    Watch(RewardWatchArgs),
}

#[derive(Debug, Args)]
pub struct RewardWatchArgs {
    /// JSON lines, one per training step.
    pub log: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RewardScoreArgs {
    /// JSON lines, an array, or an object with `cases`.
    #[arg(long, value_name = "FILE")]
    pub cases: PathBuf,
    /// Reward config: data source to domain, parameters and weights.
    #[arg(long, value_name = "TOML")]
    pub config: Option<PathBuf>,
    /// Print one JSON object per row.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RewardTestArgs {
    /// Case file whose rows have `expected`.
    pub file: PathBuf,
    /// Reward config: data source to domain, parameters and weights.
    #[arg(long, value_name = "TOML")]
    pub config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RewardFuzzArgs {
    /// The domain.
    pub domain: String,
    /// Answers to make.
    #[arg(long, default_value_t = 2400, value_name = "N")]
    pub answers: usize,
    /// Seed of the answers.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
