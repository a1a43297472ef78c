//! `glmv rl harvest`: good and informative rollouts of a run as samples for fine-tuning.

use crate::args::RlHarvestArgs;
use crate::cmd::train::rl_tasks;
use anyhow::{Context as _, bail};
use glmv_processor::{Conversation, ImageSource, Part, Role, VideoSource};
use glmv_rl::harvest::{Candidate, Harvest, harvest};
use glmv_train::rl::{CompletionLog, CompletionRecord, RlRecipe, Tasks};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(args: &RlHarvestArgs) -> anyhow::Result<ExitCode> {
    let recipe = RlRecipe::read(&args.recipe, &args.set)?;
    let (tasks, _) = rl_tasks(&recipe)?;
    let records = CompletionLog::read(&args.run.join("completions.jsonl"), |_| true)?;
    let mut of_task: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        of_task.entry(&record.task).or_default().push(index);
    }
    let mut pass_rates = vec![0.0; records.len()];
    for own in of_task.values() {
        let rewards = own.iter().filter_map(|at| records[*at].accuracy);
        let rewards: Vec<f64> = rewards.collect();
        let rate = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
        own.iter()
            .for_each(|at| pass_rates[*at] = rate.clamp(0.0, 1.0));
    }
    let mut candidates = Vec::with_capacity(records.len());
    for (record, pass_rate) in records.iter().zip(pass_rates) {
        let Some(task) = tasks.find(&record.task) else {
            bail!(
                "{}: task {:?} is not in the recipe's files",
                record.replay_id,
                record.task
            );
        };
        candidates.push(Candidate {
            task,
            pass_rate,
            reward: record.reward.unwrap_or(f64::NAN),
            is_well_formed: record.is_well_formed,
            is_truncated: record.is_truncated,
            is_forced: record.is_forced,
            tokens: &record.tokens,
        });
    }
    let found = harvest(&candidates, &recipe.rl.harvest)?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).open(&args.out);
    let file = file.with_context(|| format!("cannot write {}", args.out.display()))?;
    let mut out = std::io::BufWriter::new(file);
    for taken in &found.taken {
        let row = row(&tasks, candidates[*taken].task, &records[*taken])?;
        writeln!(out, "{row}")?;
    }
    out.flush()
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    print(args, &found, records.len())
}

/// A completion behind its prompt, in the layout of messages with parts.
fn row(tasks: &Tasks, task: usize, record: &CompletionRecord) -> anyhow::Result<Value> {
    let mut messages = messages(&tasks.row(task).prompt)?;
    messages.push(json!({"role": "assistant", "content": record.text}));
    Ok(json!({
        "messages": messages,
        "domain": record.domain,
        "thinking": record.thinking,
        "replay_id": record.replay_id,
    }))
}

fn messages(prompt: &Conversation) -> anyhow::Result<Vec<Value>> {
    let mut messages = Vec::new();
    for message in &prompt.messages {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            _ => bail!("a prompt with a turn of a tool cannot be written as a sample"),
        };
        let parts = message.parts.iter().map(part);
        let parts: Vec<Value> = parts.collect::<anyhow::Result<_>>()?;
        messages.push(json!({"role": role, "content": parts}));
    }
    Ok(messages)
}

fn part(part: &Part) -> anyhow::Result<Value> {
    Ok(match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Image(ImageSource::Path(path)) => {
            json!({"type": "image", "image": std::path::absolute(path)?})
        }
        Part::Video(VideoSource::Path(path)) => {
            json!({"type": "video", "video": std::path::absolute(path)?})
        }
        _ => bail!("a picture or video that is no file cannot be written as a sample"),
    })
}

fn print(args: &RlHarvestArgs, found: &Harvest, records: usize) -> anyhow::Result<ExitCode> {
    let mut stdout = std::io::stdout().lock();
    match args.json {
        true => writeln!(stdout, "{}", serde_json::to_string_pretty(found)?)?,
        false => writeln!(
            stdout,
            "{} of {records} completions taken; left out: {} not right, {} not well-formed, {} of \
             tasks too easy or too hard, {} too like another, {} more than asked for",
            found.taken.len(),
            found.not_right,
            found.not_well_formed,
            found.not_informative,
            found.not_different,
            found.surplus
        )?,
    }
    Ok(ExitCode::SUCCESS)
}
