//! Arguments of `glmv train` and `glmv data`.

use super::{Device, byte_count};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// Learn from images and running text (also: longer sequences and video, by the recipe).
    Pretrain(SupervisedArgs),
    /// Learn answers from examples, thinking and non-thinking.
    Sft(SupervisedArgs),
}

#[derive(Debug, Args)]
pub struct SupervisedArgs {
    /// The run's settings.
    #[arg(long, value_name = "TOML")]
    pub recipe: PathBuf,
    /// Checkpoint folder to start from.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Folder of the run: checkpoints, metrics and report.
    #[arg(
        long,
        value_name = "DIR",
        required = false,
        required_unless_present = "plan",
        default_value_if("plan", "true", ".")
    )]
    pub out: PathBuf,
    /// Change a setting of the recipe, such as train.schedule.rate=1e-4; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Go on from the newest checkpoint in the run's folder.
    #[arg(long)]
    pub resume: bool,
    /// Where to run.
    #[arg(long, value_enum, default_value_t)]
    pub device: Device,
    /// Lines instead of the dashboard.
    #[arg(long)]
    pub plain: bool,
    /// Print what the run needs on the device, part by part, and do not run.
    #[arg(long)]
    pub plan: bool,
    /// Memory of the device, if it does not tell or less may be used: bytes, or with KiB, MiB, GiB.
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    pub memory: Option<u64>,
    /// Print the plan as one JSON object.
    #[arg(long, requires = "plan")]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Tokenise every row of a data file and report counts, lengths, pictures and bad rows.
    Check(DataCheckArgs),
}

#[derive(Debug, Args)]
pub struct DataCheckArgs {
    /// JSON lines or one JSON array, in any of the layouts that training reads.
    pub file: PathBuf,
    /// Checkpoint folder whose tokenizer, template and processor are used.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Most tokens of a sequence, to count what would be cut and how well it packs.
    #[arg(long, value_name = "TOKENS")]
    pub sequence: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
