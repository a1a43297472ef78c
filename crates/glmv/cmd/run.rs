use crate::args::RunArgs;
use std::process::ExitCode;

pub fn run(_args: &RunArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("in progress")
}
