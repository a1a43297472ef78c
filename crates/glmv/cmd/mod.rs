//! One subcommand, one file.

pub mod bench;
pub mod data;
pub mod doctor;
pub mod gym;
pub mod inspect;
pub mod merge;
pub mod quantize;
pub mod reward;
pub mod rl;
pub mod run;
pub mod train;
pub mod verify;
