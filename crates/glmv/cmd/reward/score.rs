//! `glmv reward score`: the reward of every row of a case file.

use crate::args::RewardScoreArgs;
use anyhow::Context as _;
use glmv_reward::lab::{CaseFile, RowScore, score_all};
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the subcommand; a row that is bad input is an error on stderr, and the exit code tells.
pub fn run(args: &RewardScoreArgs) -> anyhow::Result<ExitCode> {
    let system = super::system(args.config.as_deref())?;
    let file = CaseFile::read(&args.cases)?;
    let name = args.cases.display().to_string();
    let mut stdout = std::io::stdout().lock();
    let mut failed = 0_usize;
    for (_, scored) in score_all(file.rows, system.as_ref(), &name) {
        match scored {
            Ok(row) if args.json => writeln!(stdout, "{}", serde_json::to_string(&row)?),
            Ok(row) => writeln!(stdout, "{}", line(&row)),
            Err(error) => {
                eprintln!("error: {error}");
                failed += 1;
                Ok(())
            }
        }
        .context("the scores cannot be written")?;
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// One row for people.
fn line(row: &RowScore) -> String {
    let reward = match row.reward {
        Some(reward) => format!("{reward:.4}"),
        None => "judge".to_owned(),
    };
    let extracted = row.extracted.as_deref().unwrap_or("-").replace('\n', " ");
    let format = if row.format_ok { "ok" } else { "bad format" };
    format!(
        "{:<20} {reward:>7}  {format}  {extracted:?}  {}",
        row.id, row.why
    )
}
