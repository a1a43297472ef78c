//! `glmv train`: a recipe and a checkpoint in, a run with checkpoints, metrics and a report out.

pub mod plan;
mod plan_workers;
mod rl;
mod rl_watch;
mod watch;
mod workers;

use crate::args::{SupervisedArgs, TrainCommand};
use crate::session;
use anyhow::{Context as _, bail};
use glmv_data::{EncodeOptions, Encoder, Loader, LoaderOptions, LongPolicy};
use glmv_model::Glm4v;
use glmv_monitor::{Display, Level, Monitor, MonitorConfig};
use glmv_processor::Processor;
use glmv_train::{
    AdamW, Checkpoints, Error, Micro, PackedSupply, Part, Recipe, Resumed, Run, RunState, Survey,
    Trainer, resume, sample_of,
};
pub(super) use rl::{rewards as rl_rewards, tasks as rl_tasks};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use watch::{Questions, Report};
use workers::trainer;

/// Runs the subcommand.
pub fn run(command: &TrainCommand) -> anyhow::Result<ExitCode> {
    match command {
        TrainCommand::Pretrain(args) => supervised(args, "pre-training"),
        TrainCommand::Sft(args) => supervised(args, "fine-tuning"),
        TrainCommand::Rl(args) => rl::run(args),
    }
}

/// Pre-training and fine-tuning: the same loop, recipes apart.
fn supervised(args: &SupervisedArgs, what: &str) -> anyhow::Result<ExitCode> {
    let recipe = Recipe::read(&args.recipe, &args.set)?;
    if args.plan {
        let survey = Survey::new(&recipe.data, encoder(args)?).context("training data")?;
        return plan::print(args, plan::packs(&recipe, survey));
    }
    let settings = recipe.digest()?;
    let checkpoints = Checkpoints::open(&args.out.join("checkpoints"), recipe.keep)?;
    let resumed = latest::<RunState>(args, &checkpoints)?;
    session::handle_stop()?;
    let encoder = encoder(args)?;
    let survey = Survey::new(&recipe.data, encoder.clone()).context("training data")?;
    plan::refuse(args, plan::packs(&recipe, survey))?;
    let saved = resumed.as_ref().map(|r| r.dir.as_path());
    let mut trainer = trainer(args, saved, recipe.adapter.as_ref(), &recipe.train)?;
    if let Some(resumed) = &resumed {
        let adamw = AdamW::new(recipe.train.adamw);
        resume(&mut trainer, resumed, &settings, adamw)?;
    }
    let cursor = resumed.as_ref().map(|r| &r.state.cursor);
    let supply = PackedSupply::open(&recipe.data, encoder.clone(), cursor, watch::bad_row);
    let mut supply = supply.context("training data")?;
    let held_out = held_out(&recipe, encoder, trainer.model())?;
    let mut monitor = monitor(args, &recipe, what, resumed.as_ref())?;
    monitor.note(
        trainer.steps(),
        Level::Info,
        &(describe(&trainer, &held_out) + &workers::describe(args)),
    )?;
    let questions = Questions::new(&recipe, &args.model)?;
    let mut report = Report::new(monitor, questions);
    let best = resumed.as_ref().and_then(|r| r.state.best);
    let ended = Run {
        trainer: &mut trainer,
        supply: &mut supply,
        held_out: &held_out,
        checkpoints: &checkpoints,
        origin: &args.model,
        rhythm: recipe.rhythm,
        steps: recipe.train.steps,
        settings,
        best,
    }
    .run(&mut report);
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            report.failed(trainer.steps(), &error);
            return Err(ended_early(error, &checkpoints, trainer.steps()));
        }
    };
    let page = report.finish(ended.step, supply.totals())?;
    eprintln!("checkpoint {}", ended.checkpoint.display());
    eprintln!("report {}", page.display());
    Ok(match ended.complete {
        true => ExitCode::SUCCESS,
        false => {
            eprintln!("stopped after step {}: --resume goes on", ended.step);
            ExitCode::from(session::INTERRUPTED)
        }
    })
}

