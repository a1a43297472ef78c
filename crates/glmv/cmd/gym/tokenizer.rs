//! `glmv gym tokenizer`: a tokenizer learnt on the gym's texts.

use crate::args::GymTokenizerArgs;
use glmv_gym::tokenizer::Plan;
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(args: &GymTokenizerArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan {
        seed: args.seed,
        n: args.n,
        size: args.size,
    };
    plan.train()?.write(&args.out)?;
    println!(
        "{}: {} tokens learnt on {} items per domain and level, seed {}",
        args.out.display(),
        args.size,
        args.n,
        args.seed
    );
    Ok(ExitCode::SUCCESS)
}
