//! `cargo xtask reward`: a small model that half knows colours learns them from reward alone, by the
//! program's own commands; with rewards that say nothing it does not. What it does is told in
//! docs/training.md.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::pictures::{Commands, Options, line, newest, text};
use crate::results::Results;

/// Points of accuracy, in percent, that reward must bring, and that shuffled reward must not.
const GAIN: f64 = 20.0;
/// Iterations of a run.
const ITERATIONS: &str = "200";
const ITERATIONS_SHORT: &str = "120";
/// Accuracy from which on a model half knows it, where guessing gets a quarter, and how far it must be
/// above what the model gets with blank pictures: a model that does not look yet may guess well.
const HALF: &str = "0.35";
const LOOKS: &str = "0.15";

/// Makes data, fine-tunes and takes the first checkpoint that half knows it, then learns from reward with three seeds and
/// once from shuffled rewards. Runs that are done are left as they are, one that was stopped goes on;
/// results are appended to `results.jsonl` in the folder. The short form has one seed.
///
/// # Errors
/// If an argument is not known, a command fails, reward brings fewer than 20 points with any seed, or
/// shuffled reward as many.
pub fn run(root: &Path, args: &[&str]) -> Result<()> {
    let mut options = Options::of(root, "reward", args)?;
    options.out = std::path::absolute(&options.out).context("the working folder is gone")?;
    let short = options.short;
    let commands = Commands { root, options };
    let out = commands.options.out.clone();
    std::fs::create_dir_all(&out).with_context(|| text(&out))?;
    let weak = weak(&commands, &out)?;
    let seeds: &[u64] = if short { &[1] } else { &[1, 2, 3] };
    let mut gains = Vec::new();
    for seed in seeds {
        gains.push(learn(
            &commands,
            &weak,
            &format!("seed-{seed}"),
            *seed,
            false,
        )?);
    }
    let control = learn(&commands, &weak, "shuffled", 1, true)?;
    println!("points of held-out accuracy gained: {gains:?}; from shuffled rewards: {control}");
    if gains.iter().any(|gain| *gain < GAIN) {
        bail!("reward brought fewer than {GAIN} points");
    }
    if control >= GAIN {
        bail!("rewards that say nothing brought {control} points: something else teaches");
    }
    Ok(())
}

/// The checkpoint to start from, made if it is not there.
pub(crate) fn weak(commands: &Commands<'_>, out: &Path) -> Result<PathBuf> {
    let (run, done) = (out.join("weak"), out.join("weak.done"));
    if !done.exists() {
        for folder in ["data", "start", "weak"] {
            let folder = out.join(folder);
            if folder.exists() {
                std::fs::remove_dir_all(&folder).with_context(|| text(&folder))?;
            }
        }
        let start = out.join("start");
        commands.go(&commands.make("train", "caption", commands.rows()))?;
        commands.go(&commands.make("train", "sft", commands.rows()))?;
        commands.go(&commands.make("validation", "sft", "200"))?;
        commands.go(&commands.tasks("train", "100000", "4000"))?;
        commands.go(&commands.tasks("validation", "0", "200"))?;
        commands.go(&commands.draw(&start))?;
        // Checkpoints while the model begins to look, which happens within a few steps.
        let mut sft = commands.learn(&start, &run);
        let often = "--set rhythm.save_every=5 --set rhythm.eval_every=0 --set keep=99";
        sft.extend(line(often, &["--set", "train.steps=360"]));
        commands.go(&sft)?;
        let half = half(commands, &run.join("checkpoints"))?;
        std::fs::write(&done, text(&half)).with_context(|| text(&done))?;
    }
    let half = std::fs::read_to_string(&done).with_context(|| text(&done))?;
    Ok(PathBuf::from(half))
}

/// The first checkpoint of a run that half knows it.
fn half(commands: &Commands<'_>, folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).with_context(|| text(folder))?;
    let paths = entries.map(|entry| entry.map(|e| e.path()));
    let mut paths = paths.collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let bars = ["--at-least", HALF, "--over-blind", LOOKS];
        let bar = [&["--split", "validation"], &bars[..]].concat();
        if commands.go(&commands.eval(&path, &bar)).is_ok() {
            return Ok(path);
        }
    }
    bail!("{}: no checkpoint knows it by half", folder.display())
}

