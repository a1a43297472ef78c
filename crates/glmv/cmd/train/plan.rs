//! What a training run needs against what the device has: `glmv train --plan`, and the refusal of a run
//! before anything is loaded.

use super::plan_workers::{self, WorkerNeed};
use crate::args::SupervisedArgs;
use crate::fit::{DoesNotFit, buffer_reason, buffers, bytes, capacity};
use glmv_kernels::device::{Capacity, Info, describe};
use glmv_model::Config;
use glmv_model::plan::{Advice, BufferRules, Section, StateFormat, TrainPlan, TrainSettings};
use glmv_train::rl::{RlRecipe, TaskSurvey};
use glmv_train::{Recipe, Survey};
use serde::Serialize;
use std::process::ExitCode;

/// A plan with the device's memory beside it.
#[derive(Debug, Serialize)]
pub struct TrainFit {
    pub plan: TrainPlan,
    pub needed_bytes: u64,
    pub host_bytes: u64,
    pub memory: Capacity,
    /// `None` where the memory is unknown and no buffer limit stands against it.
    pub fits: Option<bool>,
    /// The first change with which it would fit.
    pub advice: Option<Advice>,
    /// What the same run would need with other settings.
    pub instead: Vec<Instead>,
    /// Of `needed_bytes`: for workers on this device, and for gradients that wait for their turn.
    pub workers_bytes: u64,
    /// What workers need on devices of their own.
    pub workers: Vec<WorkerNeed>,
}

/// The same run with one thing changed.
#[derive(Debug, Serialize)]
pub struct Instead {
    pub setting: String,
    pub needed_bytes: u64,
}

#[derive(Serialize)]
struct Report<'a, S> {
    model: String,
    recipe: String,
    device: &'a Info,
    survey: &'a S,
    #[serde(flatten)]
    fit: &'a TrainFit,
}

impl TrainFit {
    /// Plans training of `config` and compares it with `memory`.
    pub fn new(config: &Config, settings: &TrainSettings, memory: Capacity) -> Self {
        TrainFit::beside(config, settings, memory, [0, 0])
    }

    /// The same beside so many workers, so many of them on this device.
    fn beside(
        config: &Config,
        settings: &TrainSettings,
        memory: Capacity,
        workers: [u64; 2],
    ) -> Self {
        let plan = TrainPlan::new(config, settings);
        let workers_bytes = plan_workers::bytes_here(&plan, workers);
        let available = memory.bytes.unwrap_or(u64::MAX);
        let available = available.saturating_sub(workers_bytes);
        let fits = plan.fits(available);
        TrainFit {
            needed_bytes: plan.device_bytes() + workers_bytes,
            workers_bytes,
            host_bytes: plan.host_bytes(),
            advice: match fits {
                true => None,
                false => TrainPlan::advise(config, settings, available),
            },
            fits: match memory.bytes {
                None if fits => None,
                _ => Some(fits),
            },
            instead: Vec::new(),
            workers: Vec::new(),
            memory,
            plan,
        }
    }

    /// With what the run would need with other settings.
    pub fn compared(mut self, config: &Config) -> Self {
        self.instead = instead(config, &self.plan.settings);
        self
    }

    /// Why the run cannot be and what to change; `None` if nothing stands against it.
    pub fn refusal(&self) -> Option<String> {
        if self.fits != Some(false) {
            return self.workers.iter().find_map(WorkerNeed::refusal);
        }
        let plan = &self.plan;
        let parts = TrainPlan::SECTIONS.into_iter();
        let parts = parts.filter(|s| *s != Section::Data);
        let parts = parts.map(|s| format!("{} {}", s.name(), bytes(plan.section_bytes(s))));
        let mut parts: Vec<String> = parts.collect();
        if self.workers_bytes > 0 {
            parts.push(format!("workers {}", bytes(self.workers_bytes)));
        }
        let mut text = format!(
            "training needs {} on the device ({})",
            bytes(self.needed_bytes),
            parts.join(", ")
        );
        match self.memory.bytes {
            Some(available) if available < self.needed_bytes => {
                let source = &self.memory.source;
                text += &format!(", available are {}: {source}", bytes(available));
            }
            _ => {
                let (large, sharded) = (plan.too_large.as_ref(), &plan.sharded);
                text += &buffer_reason(plan.settings.buffers, large, sharded);
            }
        }
        match &self.advice {
            Some(advice) => {
                let changes: Vec<String> = advice.changes.iter().map(ToString::to_string).collect();
                let (changes, needs) = (changes.join(" "), bytes(advice.device_bytes));
                text += &format!(". It fits with {changes}, which needs {needs}");
            }
            None if plan.settings.adapter.is_some() => {
                text += ". Neither recompute nor 8-bit states nor a base of codes nor shorter \
                         sequences make it fit"
            }
            None => {
                text += ". Neither recompute nor 8-bit states nor shorter sequences make it fit; \
                         adapters (LoRA) or frozen parts need no gradients and states of the rest"
            }
        }
        Some(text)
    }

