//! `glmv rl grade`: the share of right completions of every task, for the curriculum.

use crate::args::RlGradeArgs;
use crate::cmd::train::rl_rewards;
use crate::session::{self, Source};
use anyhow::{Context as _, bail};
use glmv_reward::RewardSystem;
use glmv_rl::curriculum::{Grade, Tier, pass_at_k};
use glmv_train::rl::{GradeLine, RlRecipe, Rollouts, Tasks};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs the subcommand.
pub fn run(args: &RlGradeArgs) -> anyhow::Result<ExitCode> {
    if args.n == 0 || args.k == 0 || args.k > args.n as u64 {
        bail!("-n {} -k {}: needs 1 <= k <= n", args.n, args.k);
    }
    let mut recipe = RlRecipe::read(&args.recipe, &[])?;
    // A control experiment is one of training.
    recipe.shuffle_rewards = false;
    let system = RewardSystem::from_file(&args.rewards)?;
    let tasks = Tasks::read(&args.tasks, &system, &[])?;
    // The tasks may be a part of those that the recipe is for.
    recipe
        .data
        .user
        .retain(|source, _| tasks.has_source(source));
    let rewards = rl_rewards(&recipe, &[&tasks])?;
    let unfinished = Unfinished::create(&args.out)?;
    let source = Source::Folder(&args.model);
    let model = session::load_model(&source, &args.device, None, false, args.json)?.model;
    let folder = args.model.file_name().unwrap_or(args.model.as_os_str());
    let name = args.name.clone();
    let name = name.unwrap_or_else(|| folder.to_string_lossy().into_owned());
    let mut rollouts = Rollouts::new(model, &args.model, &recipe.rl)?;
    let bar = session::count_bar(tasks.len() as u64 * args.n as u64, "completions")?;
    let how = (name.as_str(), args.n, recipe.thinks());
    let grades = rollouts.grade(&rewards, &tasks, how, &mut |done, _| {
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let grades = grades?;
    let mut lines = String::new();
    for (index, grade) in grades.iter().enumerate() {
        let Some(grade) = grade else { continue };
        let line = GradeLine::new(&tasks.known(index).id, grade);
        lines += &format!("{}\n", serde_json::to_string(&line)?);
    }
    unfinished.finish(&lines)?;
    report(args, &tasks, &grades)
}

/// A file beside the one to write, which it becomes when it is whole: a run that fails leaves what was
/// there.
struct Unfinished<'a> {
    path: &'a Path,
    beside: PathBuf,
}

impl<'a> Unfinished<'a> {
    /// Fails early where nothing can be written.
    fn create(path: &'a Path) -> anyhow::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".unfinished");
        let beside = PathBuf::from(name);
        std::fs::File::create(&beside)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Unfinished { path, beside })
    }

    fn finish(&self, text: &str) -> anyhow::Result<()> {
        let written = std::fs::write(&self.beside, text);
        let renamed = written.and_then(|()| std::fs::rename(&self.beside, self.path));
        renamed.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        // Gone already where it was finished.
        let _ = std::fs::remove_file(&self.beside);
    }
}

/// Prints tiers and pass@k by domain.
fn report(args: &RlGradeArgs, tasks: &Tasks, grades: &[Option<Grade>]) -> anyhow::Result<ExitCode> {
    let mut domains: BTreeMap<&str, Vec<&Grade>> = BTreeMap::new();
    for (index, grade) in grades.iter().enumerate() {
        let own = domains.entry(&tasks.known(index).domain).or_default();
        own.extend(grade);
    }
    let mut rows = Vec::new();
    for (name, grades) in domains {
        let (mut tiers, mut sum) = ([0usize; 5], 0.0);
        for grade in &grades {
            let rate = grade.right as f64 / grade.samples as f64;
            tiers[Tier::of(rate).index()] += 1;
            sum += pass_at_k(grade.samples, grade.right, args.k.min(grade.samples))?;
        }
        let pass = (!grades.is_empty()).then(|| sum / grades.len() as f64);
        rows.push((name, grades.len(), pass, tiers));
    }
    let unjudged = grades.iter().filter(|grade| grade.is_none()).count();
    let mut stdout = std::io::stdout().lock();
    if args.json {
        let domains = rows.iter().map(|(name, tasks, pass, tiers)| {
            let tiers: BTreeMap<&str, usize> = Tier::ALL
                .iter()
                .map(|t| (t.name(), tiers[t.index()]))
                .collect();
            json!({"domain": name, "tasks": tasks, "pass_at_k": pass, "tiers": tiers})
        });
        let domains: Vec<_> = domains.collect();
        let all = json!({"k": args.k, "n": args.n, "unjudged": unjudged, "domains": domains});
        writeln!(stdout, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let names = Tier::ALL.map(Tier::name).join(" / ");
    writeln!(
        stdout,
        "{:20} {:>7} {:>8}  {names}",
        "domain",
        "tasks",
        format!("pass@{}", args.k)
    )?;
    for (name, tasks, pass, tiers) in rows {
        let pass = pass.map_or("-".into(), |p| format!("{:.1} %", 100.0 * p));
        let tiers = tiers.map(|n| n.to_string()).join(" / ");
        writeln!(stdout, "{name:20} {tasks:7} {pass:>8}  {tiers}")?;
    }
    if unjudged > 0 {
        writeln!(stdout, "{unjudged} tasks could not be judged")?;
    }
    Ok(ExitCode::SUCCESS)
}