/// One rewarded run; the points of held-out accuracy that it gained.
fn learn(
    commands: &Commands<'_>,
    weak: &Path,
    name: &str,
    seed: u64,
    shuffled: bool,
) -> Result<f64> {
    let out = &commands.options.out;
    let (run, results) = (out.join(name), Results(out.join("results.jsonl")));
    if results.find("run", name)?.is_none() {
        let mut args = commands.reward(weak, &run, seed);
        if shuffled {
            // The watch rightly ends such a run, and answers may become all alike: the control goes on.
            let on = "--set shuffle_rewards=true --set guard.idle=1000 --set guard.hacking=warn";
            args.extend(line(on, &[]));
        }
        if run.join("checkpoints").exists() && newest(&run.join("checkpoints")).is_ok() {
            args.push("--resume".into());
        }
        commands.go(&args)?;
        let (before, after) = accuracy(&run)?;
        results.add(&serde_json::json!({
            "run": name, "seed": seed, "shuffled": shuffled,
            "device": commands.options.device, "before": before, "after": after,
        }))?;
    }
    let (before, after) = accuracy(&run)?;
    Ok(((after - before) * 10.0).round() / 10.0)
}

/// Held-out accuracy before the first iteration and after the last, in percent, as the run has noted
/// them.
fn accuracy(run: &Path) -> Result<(f64, f64)> {
    let path = run.join("notes.jsonl");
    let notes = std::fs::read_to_string(&path).with_context(|| text(&path))?;
    let numbers: Vec<f64> = notes.lines().filter_map(noted).collect();
    match numbers.as_slice() {
        [before, .., after] => Ok((*before, *after)),
        _ => bail!("{}: no held-out accuracy", path.display()),
    }
}

/// The number of a note on held-out accuracy.
fn noted(note: &str) -> Option<f64> {
    let (_, rest) = note.split_once("held-out accuracy ")?;
    rest.split(' ').next()?.parse().ok()
}

impl Commands<'_> {
    fn tasks(&self, split: &str, seed: &str, n: &str) -> Vec<String> {
        let head = "gym make --domain vqa --task colour --level 1 --side 56 --layout rl";
        let out = text(&self.options.out.join("data"));
        let tail = ["--split", split, "--seed", seed, "-n", n, "--out", &out];
        line(head, &tail)
    }

    fn data_file(&self, name: &str) -> String {
        text(&self.options.out.join("data").join(name))
    }

    /// The reward config that is written beside the tasks.
    pub(crate) fn rewards(&self) -> String {
        self.data_file("reward.toml")
    }

    pub(crate) fn recipe(&self) -> String {
        text(&self.root.join("assets/recipes/rl-small.toml"))
    }

    pub(crate) fn reward(&self, model: &Path, run: &Path, seed: u64) -> Vec<String> {
        let iterations = match self.options.short {
            true => ITERATIONS_SHORT,
            false => ITERATIONS,
        };
        let sets = [
            format!("data.tasks=['{}']", self.data_file("train.rl.jsonl")),
            format!(
                "data.held_out=['{}']",
                self.data_file("validation.rl.jsonl")
            ),
            format!("data.rewards='{}'", self.rewards()),
            format!("rl.seed={seed}"),
            format!("train.steps={iterations}"),
        ];
        self.train("rl", &self.recipe(), [model, run], sets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    #[test]
    fn notes_give_the_accuracy_before_and_after() {
        let dir = shell::temp_dir("reward-test").expect("writable");
        let note = |text: &str| format!("{{\"step\":0,\"text\":\"{text}\"}}\n");
        let notes = [
            note("700 parameters"),
            note("held-out accuracy 43.0 % over 200 tasks after iteration 0"),
            note("held-out accuracy 51.5 % over 200 tasks after iteration 20"),
            note("held-out accuracy 97.0 % over 200 tasks after iteration 40"),
        ];
        std::fs::write(dir.join("notes.jsonl"), notes.concat()).expect("writable");
        assert_eq!(accuracy(&dir).expect("two numbers"), (43.0, 97.0));
        std::fs::write(dir.join("notes.jsonl"), note("nothing")).expect("writable");
        assert!(accuracy(&dir).is_err());
        std::fs::remove_dir_all(&dir).expect("there");
    }
}