    fn print(&self) {
        let plan = &self.plan;
        for section in TrainPlan::SECTIONS {
            let items: Vec<_> = plan.items.iter().filter(|i| i.section == section).collect();
            if items.is_empty() {
                continue;
            }
            let total = bytes(plan.section_bytes(section));
            println!("{:<28}{total:>14}", section.name());
            for item in items {
                let (name, format) = (&item.name, item.format);
                let host = match item.host_bytes {
                    0 => "",
                    _ => "  in host memory",
                };
                let size = bytes(item.device_bytes + item.host_bytes);
                println!("  {name:<27} {format:<4}{size:>10}{host}");
            }
        }
        if self.workers_bytes > 0 {
            println!("{:<28}{:>14}", "workers", bytes(self.workers_bytes));
        }
        println!(
            "{:<28}{:>14}",
            "needed on the device",
            bytes(self.needed_bytes)
        );
        let available = self.memory.bytes.map_or("unknown".to_string(), bytes);
        println!("{:<28}{available:>14}  {}", "available", self.memory.source);
        for worker in &self.workers {
            worker.print();
        }
        for other in &self.instead {
            println!("{:<28}{:>14}", other.setting, bytes(other.needed_bytes));
        }
        if self.fits.is_none() {
            println!("unknown   whether it fits: give the device's memory with --memory");
        }
    }
}

/// The run with and without recompute, and with the other form of states.
fn instead(config: &Config, settings: &TrainSettings) -> Vec<Instead> {
    let mut list = Vec::new();
    let mut add = |setting: &str, changed: TrainSettings| {
        if changed != *settings {
            list.push(Instead {
                setting: setting.to_string(),
                needed_bytes: TrainPlan::new(config, &changed).device_bytes(),
            });
        }
    };
    let with = |layers, tower, states| TrainSettings {
        recompute: layers,
        recompute_vision: tower,
        states,
        ..settings.clone()
    };
    let now = (settings.recompute, settings.recompute_vision);
    add("with recompute", with(true, true, settings.states));
    add("without recompute", with(false, false, settings.states));
    add("with 8-bit states", with(now.0, now.1, StateFormat::Blocks));
    add("with f32 states", with(now.0, now.1, StateFormat::F32));
    list
}

/// What was looked at to know how large a step is, and what it says.
pub struct Looked<S> {
    pub survey: S,
    /// A line for people.
    pub line: String,
    pub settings: TrainSettings,
}

/// What a run needs on its device, whose buffers `settings` is told.
pub fn plan<S>(
    args: &SupervisedArgs,
    look: impl Fn(&Config, BufferRules) -> anyhow::Result<Looked<S>>,
) -> anyhow::Result<(Info, TrainFit, Looked<S>)> {
    let config = Config::from_dir(&args.model)?;
    let info = describe(args.device.into())?;
    let looked = look(&config, buffers(&info))?;
    let memory = capacity(&info, args.memory);
    let elsewhere = plan_workers::elsewhere(args, &info)?;
    let away: u64 = elsewhere.iter().map(|device| device.workers).sum();
    let all = args.workers.len() as u64;
    let mut fit = TrainFit::beside(&config, &looked.settings, memory, [all, all - away]);
    for device in &elsewhere {
        let settings = look(&config, buffers(&device.info))?.settings;
        let plan = TrainPlan::new(&config, &settings);
        fit.workers.push(WorkerNeed::new(device, &plan));
    }
    Ok((info, fit, looked))
}

/// Packs of supervised data.
pub fn packs(
    recipe: &Recipe,
    survey: Survey,
) -> impl Fn(&Config, BufferRules) -> anyhow::Result<Looked<Survey>> {
    move |config, buffers| {
        let settings = survey.settings(recipe, config, buffers)?;
        let line = format!(
            "sequence  {} tokens; of {} looked at, the most: {} tokens, {} counted, {} patches",
            settings.tokens, survey.packs, survey.tokens, settings.counted, settings.patches
        );
        Ok(Looked {
            survey,
            line,
            settings,
        })
    }
}

/// Prompts of rewarded tasks.
pub fn prompts(
    recipe: &RlRecipe,
    survey: TaskSurvey,
) -> impl Fn(&Config, BufferRules) -> anyhow::Result<Looked<TaskSurvey>> {
    move |config, buffers| {
        let settings = survey.settings(recipe, config, buffers)?;
        let at_once = settings.rollout.as_ref().map_or(0, |r| r.sequences);
        let line = format!(
            "prompts   of {} looked at, the most: {} tokens, {} patches; completions of {} tokens at \
             most, {at_once} at once; micro-steps of {} tokens",
            survey.prompts, survey.tokens, survey.patches, survey.completion, settings.tokens
        );
        Ok(Looked {
            survey,
            line,
            settings,
        })
    }
}

/// Fails if the device cannot hold the run.
pub fn refuse<S>(
    args: &SupervisedArgs,
    look: impl Fn(&Config, BufferRules) -> anyhow::Result<Looked<S>>,
) -> anyhow::Result<()> {
    match plan(args, look)?.1.refusal() {
        Some(reason) => Err(DoesNotFit(reason).into()),
        None => Ok(()),
    }
}

/// Prints the plan of a run; fails, with the plan on stdout, if it does not fit.
pub fn print<S: Serialize>(
    args: &SupervisedArgs,
    look: impl Fn(&Config, BufferRules) -> anyhow::Result<Looked<S>>,
) -> anyhow::Result<ExitCode> {
    let (info, fit, looked) = plan(args, look)?;
    let fit = fit.compared(&Config::from_dir(&args.model)?);
    if args.json {
        let report = Report {
            model: args.model.display().to_string(),
            recipe: args.recipe.display().to_string(),
            device: &info,
            survey: &looked.survey,
            fit: &fit,
        };
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        let plan = &fit.plan;
        println!(
            "model     {}, {:.2} M parameters, {:.2} M of them learn",
            args.model.display(),
            plan.parameters as f64 / 1e6,
            plan.trained as f64 / 1e6
        );
        println!("device    {} ({})", info.name, info.backend);
        println!("{}", looked.line);
        fit.print();
    }
    match fit.refusal() {
        Some(reason) => Err(DoesNotFit(reason).into()),
        None => Ok(ExitCode::SUCCESS),
    }
}
