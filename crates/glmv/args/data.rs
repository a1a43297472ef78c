//! Arguments of `glmv data`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Tokenize every row of a data file: counts, lengths, picture sizes, bad rows. Exit 1 if any
    /// row is bad.
    Check(DataCheckArgs),
}

#[derive(Debug, Args)]
pub struct DataCheckArgs {
    /// JSON lines or one JSON array, in a layout that the first row's keys tell.
    pub file: PathBuf,
    /// Checkpoint folder whose tokenizer, template and picture sizes are used.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Count samples longer than this many tokens.
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// Most bad rows and duplicates to list.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub list: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
