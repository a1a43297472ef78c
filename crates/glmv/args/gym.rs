//! Arguments of `glmv gym`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum GymCommand {
    /// Write a data set: JSON lines beside their pictures.
    Make(GymMakeArgs),
    /// Draw a contact sheet.
    Show(GymShowArgs),
    /// Prove that no evaluation item and no held-out combination occurs in training files.
    Audit(GymAuditArgs),
}

#[derive(Debug, Args)]
pub struct GymItemArgs {
    /// Domains, separated by commas, or all.
    #[arg(long, default_value = "all", value_name = "NAMES")]
    pub domain: String,
    /// Levels 1 to 5, separated by commas; 1 is easy.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5], value_name = "LEVELS")]
    pub level: Vec<u8>,
    /// train, validation or test.
    #[arg(long, default_value = "train")]
    pub split: String,
    /// First seed within the split.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Width and height of the pictures, pixels; best a multiple of 28.
    #[arg(long, default_value_t = 112, value_name = "PIXELS")]
    pub side: u32,
}

#[derive(Debug, Args)]
pub struct GymMakeArgs {
    #[command(flatten)]
    pub items: GymItemArgs,
    /// Items in all.
    #[arg(long, short, default_value_t = 1000)]
    pub n: u64,
    /// sft, rl or caption.
    #[arg(long, default_value = "sft")]
    pub layout: String,
    /// Share of SFT rows without thinking, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub nothink: f64,
    /// Folder to write to.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct GymShowArgs {
    #[command(flatten)]
    pub items: GymItemArgs,
    /// Items in all.
    #[arg(long, short, default_value_t = 30)]
    pub n: u64,
    /// Items in a row.
    #[arg(long, default_value_t = 6)]
    pub columns: usize,
    /// PNG file to write.
    #[arg(long, value_name = "PNG")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct GymAuditArgs {
    /// Training files.
    #[arg(long, required = true, num_args = 1.., value_name = "JSONL")]
    pub train: Vec<PathBuf>,
    /// Evaluation files.
    #[arg(long, required = true, num_args = 1.., value_name = "JSONL")]
    pub eval: Vec<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
