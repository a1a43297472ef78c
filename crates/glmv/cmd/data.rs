//! `glmv data`: what is in a file of training data, before it is used.

use crate::args::{DataCheckArgs, DataCommand};
use anyhow::Context;
use glmv_data::{CheckOptions, EncodeOptions, Encoder, SourceSpec};
use glmv_processor::Processor;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the subcommand.
pub fn run(command: &DataCommand) -> anyhow::Result<ExitCode> {
    match command {
        DataCommand::Check(args) => check(args),
    }
}

fn check(args: &DataCheckArgs) -> anyhow::Result<ExitCode> {
    let processor = Processor::from_dir(&args.model)
        .with_context(|| format!("cannot read {}", args.model.display()))?;
    let encoder = Encoder::new(Arc::new(processor), EncodeOptions::default())?;
    let options = CheckOptions {
        max_tokens: args.max_tokens,
        listed: args.list,
    };
    let spec = SourceSpec::new(&args.file);
    let report = glmv_data::check(&spec, &encoder, &options, &mut |_, _| ())?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(match report.bad_rows {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    })
}
