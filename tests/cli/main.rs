//! Spawns the `glmv` program: answers against the goldens, clear errors for bad input.

mod adapters;
mod bad_checkpoints;
mod bad_input;
mod bench;
mod bundled;
mod devices;
mod gym;
mod plan;
mod program;
mod reward;
mod rl;
mod rl_collapse;
mod rl_place;
mod rl_use;
mod rl_workers;
mod run;
mod train;
mod train_disk;
mod train_plan;
mod workers;
