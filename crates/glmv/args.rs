//! What the user types, as clap sees it, and its meaning as types of the libraries.

mod device;
mod gym;
mod merge;
mod plan;
mod quantize;
mod reward;
mod train;

pub use device::{Device, WorkerArg};
pub use gym::{
    GymAuditArgs, GymCommand, GymEvalArgs, GymItemArgs, GymMakeArgs, GymShowArgs, GymTokenizerArgs,
};
pub use merge::MergeArgs;
pub use plan::{CacheDtype, PlanArgs};
pub use quantize::QuantizeArgs;
pub use reward::{RewardCommand, RewardFuzzArgs, RewardScoreArgs, RewardTestArgs, RewardWatchArgs};

pub use train::{
    DataCheckArgs, DataCommand, RlCommand, RlCompareArgs, RlGradeArgs, RlHarvestArgs, RlReplayArgs,
    RlTrainArgs, SupervisedArgs, TrainCommand,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use glmv_engine::{Precision, SamplingOverrides};
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
    /// Write a checkpoint with weights of 8 or 4 bits, or report what they cost.
    Quantize(QuantizeArgs),
    /// Write a checkpoint with an adapter added to its weights, or in another type.
    Merge(MergeArgs),
    /// Score answers, check the rules of the reward, or attack them.
    #[command(subcommand)]
    Reward(RewardCommand),
    /// Learn from images and text, from examples, or from reward.
    #[command(subcommand)]
    Train(TrainCommand),
    /// Grade tasks for a rewarded run; use, repeat and report what one has made.
    #[command(subcommand)]
    Rl(RlCommand),
    /// Check data files.
    #[command(subcommand)]
    Data(DataCommand),
    /// Make practice tasks with known answers, look at them, or audit what was made.
    #[command(subcommand)]
    Gym(GymCommand),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Dtype {
    F32,
    F16,
    /// 8 bits per weight of the decoder, f16 for vision and cache.
    Q8,
    /// 4 bits per weight of the decoder, f16 for vision and cache.
    Q4,
}

impl From<Dtype> for Precision {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Precision::F32,
            Dtype::F16 => Precision::F16,
            Dtype::Q8 => Precision::Q8,
            Dtype::Q4 => Precision::Q4,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// Where to run: auto (a hardware GPU, else the CPU), gpu (any adapter), gpu:N, or cpu.
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: Device,
    /// Storage of the weights on the device; without it f32, or the codes of a quantised checkpoint.
    #[arg(long, value_enum)]
    pub dtype: Option<Dtype>,
    /// Memory of the device, if it does not tell or less may be used: bytes, or with KiB, MiB, GiB.
    #[arg(long, value_name = "BYTES", value_parser = byte_count)]
    pub memory: Option<u64>,
    /// Adapter folder as PEFT writes it, run beside the weights.
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Keep the experts of this many last layers in host memory and run them there.
    #[arg(long, value_name = "LAYERS", default_value_t = 0)]
    pub experts_on_host: usize,
}

impl DeviceArgs {
    /// The storage asked for.
    pub fn precision(&self) -> Option<Precision> {
        self.dtype.map(Precision::from)
    }
}

/// Bytes as a number, or a number with a unit.
pub fn byte_count(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        other => return Err(format!("unit {other:?}, expected KiB, MiB or GiB")),
    };
    let count: f64 = digits
        .parse()
        .map_err(|_| format!("{text:?} is no number of bytes"))?;
    Ok((count * unit as f64) as u64)
}

#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Checkpoint folder as published on the hub; without it the bundled glmv-tiny answers.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// A picture (PNG, JPEG, WebP, GIF, BMP); may be repeated.
    #[arg(long, value_name = "FILE")]
    pub image: Vec<PathBuf>,
    /// A video: folder of frames, animated GIF or WebP, y4m, or anything ffmpeg reads.
    #[arg(long, value_name = "FILE")]
    pub video: Vec<PathBuf>,
    /// The question; without it an interactive chat starts, or glmv-tiny is asked about a picture of its own
    /// where neither model nor picture is given.
    pub prompt: Option<String>,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// Form of the KV cache; f32 with f32 weights, else f16.
    #[arg(long, value_enum)]
    pub kv_dtype: Option<CacheDtype>,
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

