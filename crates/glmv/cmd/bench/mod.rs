//! `glmv bench`: prefill, decode by batch, picture encoding, start, memory and launches of a
//! checkpoint or of random weights; training with `--train`.

mod measure;
mod report;
mod subject;
mod train;

use crate::args::BenchArgs;
use crate::cmd::inspect::plan::read_config;
use crate::session::{self, Source};
use anyhow::{Context, bail};
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let sides = check(args)?;
    let source = match (&args.model, &args.random) {
        (Some(dir), _) => Source::Folder(dir),
        (None, Some(path)) => Source::Random(path, Box::new(read_config(path)?)),
        (None, None) => bail!("name a checkpoint with --model or a configuration with --random"),
    };
    if args.train {
        let loaded = session::load_model(&source, &args.device, None, false, args.json)?;
        let report = train::measure(args, loaded)?;
        match args.json {
            true => println!("{}", serde_json::to_string_pretty(&report)?),
            false => print!("{}", report.markdown()),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let chunk = if args.no_warm_up {
        None
    } else {
        Some(args.pp.max(1))
    };
    let loaded = session::load_model(&source, &args.device, chunk, !sides.is_empty(), args.json)?;
    let limit = loaded.model.config().text.max_position_embeddings;
    if args.pp.max(1) + args.tg > limit {
        bail!(
            "{} + {} tokens exceed the context of {limit}",
            args.pp,
            args.tg
        );
    }
    let report = measure::measure(args, &sides, &loaded)?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => print!("{}", report.markdown()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses what cannot be measured; the sides of the pictures.
fn check(args: &BenchArgs) -> anyhow::Result<Vec<usize>> {
    if args.reps == 0 || args.batch.contains(&0) {
        bail!("--reps and --batch must be positive");
    }
    if args.train && args.pp < 2 {
        bail!("--train needs at least --pp 2: a token to predict behind another");
    }
    if args.images == ["none"] {
        return Ok(Vec::new());
    }
    let side = |text: &String| -> anyhow::Result<usize> {
        let side = text.parse().ok().filter(|s| (28..=8192).contains(s));
        side.with_context(|| format!("--images {text:?}: expected sides of 28 to 8192 px, or none"))
    };
    args.images.iter().map(side).collect()
}
