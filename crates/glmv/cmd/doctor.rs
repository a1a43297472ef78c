use crate::args::DoctorArgs;
use std::process::ExitCode;

pub fn run(_args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("in progress")
}