/// A failure with the checkpoint that remains.
fn ended_early(error: Error, checkpoints: &Checkpoints, step: u64) -> anyhow::Error {
    let left = match checkpoints.steps().map(|steps| steps.last().copied()) {
        Ok(Some(last)) => {
            let dir = checkpoints.dir(last);
            format!("the last complete checkpoint is {}", dir.display())
        }
        _ => "there is no complete checkpoint".to_string(),
    };
    anyhow::Error::new(error).context(format!("the run ended after step {step}; {left}"))
}

/// What makes tokens and patches of rows.
fn encoder(args: &SupervisedArgs) -> anyhow::Result<Encoder> {
    let processor = Arc::new(Processor::from_dir(&args.model)?);
    Ok(Encoder::new(processor, EncodeOptions::default())?)
}

/// The newest checkpoint of the run, if it is to go on and there is one.
fn latest<S: serde::de::DeserializeOwned>(
    args: &SupervisedArgs,
    checkpoints: &Checkpoints,
) -> anyhow::Result<Option<Resumed<S>>> {
    match (args.resume, checkpoints.latest()?) {
        (true, Some(resumed)) => Ok(Some(resumed)),
        (true, None) => bail!("{}: no checkpoint to resume from", args.out.display()),
        (false, Some(_)) => bail!(
            "{} holds a run already: --resume goes on with it",
            args.out.display()
        ),
        (false, None) => Ok(None),
    }
}

/// Packed held-out samples, each file read once in order.
fn held_out(recipe: &Recipe, encoder: Encoder, model: &Glm4v) -> anyhow::Result<Vec<Micro>> {
    let eval = &recipe.eval;
    if eval.sources.is_empty() {
        return Ok(Vec::new());
    }
    let options = LoaderOptions {
        long: LongPolicy::Cut,
        ..LoaderOptions::new(recipe.data.sequence)
    };
    let most = match eval.samples {
        0 => usize::MAX,
        n => n,
    };
    let merge = u32::try_from(model.config().vision.spatial_merge_size)?;
    let (mut micros, mut taken) = (Vec::new(), 0);
    for pack in Loader::start(eval.mixture(), encoder, options, None)? {
        let pack = pack.context("held-out data")?;
        let samples: Vec<_> = (pack.samples.iter().take(most - taken))
            .map(sample_of)
            .collect();
        taken += samples.len();
        if !samples.is_empty() {
            micros.push(Micro::new(&samples, merge)?);
        }
        if taken == most {
            break;
        }
    }
    if micros.iter().all(|m| m.counted() == 0) {
        bail!("eval.sources: no token to predict in {taken} samples");
    }
    Ok(micros)
}

fn monitor(
    args: &SupervisedArgs,
    recipe: &Recipe,
    what: &str,
    resumed: Option<&Resumed<RunState>>,
) -> anyhow::Result<Monitor> {
    let config = MonitorConfig {
        title: format!("{} ({what})", recipe.title),
        recipe: recipe.to_toml()?,
        total_steps: Some(recipe.train.steps),
        resume: resumed.map(|r| r.state.step),
        display: match args.plain {
            true => Display::Plain,
            false => Display::Auto,
        },
        curves: ["loss/train", "loss/held_out"].map(str::to_owned).to_vec(),
        tensorboard: true,
    };
    open_monitor(&args.out, config)
}

fn open_monitor(dir: &Path, config: MonitorConfig) -> anyhow::Result<Monitor> {
    Monitor::open(dir, config).with_context(|| format!("cannot record in {}", dir.display()))
}

/// What learns, for the notes of the run.
fn describe(trainer: &Trainer, held_out: &[Micro]) -> String {
    let list = trainer.parameters();
    let count = |adapters: bool| -> usize {
        let of = list
            .iter()
            .filter(|p| (p.part == Part::Adapters) == adapters);
        of.map(|p| p.len()).sum()
    };
    let tokens: usize = held_out.iter().map(Micro::counted).sum();
    let adapter = match trainer.model().adapter() {
        Some(config) => format!(" of a model of {} (rank {})", count(false), config.rank),
        None => String::new(),
    };
    let learning = count(!adapter.is_empty());
    format!("{learning} parameters{adapter}; {tokens} held-out tokens to predict")
}
