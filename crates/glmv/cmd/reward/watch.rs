//! `glmv reward watch`: alarms of a training log.

use crate::args::RewardWatchArgs;
use anyhow::Context as _;
use glmv_reward::watch::{Outcome, WatchConfig, watch_log};
use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

/// Runs the subcommand; exit 1 if an alarm says that the run should pause.
pub fn run(args: &RewardWatchArgs) -> anyhow::Result<ExitCode> {
    let name = || args.log.display().to_string();
    let log = BufReader::new(File::open(&args.log).with_context(name)?);
    let report = watch_log(log, WatchConfig::default(), |alarm| {
        if !args.json {
            println!("{alarm}");
        }
    })
    .with_context(name)?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{} of {} lines watched", report.records, report.lines);
        for (domain, signal) in &report.unwatched {
            println!("not watched, because it is never logged: {signal:?} of {domain}");
        }
    }
    Ok(match report.outcome {
        Outcome::Pause => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    })
}
