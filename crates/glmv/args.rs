//! What the user types, as clap sees it, and its meaning as types of the libraries.

use clap::{Args, Parser, Subcommand, ValueEnum};
use glmv_engine::{KvFormat, Precision, SamplingOverrides};
use glmv_kernels::device::Choice;
use std::path::PathBuf;

/// Ask GLM-4.1V / GLM-4.5V about pictures and video, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "glmv", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask a question about pictures or videos, or chat when no question is given.
    #[command(allow_negative_numbers = true)]
    Run(RunArgs),
    /// Check this build against golden cases of HF transformers.
    Verify(VerifyArgs),
    /// Show the adapters, and run every kernel against its definition.
    Doctor(DoctorArgs),
    /// Describe a checkpoint, or write a random one.
    Inspect(InspectArgs),
    /// Measure prefill, decode and vision speed of a checkpoint.
    Bench(BenchArgs),
    /// Score answers, check the rules of the reward, or attack them.
    #[command(subcommand)]
    Reward(RewardCommand),
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Device {
    /// A hardware GPU, else the CPU.
    #[default]
    Auto,
    /// Any adapter, software ones too.
    Gpu,
    Cpu,
}

impl From<Device> for Choice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Choice::Auto,
            Device::Gpu => Choice::Gpu,
            Device::Cpu => Choice::Cpu,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Dtype {
    #[default]
    F32,
    F16,
}

impl From<Dtype> for Precision {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Precision::F32,
            Dtype::F16 => Precision::F16,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KvCache {
    F32,
    F16,
    /// 8 bits per value, one scale per head and token.
    Q8,
}

impl From<KvCache> for KvFormat {
    fn from(cache: KvCache) -> Self {
        match cache {
            KvCache::F32 => KvFormat::F32,
            KvCache::F16 => KvFormat::F16,
            KvCache::Q8 => KvFormat::Q8,
        }
    }
}

#[derive(Debug, Args)]
pub struct DeviceArgs {
    /// Where to run.
    #[arg(long, value_enum, default_value_t)]
    pub device: Device,
    /// Type of the weights and of the KV cache on the device.
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Checkpoint folder as published on the hub.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// A picture (PNG, JPEG, WebP, GIF, BMP); may be repeated.
    #[arg(long, value_name = "FILE")]
    pub image: Vec<PathBuf>,
    /// A video: folder of frames, animated GIF or WebP, y4m, or anything ffmpeg reads.
    #[arg(long, value_name = "FILE")]
    pub video: Vec<PathBuf>,
    /// The question; without it an interactive chat starts.
    pub prompt: Option<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// Format of the KV cache; that of --dtype unless given.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub kv_cache: Option<KvCache>,
    /// Turn thinking off where the checkpoint's template knows how.
    #[arg(long)]
    pub no_think: bool,
    /// Draw the answer's boxes (0-1000 coordinates) on the first picture.
    #[arg(long, value_name = "OUT.png")]
    pub draw_boxes: Option<PathBuf>,
    /// Print one JSON object instead of streaming.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SamplingArgs {
    /// Most tokens to generate.
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// Always take the most likely token.
    #[arg(long)]
    pub greedy: bool,
    #[arg(long)]
    pub temperature: Option<f32>,
    #[arg(long)]
    pub top_p: Option<f32>,
    #[arg(long)]
    pub top_k: Option<usize>,
    /// Seed of the sampling.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Most tokens of thinking before </think> is forced.
    #[arg(long, value_name = "N")]
    pub think_budget: Option<usize>,
}

impl From<&SamplingArgs> for SamplingOverrides {
    fn from(args: &SamplingArgs) -> Self {
        SamplingOverrides {
            max_new_tokens: args.max_new_tokens,
            greedy: args.greedy,
            temperature: args.temperature,
            top_p: args.top_p,
            top_k: args.top_k,
            seed: args.seed,
            think_budget: args.think_budget,
            ..Default::default()
        }
    }
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder with cases.json, goldens, media and checkpoints.
    pub dir: PathBuf,
    /// Only these kinds, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    pub only: Vec<String>,
    /// Where to run.
    #[arg(long, value_enum, default_value_t)]
    pub device: Device,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Checkpoint folder to describe.
    #[arg(required_unless_present = "new", conflicts_with = "new")]
    pub dir: Option<PathBuf>,
    /// Write a random checkpoint of this config.json into --out.
    #[arg(long, value_name = "CONFIG.json", requires = "out")]
    pub new: Option<PathBuf>,
    /// Folder for --new.
    #[arg(long, value_name = "DIR", requires = "new")]
    pub out: Option<PathBuf>,
    /// Seed of the random weights.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Prompt tokens of the prefill and before the decode.
    #[arg(long, default_value_t = 512)]
    pub prompt_tokens: usize,
    /// Tokens to decode.
    #[arg(long, default_value_t = 32)]
    pub new_tokens: usize,
    /// Repetitions; the median is reported.
    #[arg(long, default_value_t = 3)]
    pub reps: usize,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum RewardCommand {
    /// Score the rows of a case file.
    Score(RewardScoreArgs),
    /// Check that every row of a case file gives an outcome it allows.
    Test(RewardTestArgs),
    /// Attack the rules of a domain with right and wrong answers of known truth.
    Fuzz(RewardFuzzArgs),
}

#[derive(Debug, Args)]
pub struct RewardScoreArgs {
    /// JSON lines, an array, or an object with `cases`.
    #[arg(long, value_name = "FILE")]
    pub cases: PathBuf,
    /// Reward config: data source to domain, parameters and weights.
    #[arg(long, value_name = "TOML")]
    pub config: Option<PathBuf>,
    /// Print one JSON object per row.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RewardTestArgs {
    /// Case file whose rows have `expected`.
    pub file: PathBuf,
    /// Reward config: data source to domain, parameters and weights.
    #[arg(long, value_name = "TOML")]
    pub config: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RewardFuzzArgs {
    /// The domain.
    pub domain: String,
    /// Answers to make.
    #[arg(long, default_value_t = 2400, value_name = "N")]
    pub answers: usize,
    /// Seed of the answers.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
