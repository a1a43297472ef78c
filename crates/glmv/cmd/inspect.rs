use crate::args::InspectArgs;
use std::process::ExitCode;

pub fn run(_args: &InspectArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("in progress")
}
