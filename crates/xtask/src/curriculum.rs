//! `cargo xtask curriculum`: RLCS against uniform sampling where most tasks are out of reach at first, by
//! the program's own commands. What it does is told in docs/training.md.

mod code;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::pictures::{Commands, Options, line, newest, text};

/// Iterations of a run, of [`UPDATES`] optimiser steps each: uniform sampling gets more, because an
/// iteration of RLCS makes up to four times as many completions.
const RLCS: u64 = 50;
const UNIFORM: u64 = 110;
const UPDATES: u64 = 8;
/// Held-out accuracy that is to be reached.
const REACH: &str = "0.7";

/// Fine-tunes a model on noisy lessons in a code, grades 4000 codes of many lengths, and learns from reward
/// over them with three seeds and two ways of choosing. Runs that are done are left as they are.
/// `compared.svg` in the folder is the chart. The short form has one seed.
///
/// # Errors
/// If an argument is not known, a command fails, or RLCS does not get there with fewer completions.
pub fn run(root: &Path, args: &[&str]) -> Result<()> {
    let mut options = Options::of(root, "curriculum", args)?;
    options.out = std::path::absolute(&options.out).context("the working folder is gone")?;
    let seeds: &[u64] = if options.short { &[1] } else { &[1, 2, 3] };
    let commands = Commands { root, options };
    let out = commands.options.out.clone();
    std::fs::create_dir_all(&out).with_context(|| text(&out))?;
    code::write(&out)?;
    let weak = commands.weak()?;
    let grades = commands.grades(&weak)?;
    let (mut rlcs, mut uniform) = (Vec::new(), Vec::new());
    for seed in seeds {
        rlcs.push(commands.chosen(&weak, *seed, Some(&grades))?);
        uniform.push(commands.chosen(&weak, *seed, None)?);
    }
    let name = |name: &str, runs: &[PathBuf]| {
        let runs: Vec<String> = runs.iter().map(|run| text(run)).collect();
        format!("{name}={}", runs.join(","))
    };
    let (rlcs, uniform) = (name("RLCS", &rlcs), name("uniform", &uniform));
    let chart = text(&out.join("compared.svg"));
    let compare = ["--reach", REACH, "--svg", &chart, &rlcs, &uniform];
    commands.go(&line("rl compare", &compare))?;
    let compare = ["--reach", REACH, &rlcs, &uniform];
    let table = commands.read(&line("rl compare --json", &compare))?;
    let table: serde_json::Value = serde_json::from_str(&table).context("rl compare --json")?;
    let needed = |at: usize| table[at]["median_completions"].as_u64();
    match (needed(0), needed(1)) {
        (Some(rlcs), Some(uniform)) if rlcs < uniform => Ok(()),
        (Some(_), None) => Ok(()),
        found => bail!("completions of RLCS and of uniform sampling: {found:?}"),
    }
}

impl Commands<'_> {
    fn file(&self, name: &str) -> String {
        text(&self.options.out.join(name))
    }

    /// A model that has heard the code from a noisy teacher.
    fn weak(&self) -> Result<PathBuf> {
        let (start, run) = (
            self.options.out.join("start"),
            self.options.out.join("weak"),
        );
        let done = self.options.out.join("weak.done");
        if !done.exists() {
            for folder in [&start, &run] {
                if folder.exists() {
                    std::fs::remove_dir_all(folder).with_context(|| text(folder))?;
                }
            }
            self.go(&self.draw(&start))?;
            let recipe = text(&self.root.join("assets/recipes/pictures.toml"));
            let lessons = format!("data.sources=[{{path='{}'}}]", self.file(code::LESSONS));
            let settings = [
                lessons.as_str(),
                "eval.sources=[]",
                "rhythm.eval_every=0",
                "rhythm.save_every=0",
                "train.steps=300",
                "train.schedule.rate=2e-3",
            ];
            let settings = settings.map(str::to_owned);
            let args = self.train("sft", &recipe, [&start, &run], settings);
            self.go(&args)?;
            std::fs::write(&done, "").with_context(|| text(&done))?;
        }
        newest(&run.join("checkpoints"))
    }

    /// How hard the tasks are.
    fn grades(&self, weak: &Path) -> Result<PathBuf> {
        let path = self.options.out.join("grades.jsonl");
        if !path.exists() {
            let (tasks, rewards) = (self.file(code::TASKS), self.file(code::REWARDS));
            self.grade(weak, [tasks, rewards, self.recipe()], "8", &path)?;
        }
        Ok(path)
    }

    /// One run, by grades or uniform.
    fn chosen(&self, weak: &Path, seed: u64, grades: Option<&Path>) -> Result<PathBuf> {
        let (kind, iterations) = match grades {
            Some(_) => ("rlcs", RLCS),
            None => ("uniform", UNIFORM),
        };
        let run = self.options.out.join(format!("{kind}-{seed}"));
        let done = self.options.out.join(format!("{kind}-{seed}.done"));
        if done.exists() {
            return Ok(run);
        }
        if run.exists() {
            std::fs::remove_dir_all(&run).with_context(|| text(&run))?;
        }
        let mut settings = vec![
            format!("data.tasks=['{}']", self.file(code::TASKS)),
            format!("data.held_out=['{}']", self.file(code::HELD_OUT)),
            format!("data.rewards='{}'", self.file(code::REWARDS)),
            format!("rl.seed={seed}"),
            format!("updates={UPDATES}"),
            format!("train.steps={}", iterations * UPDATES),
            // Room for the longest code.
            "rl.rollout.answer_tokens=28".into(),
            "rhythm.eval_every=4".into(),
            "rhythm.save_every=0".into(),
            format!("rl.curriculum.kind={kind}"),
        ];
        settings.extend(grades.map(|path| format!("data.grades=['{}']", text(path))));
        let args = self.train("rl", &self.recipe(), [weak, &run], settings);
        self.go(&args)?;
        std::fs::write(&done, "").with_context(|| text(&done))?;
        Ok(run)
    }
}
