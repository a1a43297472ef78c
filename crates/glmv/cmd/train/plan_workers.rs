//! What workers need: on the run's own device, and on devices of their own.

use crate::args::{Device, SupervisedArgs};
use crate::fit::bytes;
use anyhow::Context as _;
use glmv_kernels::device::{Capacity, Info, describe};
use glmv_model::plan::{Section, TrainPlan};
use serde::Serialize;

/// What the workers on one other device need.
#[derive(Debug, Serialize)]
pub struct WorkerNeed {
    /// As it was typed.
    pub device: String,
    pub needed_bytes: u64,
    pub memory: Capacity,
    /// `None` where the memory is unknown.
    pub fits: Option<bool>,
}

/// A device beside the run's own.
pub struct Elsewhere {
    device: Device,
    pub info: Info,
    pub workers: u64,
}

/// Number of an adapter; `None` for the CPU.
fn place(device: Device, info: &Info) -> Option<usize> {
    match device {
        _ if info.backend == "cpu" => None,
        Device::Adapter(number) => Some(number),
        Device::Auto | Device::Gpu | Device::Cpu => Some(0),
    }
}

/// The devices of `--workers` other than the run's own, which is `info`.
pub fn elsewhere(args: &SupervisedArgs, info: &Info) -> anyhow::Result<Vec<Elsewhere>> {
    let own = place(args.device, info);
    let mut found: Vec<Elsewhere> = Vec::new();
    for worker in &args.workers {
        let info = describe(worker.device.into()).context("--workers")?;
        let at = place(worker.device, &info);
        if at == own {
            continue;
        }
        match found.iter_mut().find(|d| place(d.device, &d.info) == at) {
            Some(known) => known.workers += 1,
            None => found.push(Elsewhere {
                device: worker.device,
                info,
                workers: 1,
            }),
        }
    }
    Ok(found)
}

/// What `here` workers on the device of `plan` add to it, of `all` that hand their gradients over there:
/// a pass each, and gradients that are no sum yet, one in hand and one waiting for each worker.
pub fn bytes_here(plan: &TrainPlan, [all, here]: [u64; 2]) -> u64 {
    match all {
        0 => 0,
        _ => (all + 1) * plan.section_bytes(Section::Gradients) + here * pass(plan),
    }
}

/// Gradients and activations of a pass.
fn pass(plan: &TrainPlan) -> u64 {
    let sections = [
        Section::Gradients,
        Section::Saved,
        Section::Activations,
        Section::Workspace,
    ];
    sections.map(|s| plan.section_bytes(s)).iter().sum()
}

impl WorkerNeed {
    /// Weights and a pass for every worker on `device`; the optimiser stays with the trainer.
    pub fn new(device: &Elsewhere, plan: &TrainPlan) -> Self {
        let memory = device.info.memory.clone();
        let needed = device.workers * (plan.section_bytes(Section::Weights) + pass(plan));
        WorkerNeed {
            device: device.device.to_string(),
            needed_bytes: needed,
            fits: memory.bytes.map(|available| needed <= available),
            memory,
        }
    }

    /// Why it cannot be; `None` if nothing stands against it.
    pub fn refusal(&self) -> Option<String> {
        let available = self.memory.bytes.filter(|_| self.fits == Some(false))?;
        Some(format!(
            "the workers on {} need {}, available are {}: {}; leave them out of --workers",
            self.device,
            bytes(self.needed_bytes),
            bytes(available),
            self.memory.source
        ))
    }

    pub fn print(&self) {
        let available = self.memory.bytes.map_or("unknown".to_string(), bytes);
        let label = format!("workers on {}", self.device);
        let needed = bytes(self.needed_bytes);
        println!(
            "{label:<28}{needed:>14}  of {available}: {}",
            self.memory.source
        );
    }
}
