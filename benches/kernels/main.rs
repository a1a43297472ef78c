//! Every kernel against its twin on the same device: a Markdown table with the share of the
//! device's measured peaks.
//!
//! `cargo bench --bench kernels -- [--device cpu|gpu] [--only TEXT]`

use anyhow::{Context, Result, bail};
use glmv_kernels::device::{self, Choice};

mod cases;
mod harness;

use cases::{attentions, dense, mixture, products};
use harness::Bench;

fn main() -> Result<()> {
    let (choice, only) = arguments()?;
    let selected = match device::select(choice) {
        Err(device::Error::NoAdapter) => device::select(Choice::Cpu)?,
        other => other?,
    };
    let info = &selected.info;
    println!("Device: {} ({}, {})", info.name, info.backend, info.driver);
    let mut bench = Bench::new(selected.device, only)?;
    println!("\n| op | shape | kernel ms | twin ms | twin / kernel | rate | share of peak |");
    println!("|---|---|---:|---:|---:|---:|---:|");
    dense(&mut bench)?;
    products(&mut bench)?;
    attentions(&mut bench)?;
    mixture(&mut bench)?;
    device::check()?;
    Ok(())
}

fn arguments() -> Result<(Choice, Option<String>)> {
    let (mut choice, mut only) = (Choice::Gpu, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bench" => {} // cargo passes it
            "--device" => {
                choice = match args.next().as_deref() {
                    Some("cpu") => Choice::Cpu,
                    Some("gpu") => Choice::Gpu,
                    other => bail!("--device takes cpu or gpu, found {other:?}"),
                }
            }
            "--only" => only = Some(args.next().context("--only takes a part of an op's name")?),
            other => bail!("unknown argument {other}"),
        }
    }
    Ok((choice, only))
}
