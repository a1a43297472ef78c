//! `glmv train rl`: a recipe, tasks and a checkpoint in, a rewarded run out.

use super::rl_watch::Report;
use super::workers::{self, model_on, trainer};
use super::{latest, open_monitor, plan};
use crate::args::RlTrainArgs;
use crate::session;
use anyhow::{Context as _, bail};
use burn::module::Module as _;
use glmv_engine::Precision;
use glmv_monitor::{Display, Level, MonitorConfig};
use glmv_processor::Processor;
use glmv_reward::RewardSystem;
use glmv_reward::judge::HttpJudge;
use glmv_reward::user::ProcessReward;
use glmv_train::rl::{
    Reference, Rewards, RlRecipe, RlRun, RlState, Rollouts, TaskSurvey, Tasks, resume,
};
use glmv_train::{AdamW, Checkpoints, Resumed, Trainer};
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(command: &RlTrainArgs) -> anyhow::Result<ExitCode> {
    let args = &command.run;
    let recipe = RlRecipe::read(&args.recipe, &args.set)?;
    let (tasks, held_out) = tasks(&recipe)?;
    let survey = TaskSurvey::new(&tasks, &Processor::from_dir(&args.model)?, &recipe)?;
    if args.plan {
        return plan::print(args, plan::prompts(&recipe, survey));
    }
    let rewards = rewards(&recipe, &[&tasks, &held_out])?;
    let checkpoints = Checkpoints::open(&args.out.join("checkpoints"), recipe.keep)?;
    let resumed = latest::<RlState>(args, &checkpoints)?;
    session::handle_stop()?;
    plan::refuse(args, plan::prompts(&recipe, survey))?;
    let saved = resumed.as_ref().map(|r| r.dir.as_path());
    let mut trainer = trainer(args, saved, recipe.adapter.as_ref(), &recipe.train)?;
    if let Some(resumed) = &resumed {
        let adamw = AdamW::new(recipe.train.adamw);
        resume(&mut trainer, resumed, recipe.digest(), adamw)?;
    }
    let reference = match recipe.rl.objective.kl != 0.0 {
        true => {
            let base = recipe
                .adapter
                .as_ref()
                .map_or(Precision::F32, |a| a.base.into());
            let selected = session::open(args.device.into())?;
            let model = model_on(&selected, &args.model, base)?;
            Some(Reference::new(model.valid()))
        }
        false => None,
    };
    let mut rollouts = Rollouts::new(trainer.policy(), &args.model, &recipe.rl)?;
    rollouts.employ(&trainer, &args.model)?;
    let monitor = open_monitor(
        &args.out,
        MonitorConfig {
            title: format!("{} (learning from reward)", recipe.title),
            recipe: recipe.text().to_owned(),
            total_steps: Some(recipe.iterations()),
            resume: resumed.as_ref().map(|r| r.state.iteration),
            display: match (command.check_only, args.plain) {
                (true, _) => Display::Silent,
                (false, true) => Display::Plain,
                (false, false) => Display::Auto,
            },
            curves: ["reward/mean", "held_out/accuracy"]
                .map(str::to_owned)
                .to_vec(),
            tensorboard: true,
        },
    )?;
    let at = resumed.as_ref().map_or(0, |r| r.state.iteration);
    let mut report = Report::new(monitor, &args.out);
    report.note(
        at,
        Level::Info,
        &(describe(&trainer, &tasks, &held_out) + &workers::describe(args)),
    )?;
    let run = RlRun {
        trainer: &mut trainer,
        rollouts: &mut rollouts,
        rewards: &rewards,
        tasks: &tasks,
        held_out: &held_out,
        reference: reference.as_ref(),
        checkpoints: &checkpoints,
        origin: &args.model,
        folder: &args.out,
        recipe: &recipe,
        resumed: resumed.map(|r: Resumed<RlState>| r.state),
    };
    if command.check_only {
        let agreement = run.check(&mut report)?;
        println!("{}", serde_json::to_string_pretty(&agreement)?);
        return Ok(ExitCode::SUCCESS);
    }
    let ended = match run.run(&mut report) {
        Ok(ended) => ended,
        Err(error) => {
            report.failed(&error);
            return Err(error.into());
        }
    };
    let page = report.finish()?;
    eprintln!("checkpoint {}", ended.checkpoint.display());
    if let Some((at, accuracy)) = ended.best {
        eprintln!(
            "best held-out accuracy {:.1} % after iteration {at}",
            100.0 * accuracy
        );
    }
    eprintln!("report {}", page.display());
    Ok(match (ended.complete, ended.paused) {
        (_, Some(reason)) => {
            eprintln!("paused after iteration {}: {reason}", ended.iteration);
            ExitCode::FAILURE
        }
        (true, None) => ExitCode::SUCCESS,
        (false, None) => {
            eprintln!(
                "stopped after iteration {}: --resume goes on",
                ended.iteration
            );
            ExitCode::from(session::INTERRUPTED)
        }
    })
}

/// The tasks to learn from, and those held out.
pub(in crate::cmd) fn tasks(recipe: &RlRecipe) -> anyhow::Result<(Tasks, Tasks)> {
    let system = RewardSystem::from_file(&recipe.data.rewards)?;
    let data = &recipe.data;
    let tasks = Tasks::read(&data.tasks, &system, &data.grades)?;
    let held_out = Tasks::read(&data.held_out, &system, &[]).context("held-out tasks")?;
    Ok((tasks, held_out.first(recipe.eval.samples)))
}

/// Rules, judge and rewards of the user's own, as the recipe has them.
pub(in crate::cmd) fn rewards(recipe: &RlRecipe, tasks: &[&Tasks]) -> anyhow::Result<Rewards> {
    let mut rewards = Rewards::of_rules();
    for (source, config) in &recipe.data.user {
        if !tasks.iter().any(|tasks| tasks.has_source(source)) {
            bail!("data.user.{source}: no task has this data source");
        }
        let reward = ProcessReward::start(config.clone());
        let reward = reward.with_context(|| format!("data.user.{source}"))?;
        rewards = rewards.with_user(source, Box::new(reward));
    }
    if let Some(config) = &recipe.data.judge {
        rewards = rewards.with_judge(Box::new(HttpJudge::new(config.clone())?));
    }
    Ok(match recipe.shuffle_rewards {
        true => rewards.shuffled(recipe.rl.seed),
        false => rewards,
    })
}

/// What learns from what, for the notes of the run.
fn describe(trainer: &Trainer, tasks: &Tasks, held_out: &Tasks) -> String {
    let all: usize = trainer.parameters().iter().map(|p| p.len()).sum();
    let (tasks, held_out) = (tasks.len(), held_out.len());
    format!("{all} parameters; {tasks} tasks, {held_out} held out")
}
