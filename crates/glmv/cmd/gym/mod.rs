//! `glmv gym`: data sets, contact sheets, audits, a tokenizer and evaluations of the practice world.

mod audit;
mod eval;
mod make;
mod show;
mod tokenizer;

use crate::args::{GymCommand, GymItemArgs};
use glmv_gym::write::{Layout, Plan};
use glmv_gym::{Domain, Size, Split};
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(command: &GymCommand) -> anyhow::Result<ExitCode> {
    match command {
        GymCommand::Make(args) => make::run(args),
        GymCommand::Show(args) => show::run(args),
        GymCommand::Audit(args) => audit::run(args),
        GymCommand::Eval(args) => eval::run(args),
        GymCommand::Tokenizer(args) => tokenizer::run(args),
    }
}

/// What the options say, for `n` items.
fn plan(args: &GymItemArgs, n: u64, layout: Layout, nothink: f64) -> anyhow::Result<Plan> {
    let plan = Plan {
        domains: Domain::list(&args.domain)?,
        levels: args.level.clone(),
        tasks: args.task.clone(),
        split: Split::find(&args.split)?,
        seed: args.seed,
        n,
        size: Size { side: args.side },
        layout,
        nothink,
    };
    plan.check()?;
    Ok(plan)
}
