//! `glmv data`: data files in, what training would make of them out.

use crate::args::{DataCheckArgs, DataCommand};
use anyhow::Context as _;
use glmv_data::{CheckOptions, EncodeOptions, Encoder, SourceSpec, check};
use glmv_processor::Processor;
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the subcommand.
pub fn run(command: &DataCommand) -> anyhow::Result<ExitCode> {
    match command {
        DataCommand::Check(args) => check_file(args),
    }
}

/// Exit code 1 if a row cannot be used.
fn check_file(args: &DataCheckArgs) -> anyhow::Result<ExitCode> {
    let processor = Arc::new(Processor::from_dir(&args.model)?);
    let encoder = Encoder::new(processor, EncodeOptions::default())?;
    let options = CheckOptions {
        max_tokens: args.sequence,
        ..CheckOptions::default()
    };
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let report = check(
        &SourceSpec::new(&args.file),
        &encoder,
        &options,
        &mut |done, all| {
            bar.set_length(u64::from(all));
            bar.set_position(u64::from(done));
        },
    );
    bar.finish_and_clear();
    let report = report?;
    let mut stdout = std::io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(&report)?),
        false => write!(stdout, "{report}"),
    }
    .context("the report cannot be written")?;
    Ok(match report.bad_rows {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