#[derive(Clone, Debug, Args)]
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
    /// Storage of the weights on the device. The tolerances are those of f32: others show how far they
    /// are from it.
    #[arg(long, value_enum, default_value = "f32")]
    pub dtype: Dtype,
    /// Only these kinds, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    pub only: Vec<String>,
    /// Where to run: auto (a hardware GPU, else the CPU), gpu (any adapter), gpu:N, or cpu.
    #[arg(long, default_value_t, value_name = "DEVICE")]
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
    /// Checkpoint folder to describe, or with --plan also a config.json.
    #[arg(
        required_unless_present = "new",
        conflicts_with = "new",
        value_name = "DIR|CONFIG.json"
    )]
    pub path: Option<PathBuf>,
    /// Write a random checkpoint of this config.json into --out.
    #[arg(long, value_name = "CONFIG.json", requires = "out")]
    pub new: Option<PathBuf>,
    /// Folder for --new.
    #[arg(long, value_name = "DIR", requires = "new")]
    pub out: Option<PathBuf>,
    /// Folder whose tokenizer, template and processor files --new copies; else those beside the config.
    #[arg(long, value_name = "DIR", requires = "new")]
    pub like: Option<PathBuf>,
    /// Spread the weights of --new by their inputs instead of 0.02: for training from nothing.
    #[arg(long, requires = "new")]
    pub scaled: bool,
    /// Seed of the random weights.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Tell what the model needs, part by part, and whether the device has it.
    #[arg(long, requires = "path", conflicts_with = "new")]
    pub plan: bool,
    #[command(flatten)]
    pub planned: PlanArgs,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Keeps {
    /// Every activation.
    None,
    /// The inputs of the layers, which run again.
    #[default]
    Layer,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum StateKind {
    #[default]
    F32,
    /// 8 bits per mean, in blocks.
    #[value(name = "8bit")]
    Blocks,
}

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Checkpoint folder; no tokenizer is needed.
    #[arg(long, value_name = "DIR", required_unless_present = "random")]
    pub model: Option<PathBuf>,
    /// Random weights of this configuration, made in memory, instead of a checkpoint.
    #[arg(long, value_name = "CONFIG.json", conflicts_with = "model")]
    pub random: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Prompt tokens of the prefill and before the decode; 0 leaves the prefill out.
    #[arg(long, value_name = "TOKENS", default_value_t = 512)]
    pub pp: usize,
    /// Tokens to decode after them; 0 leaves decoding out.
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub tg: usize,
    /// Sequences decoded at once, separated by commas.
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,2,4,8,16,32"
    )]
    pub batch: Vec<usize>,
    /// Sides in pixels of the square pictures to encode, separated by commas, or none.
    #[arg(
        long,
        value_name = "PX,…",
        value_delimiter = ',',
        default_value = "336,1008,2016"
    )]
    pub images: Vec<String>,
    /// Repetitions; median, least and greatest are reported.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub reps: usize,
    /// Measure training instead: forward and backward of a sequence of --pp tokens, then whole steps.
    #[arg(long)]
    pub train: bool,
    /// Side in pixels of a square picture before the tokens of training.
    #[arg(long, value_name = "PX", requires = "train", value_parser = clap::value_parser!(u32).range(28..=8192))]
    pub picture: Option<u32>,
    /// What training keeps between the passes.
    #[arg(long, value_enum, default_value_t, requires = "train")]
    pub recompute: Keeps,
    /// How training's optimiser keeps its means.
    #[arg(long, value_enum, default_value_t, requires = "train")]
    pub states: StateKind,
    /// Train adapters of this rank beside every linear module but the head, not the weights.
    #[arg(long, value_name = "RANK", requires = "train")]
    pub lora: Option<usize>,
    /// Do not build pipelines while loading: the first token pays for them.
    #[arg(long)]
    pub no_warm_up: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
