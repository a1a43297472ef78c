//! Arguments of `glmv merge`.

use clap::{Args, ValueEnum};
use glmv_model::StoreAs;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FloatType {
    F32,
    F16,
    Bf16,
}

impl From<FloatType> for StoreAs {
    fn from(float: FloatType) -> Self {
        match float {
            FloatType::F32 => StoreAs::F32,
            FloatType::F16 => StoreAs::F16,
            FloatType::Bf16 => StoreAs::BF16,
        }
    }
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Checkpoint folder, the one that the adapter belongs to.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Adapter folder as PEFT writes it: adapter_config.json and adapter_model.safetensors.
    /// Without it the weights stay as they are, for --store or --dequantize.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["average", "store", "dequantize"])]
    pub adapter: Option<PathBuf>,
    /// Checkpoints of the same model, as further stages or steps of training left them: the weights become
    /// the mean of theirs and of those of --model. One that is named twice counts twice.
    #[arg(long, value_name = "DIR", num_args = 1.., conflicts_with = "adapter")]
    pub average: Vec<PathBuf>,
    /// Folder to write; must not exist.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Type of the weights in the files; without it that of the checkpoint.
    #[arg(long, value_enum)]
    pub store: Option<FloatType>,
    /// Widen the weights of a quantised checkpoint, which cannot take an adapter up otherwise.
    #[arg(long)]
    pub dequantize: bool,
}
