//! Arguments of `glmv train` and `glmv data`.

use super::{Device, DeviceArgs, WorkerArg, byte_count};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum TrainCommand {
    /// Learn from images and running text (also: longer sequences and video, by the recipe).
    Pretrain(SupervisedArgs),
    /// Learn answers from examples, thinking and non-thinking.
    Sft(SupervisedArgs),
    /// Learn from rewarded answers (GRPO with curriculum sampling).
    Rl(RlTrainArgs),
}

#[derive(Debug, Args)]
pub struct RlTrainArgs {
    #[command(flatten)]
    pub run: SupervisedArgs,
    /// Compare rollout and trainer on one batch, change nothing, and stop.
    #[arg(long)]
    pub check_only: bool,
}

#[derive(Debug, Subcommand)]
pub enum RlCommand {
    /// Tell how hard tasks are: the share of right completions of a checkpoint.
    Grade(RlGradeArgs),
    /// Write the good rollouts of a run as samples for fine-tuning.
    Harvest(RlHarvestArgs),
    /// Generate a completion of a run again, token for token.
    Replay(RlReplayArgs),
    /// Write the report of a run from its records.
    Report(RlReportArgs),
    /// Compare runs by the completions that an accuracy took.
    Compare(RlCompareArgs),
}

#[derive(Debug, Args)]
pub struct RlGradeArgs {
    /// Files of tasks, in verl's rows.
    #[arg(long, required = true, num_args = 1.., value_name = "JSONL")]
    pub tasks: Vec<PathBuf>,
    /// Reward config: data source to domain, parameters and weights.
    #[arg(long, value_name = "TOML")]
    pub rewards: PathBuf,
    /// Checkpoint folder.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Completions of each task.
    #[arg(long, short, default_value_t = 8)]
    pub n: usize,
    /// The k of the pass@k that is printed, at most n.
    #[arg(long, short, default_value_t = 1)]
    pub k: u64,
    /// Settings of the rollouts: the recipe of a rewarded run, of which only `rl` counts.
    #[arg(long, value_name = "TOML")]
    pub recipe: PathBuf,
    /// Name of the checkpoint in the grades; its folder's by default.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// File to write, one line per task; it takes the place of one that is there when all is done.
    #[arg(long, value_name = "JSONL")]
    pub out: PathBuf,
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RlHarvestArgs {
    /// Folder of the run.
    pub run: PathBuf,
    /// The run's recipe, whose `rl.harvest` says what is taken.
    #[arg(long, value_name = "TOML")]
    pub recipe: PathBuf,
    /// Change a setting of the recipe, such as rl.harvest.per_task=1; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// File to write, in the layout of fine-tuning; must not exist.
    #[arg(long, value_name = "JSONL")]
    pub out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RlReplayArgs {
    /// Folder of the run.
    pub run: PathBuf,
    /// Replay ids; all completions whose weights are kept if none is named.
    pub ids: Vec<String>,
    /// The run's recipe.
    #[arg(long, value_name = "TOML")]
    pub recipe: PathBuf,
    /// The changes of the recipe that the run was made with.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The checkpoint folder that the run started from, for what its first iteration made.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Most completions.
    #[arg(long, default_value_t = 100)]
    pub most: usize,
    /// Where to run; the device of the run: auto (a hardware GPU, else the CPU), gpu (any adapter), gpu:N, or cpu.
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: Device,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RlCompareArgs {
    /// Runs under a common name, such as rlcs=RUN1,RUN2; each name is a line of the table.
    #[arg(required = true, value_name = "NAME=RUN,…")]
    pub runs: Vec<String>,
    /// Held-out accuracy to reach, 0 to 1.
    #[arg(long, default_value_t = 0.9, value_name = "SHARE")]
    pub reach: f64,
    /// Draw accuracy over completions into this file.
    #[arg(long, value_name = "SVG")]
    pub svg: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RlReportArgs {
    /// Folder of the run.
    pub run: PathBuf,
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
    /// Where to run: auto (a hardware GPU, else the CPU), gpu (any adapter), gpu:N, or cpu.
    #[arg(long, default_value_t, value_name = "DEVICE")]
    pub device: Device,
    /// Further devices that take a part of every step: names as of --device, and cpu or gpu once more
    /// for a further thread of the same. With =SHARE a device takes that much where --device takes 1.
    #[arg(long, value_delimiter = ',', value_name = "DEVICE[=SHARE],…")]
    pub workers: Vec<WorkerArg>,
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
