//! Arguments of `glmv quantize`.

use super::Device;
use clap::{Args, ValueEnum};
use glmv_engine::Precision;
use glmv_quant::Format;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum CodeFormat {
    Q8,
    Q4,
}

impl From<CodeFormat> for Format {
    fn from(format: CodeFormat) -> Self {
        match format {
            CodeFormat::Q8 => Format::Q8,
            CodeFormat::Q4 => Format::Q4,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum VisionStorage {
    #[default]
    F16,
    Q8,
}

impl From<VisionStorage> for Precision {
    fn from(storage: VisionStorage) -> Self {
        match storage {
            VisionStorage::F16 => Precision::F16,
            VisionStorage::Q8 => Precision::Q8,
        }
    }
}

#[derive(Debug, Args)]
pub struct QuantizeArgs {
    /// Checkpoint folder as published on the hub.
    pub input: PathBuf,
    /// Folder to write; must hold no weights yet.
    #[arg(required_unless_present = "report")]
    pub output: Option<PathBuf>,
    /// Bits of the decoder's weights, experts, embedding and head.
    #[arg(long, value_enum)]
    pub format: CodeFormat,
    /// Storage of the vision tower's and the projector's matrices.
    #[arg(long, value_enum, default_value_t)]
    pub vision: VisionStorage,
    /// Compare with f32: hidden states per layer, next-token distributions and choices.
    #[arg(long)]
    pub report: bool,
    /// Prompts of the report, one per line; without it some short ones.
    #[arg(long, value_name = "FILE", requires = "report")]
    pub prompts: Option<PathBuf>,
    /// Where the report runs.
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: Device,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
