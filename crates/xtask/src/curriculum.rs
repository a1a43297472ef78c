//! `cargo xtask curriculum`: RLCS against uniform sampling where three tasks of four are beyond the model,
//! by the program's own commands. What it does is told in docs/training.md.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::pictures::{Commands, Options, line, text};
use crate::reward;

/// Iterations of a run, of [`UPDATES`] optimiser steps each: uniform sampling gets more, because an
/// iteration of RLCS makes up to four times as many completions.
const RLCS: u64 = 60;
const UNIFORM: u64 = 140;
const UPDATES: u64 = 8;
/// Held-out accuracy that is to be reached.
const REACH: &str = "0.9";

/// Fine-tunes until a model half knows colours, grades tasks about colours and three times as many about
/// shapes, which it cannot know, and learns from reward over both with three seeds and two ways of choosing.
/// Runs that are done are left as they are. `compared.svg` in the folder is the chart. The short form has
/// one seed.
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
    let weak = reward::weak(&commands, &out)?;
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
    /// Files of tasks, the first of colours, the second of shapes.
    fn pool(&self) -> [PathBuf; 2] {
        ["colours", "shapes"].map(|name| {
            let folder = self.options.out.join(name);
            folder.join("train.rl.jsonl")
        })
    }

    /// Makes the tasks, and tells how hard they are.
    fn grades(&self, weak: &Path) -> Result<PathBuf> {
        let path = self.options.out.join("grades.jsonl");
        if path.exists() {
            return Ok(path);
        }
        let head = "gym make --domain vqa --level 1 --side 56 --layout rl --split train";
        for (task, seed, n, folder) in [
            ("colour", "100000", "1000", "colours"),
            ("shape", "200000", "3000", "shapes"),
        ] {
            let out = text(&self.options.out.join(folder));
            let tail = ["--task", task, "--seed", seed, "-n", n, "--out", &out];
            self.go(&line(head, &tail))?;
        }
        let [colours, shapes] = self.pool().map(|file| text(&file));
        let (weak, recipe) = (text(weak), self.recipe());
        let (out, rewards) = (text(&path), self.rewards());
        let device = &self.options.device;
        let tail = [
            "--tasks",
            &colours,
            &shapes,
            "--model",
            &weak,
            "--recipe",
            &recipe,
            "--rewards",
            &rewards,
            "--device",
            device,
            "--out",
            &out,
        ];
        self.go(&line("rl grade -n 8", &tail))?;
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
        let mut args = self.reward(weak, &run, seed);
        let [colours, shapes] = self.pool().map(|file| text(&file));
        let mut set = |setting: String| args.extend(["--set".into(), setting]);
        set(format!("data.tasks=['{colours}', '{shapes}']"));
        set(format!("updates={UPDATES}"));
        set(format!("train.steps={}", iterations * UPDATES));
        set("rhythm.eval_every=4".into());
        set("rhythm.save_every=0".into());
        set(format!("rl.curriculum.kind={kind}"));
        if let Some(grades) = grades {
            set(format!("data.grades=['{}']", text(grades)));
        }
        self.go(&args)?;
        std::fs::write(&done, "").with_context(|| text(&done))?;
        Ok(run)
    }
}
