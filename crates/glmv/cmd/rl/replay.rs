//! `glmv rl replay`: completions of a run made again, token for token.

use crate::args::RlReplayArgs;
use crate::cmd::train::rl_tasks;
use crate::session;
use anyhow::{Context as _, bail};
use burn::tensor::Device;
use glmv_engine::Precision;
use glmv_model::Glm4v;
use glmv_train::Checkpoints;
use glmv_train::rl::{CompletionLog, CompletionRecord, RlRecipe, Rollouts, fingerprint, replay};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs the subcommand: exit code 1 if a completion came out otherwise.
pub fn run(args: &RlReplayArgs) -> anyhow::Result<ExitCode> {
    let recipe = RlRecipe::read(&args.recipe, &args.set)?;
    let (tasks, _) = rl_tasks(&recipe)?;
    let log = args.run.join("completions.jsonl");
    let wanted =
        |record: &CompletionRecord| args.ids.is_empty() || args.ids.contains(&record.replay_id);
    let mut by_step: BTreeMap<u64, Vec<CompletionRecord>> = BTreeMap::new();
    let selected = session::open(args.device.into())?;
    let here = match selected.info.backend.as_str() {
        "cpu" => "cpu",
        _ => "gpu",
    };
    let mut elsewhere = 0;
    for record in CompletionLog::read(&log, wanted)? {
        // Those that were asked for by name are refused with the reason.
        match args.ids.is_empty() && !record.is_of_kind(here) {
            true => elsewhere += 1,
            false => by_step.entry(record.step).or_default().push(record),
        }
    }
    if elsewhere > 0 {
        eprintln!(
            "note: {elsewhere} completions were made on another kind of device: see --device"
        );
    }
    if let Some(id) = (args.ids.iter()).find(|id| {
        !by_step
            .values()
            .flatten()
            .any(|record| record.replay_id == **id)
    }) {
        bail!("{}: no completion {id}", log.display());
    }
    let (mut same, mut others, mut left_out) = (0, Vec::new(), 0);
    for (step, records) in by_step {
        let Some(saved) = saved(args, step) else {
            left_out += records.len();
            continue;
        };
        let room = args.most.saturating_sub(same + others.len());
        if room == 0 {
            break;
        }
        let model = weights(args, &recipe, saved.as_deref(), &selected.device)?;
        let found = fingerprint(&model)?;
        let mut rollouts = Rollouts::new(model, &args.model, &recipe.rl)?;
        for record in records.iter().take(room) {
            let again = replay(&mut rollouts, &tasks, record);
            let again = again.with_context(|| format!("{} ({found})", record.replay_id))?;
            match again.first_difference {
                None => same += 1,
                Some(at) => others.push((record.replay_id.clone(), at)),
            }
            if !args.json && !args.ids.is_empty() {
                println!("{}\n{}\n", record.replay_id, again.text);
            }
        }
    }
    let all = same + others.len();
    if !args.ids.is_empty() && left_out > 0 {
        bail!("the weights of {left_out} completions are not kept any more");
    }
    match args.json {
        true => {
            let others = others
                .iter()
                .map(|(id, at)| json!({"id": id, "first_difference": at}));
            let others: Vec<_> = others.collect();
            let text = json!({
                "replayed": all, "same": same, "different": others, "weights_gone": left_out,
                "other_device": elsewhere,
            });
            println!("{}", serde_json::to_string_pretty(&text)?);
        }
        false => {
            println!(
                "{same} of {all} completions are the same token for token; the weights of {left_out} are gone"
            );
            for (id, at) in &others {
                println!("{id} differs from token {at} on");
            }
        }
    }
    if all == 0 {
        bail!(
            "{}: no checkpoint of a recorded iteration is kept",
            args.run.display()
        );
    }
    Ok(match others.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The checkpoint with the weights that iteration `step` was made with, which is that after the one
/// before it: `None` if it is gone, and inside of that, where the run started.
fn saved(args: &RlReplayArgs, step: u64) -> Option<Option<PathBuf>> {
    if step <= 1 {
        return Some(None);
    }
    let dir = Checkpoints::dir_in(&args.run.join("checkpoints"), step - 1);
    dir.exists().then_some(Some(dir))
}

/// The weights of a checkpoint of the run, or those it started from.
fn weights(
    args: &RlReplayArgs,
    recipe: &RlRecipe,
    saved: Option<&Path>,
    device: &Device,
) -> anyhow::Result<Glm4v> {
    let load = |dir: &Path, precision| {
        session::with_bar(true, "loading", |progress| {
            Glm4v::load(dir, device, precision, progress)
                .with_context(|| format!("cannot load {}", dir.display()))
        })
    };
    Ok(match &recipe.adapter {
        Some(adapter) => {
            let (model, _) = load(&args.model, adapter.base.into())?;
            adapter.attach(model, saved).context("adapter")?
        }
        None => load(saved.unwrap_or(&args.model), Precision::F32)?.0,
    })
}
