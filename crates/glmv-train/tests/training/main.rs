//! Gradients, steps and checkpoints on the golden models, on the CPU device and on wgpu.

mod adapter_runs;
mod adapters;
mod agreement;
mod checkpoints;
mod coded;
mod equal;
mod learning;
mod support;
mod workers;
