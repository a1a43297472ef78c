//! Arguments of `glmv gym`.

use super::DeviceArgs;
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
    /// Ask a model, and print its accuracy per domain and level.
    Eval(GymEvalArgs),
    /// Learn a tokenizer on the texts of the training split.
    Tokenizer(GymTokenizerArgs),
}

#[derive(Debug, Args)]
pub struct GymItemArgs {
    /// Domains, separated by commas, or all.
    #[arg(long, default_value = "all", value_name = "NAMES")]
    pub domain: String,
    /// Levels 1 to 5, separated by commas; 1 is easy.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5], value_name = "LEVELS")]
    pub level: Vec<u8>,
    /// Only these tasks, separated by commas: the middle of a template such as vqa/colour/1; lesson
    /// alone gives crowded pictures with everything named.
    #[arg(long, value_delimiter = ',', value_name = "TASKS")]
    pub task: Vec<String>,
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

#[derive(Debug, Args)]
pub struct GymEvalArgs {
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Domains, separated by commas, or all.
    #[arg(long, default_value = "all", value_name = "NAMES")]
    pub domain: String,
    /// Levels 1 to 5, separated by commas; 1 is easy.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5], value_name = "LEVELS")]
    pub level: Vec<u8>,
    /// Only these tasks, separated by commas: the middle of a template such as vqa/colour/1.
    #[arg(long, value_delimiter = ',', value_name = "TASKS")]
    pub task: Vec<String>,
    /// train, validation or test.
    #[arg(long, default_value = "test")]
    pub split: String,
    /// First seed within the split.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Items in all, spread evenly over domains and levels.
    #[arg(long, short, default_value_t = 1100)]
    pub n: u64,
    /// Width and height of the pictures, pixels; best a multiple of 28.
    #[arg(long, default_value_t = 112, value_name = "PIXELS")]
    pub side: u32,
    /// Answer with thinking, where the template knows how; the default.
    #[arg(long, conflicts_with = "no_think")]
    pub think: bool,
    /// Answer without thinking.
    #[arg(long)]
    pub no_think: bool,
    /// Sample at this temperature instead of taking the most likely token.
    #[arg(long, value_name = "T")]
    pub temperature: Option<f32>,
    /// Most tokens of an answer.
    #[arg(long, default_value_t = 384, value_name = "N")]
    pub max_new_tokens: usize,
    /// Answers at once.
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub batch: usize,
    /// Training items per domain and level that the guesser learns its answers from.
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub guess_from: u64,
    /// Do not answer a second time with blank pictures.
    #[arg(long)]
    pub no_blind: bool,
    /// Fail with exit code 1 if the accuracy over all items is lower, 0 to 1.
    #[arg(long, value_name = "SHARE")]
    pub at_least: Option<f64>,
    /// Fail with exit code 1 if the accuracy is not this much above that with blank pictures, 0 to 1.
    #[arg(long, value_name = "SHARE", conflicts_with = "no_blind")]
    pub over_blind: Option<f64>,
    /// Write every answer with its reward here, one JSON object per line.
    #[arg(long, value_name = "JSONL")]
    pub answers: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct GymTokenizerArgs {
    /// First seed within the training split.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Items per domain and level.
    #[arg(long, short, default_value_t = 200)]
    pub n: u64,
    /// Tokens in all, special ones included.
    #[arg(long, default_value_t = 1024)]
    pub size: usize,
    /// Folder for tokenizer.json and tokenizer_config.json.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
