//! `glmv verify`: the cases of a golden folder in, verdicts out.
//!
//! [`run`] opens the folder, hands every selected case to the runner of its [`Kind`] and prints a
//! [`report::Report`]. A runner feeds a case's inputs to our code and lays every result beside the
//! golden one through [`check::Check`], which fails the case for a difference beyond the tolerance
//! and for a golden tensor that nobody compared. One file per group of kinds.

mod check;
mod context;
mod fields;
mod generation;
mod grpo;
mod kind;
mod moe;
mod prompt;
mod pure;
mod report;
mod rotary;
mod sequence;
mod training;
mod verdict;
mod vision;
mod visual_input;

use crate::args::VerifyArgs;
use anyhow::Context as _;
use check::Check;
use context::Context;
use glmv_kernels::device::{self, select};
use glmv_testkit::{Case, GoldenSet};
use kind::Kind;
use report::{CaseReport, Report};
use std::io::Write as _;
use std::process::ExitCode;

/// Exit code for a wrong command line, as clap's.
const USAGE: u8 = 2;

/// Runs the command; the exit code is success only if every selected case passed.
///
/// Cases whose kind is unknown or unreadable are always selected: `--only` cannot name them, so it
/// cannot leave them out.
pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let only = match kind::parse(&args.only) {
        Ok(only) => only,
        Err(message) => {
            eprintln!("error: {message}");
            return Ok(ExitCode::from(USAGE));
        }
    };
    let selected = |kind: Option<&str>| match kind.and_then(Kind::from_name) {
        Some(kind) => only.is_empty() || only.contains(&kind),
        None => true,
    };
    let (set, broken) = GoldenSet::open_partly(&args.dir)?;
    let device = select(args.device.into())?;
    if let Some(note) = &device.note {
        eprintln!("note: {note}");
    }
    let context = Context::new(&set, device.device.clone(), args.dtype.into());
    let mut report = Report::new(&device);
    for case in set.cases() {
        if selected(Some(&case.kind)) {
            report.push(run_case(&context, case));
        }
    }
    for case in broken {
        if selected(case.kind.as_deref()) {
            let kind = case.kind.unwrap_or_else(|| "unreadable".into());
            report.push(CaseReport::failed(&case.id, &kind, case.error.to_string()));
        }
    }
    let mut stdout = std::io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{:#}", report.to_json()),
        false => write!(stdout, "{report}"),
    }
    .context("the report cannot be written")?;
    Ok(match report.passed() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Runs one case; whatever goes wrong is the case's failure.
fn run_case(context: &Context<'_>, case: &Case) -> CaseReport {
    let outcome = match Kind::from_name(&case.kind) {
        None => Err(anyhow::anyhow!("unknown kind {:?}", case.kind)),
        Some(kind) => compare(context, kind, case),
    };
    match outcome {
        Ok(tensors) => CaseReport::compared(case, tensors),
        Err(error) => CaseReport::failed(&case.id, &case.kind, format!("{error:#}")),
    }
}

fn compare(
    context: &Context<'_>,
    kind: Kind,
    case: &Case,
) -> anyhow::Result<Vec<verdict::TensorReport>> {
    let mut check = Check::load(context.set(), case)?;
    kind.run(context, &mut check)?;
    device::check()?;
    Ok(check.finish())
}
