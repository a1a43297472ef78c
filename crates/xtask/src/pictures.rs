//! `cargo xtask pictures`: a small model from random weights to right answers on rendered pictures, by
//! the program's own commands. What it does is told in docs/training.md.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// Share of right answers on fresh items that the run must reach; the short form has its own.
const WANTED: &str = "0.95";
/// What a model of the short form must reach: twice what guessing gets.
const WANTED_SHORT: &str = "0.6";

/// How long, where, and into which folder.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) device: String,
    pub(crate) short: bool,
    pub(crate) out: PathBuf,
}

/// Makes data, draws random weights, shows that they know nothing, trains, and evaluates on items of
/// the test split: fails if fewer than 95 % are right.
///
/// # Errors
/// If an argument is not known, the folder given exists, or a command fails.
pub fn run(root: &Path, args: &[&str]) -> Result<()> {
    let default = default_out(root, "pictures");
    let mut options = Options::of(root, "pictures", args)?;
    if options.out == default && default.exists() {
        std::fs::remove_dir_all(&default).with_context(|| default.display().to_string())?;
    }
    // Relative paths of a recipe count from its own folder.
    options.out = std::path::absolute(&options.out).context("the working folder is gone")?;
    if options.out.exists() {
        bail!("{}: exists already", options.out.display());
    }
    std::fs::create_dir_all(&options.out).with_context(|| options.out.display().to_string())?;
    let commands = Commands { root, options };
    let out = &commands.options.out;
    let start = out.join("start");
    commands.go(&commands.make("train", "caption", commands.rows()))?;
    commands.go(&commands.make("train", "sft", commands.rows()))?;
    commands.go(&commands.make("validation", "sft", "200"))?;
    commands.go(&commands.draw(&start))?;
    commands.go(&commands.eval(&start, &["--no-blind"]))?;
    commands.go(&commands.learn(&start, &out.join("run")))?;
    let trained = newest(&out.join("run").join("checkpoints"))?;
    commands.go(&commands.eval(&trained, &["--at-least", commands.wanted()]))
}

/// Where the run goes, and replaces the one before, if no folder is given.
fn default_out(root: &Path, name: &str) -> PathBuf {
    root.join("target").join(name)
}

impl Options {
    /// The options of `[cpu|gpu|auto] [short] [OUT]`; `name` is the folder below `target` by default.
    ///
    /// # Errors
    /// If an argument is not known.
    pub(crate) fn of(root: &Path, name: &str, args: &[&str]) -> Result<Self> {
        let mut options = Options {
            device: "cpu".into(),
            short: false,
            out: default_out(root, name),
        };
        for arg in args {
            match *arg {
                "cpu" | "gpu" | "auto" => options.device = (*arg).into(),
                "short" => options.short = true,
                flag if flag.starts_with('-') => {
                    bail!("{flag} is no argument: expected [cpu|gpu|auto] [short] [OUT]")
                }
                out => options.out = out.into(),
            }
        }
        Ok(options)
    }
}

/// The program's command lines.
pub(crate) struct Commands<'a> {
    pub(crate) root: &'a Path,
    pub(crate) options: Options,
}

impl Commands<'_> {
    pub(crate) fn go(&self, args: &[String]) -> Result<()> {
        let mut command = Command::new(shell::program(self.root)?);
        shell::run(command.current_dir(self.root).args(args))
    }

    /// What a command prints.
    pub(crate) fn read(&self, args: &[String]) -> Result<String> {
        let mut command = Command::new(shell::program(self.root)?);
        shell::read(command.current_dir(self.root).args(args))
    }

    fn asset(&self, name: &str) -> String {
        text(&self.root.join("assets").join(name))
    }

    fn data(&self) -> PathBuf {
        self.options.out.join("data")
    }

    pub(crate) fn rows(&self) -> &'static str {
        if self.options.short { "2000" } else { "8000" }
    }

    fn wanted(&self) -> &'static str {
        if self.options.short {
            WANTED_SHORT
        } else {
            WANTED
        }
    }

    pub(crate) fn make(&self, split: &str, layout: &str, n: &str) -> Vec<String> {
        let head = "gym make --domain vqa --task colour --level 1 --side 56 --nothink 1";
        let out = text(&self.data());
        line(
            head,
            &["--split", split, "--layout", layout, "-n", n, "--out", &out],
        )
    }

    pub(crate) fn draw(&self, model: &Path) -> Vec<String> {
        let (config, like) = (
            self.asset("configs/pictures.json"),
            self.asset("models/glmv-tiny"),
        );
        let tail = ["--new", &config, "--like", &like, "--out", &text(model)];
        line("inspect --scaled --seed 1", &tail)
    }

    /// On the test split, which is what the program does by itself.
    pub(crate) fn eval(&self, model: &Path, more: &[&str]) -> Vec<String> {
        let head = "gym eval --domain vqa --task colour --level 1 --side 56 --no-think --max-new-tokens 16 -n 300";
        let model = text(model);
        let mut tail = vec!["--device", &self.options.device, "--model", &model];
        tail.extend(more);
        line(head, &tail)
    }

    pub(crate) fn learn(&self, model: &Path, run: &Path) -> Vec<String> {
        let source = |name: &str| format!("{{ path = '{}' }}", text(&self.data().join(name)));
        let (captions, questions) = (source("train.caption.jsonl"), source("train.sft.jsonl"));
        let held_out = source("validation.sft.jsonl");
        let recipe = self.asset("recipes/pictures.toml");
        let mut sets = vec![
            format!("data.sources=[{captions}, {questions}]"),
            format!("eval.sources=[{held_out}]"),
        ];
        if self.options.short {
            sets.push("train.steps=240".into());
        }
        self.train("sft", &recipe, [model, run], sets)
    }

    /// `train sft` or `train rl` by a recipe, from a model into a folder, with settings of its own.
    pub(crate) fn train(
        &self,
        how: &str,
        recipe: &str,
        [model, run]: [&Path; 2],
        sets: impl IntoIterator<Item = String>,
    ) -> Vec<String> {
        let (model, run, device) = (text(model), text(run), &self.options.device);
        let tail = [
            "--recipe", recipe, "--model", &model, "--out", &run, "--device", device,
        ];
        let mut all = line(&format!("train {how} --plain"), &tail);
        for set in sets {
            all.extend(["--set".into(), set]);
        }
        all
    }

    /// `rl grade` of a file of tasks, with its rewards and a recipe, by `samples` completions of each.
    pub(crate) fn grade(
        &self,
        model: &Path,
        [tasks, rewards, recipe]: [String; 3],
        samples: &str,
        out: &Path,
    ) -> Result<()> {
        let (model, out, device) = (text(model), text(out), &self.options.device);
        let tail = [
            "--tasks",
            &tasks,
            "--rewards",
            &rewards,
            "--recipe",
            &recipe,
            "--model",
            &model,
            "-n",
            samples,
            "--device",
            device,
            "--out",
            &out,
        ];
        self.go(&line("rl grade", &tail))
    }

    /// On the CPU device two micro-steps at once, which uses two cores better; the same bits.
    pub(crate) fn workers(&self) -> Vec<String> {
        match self.options.device == "cpu" {
            true => line("--workers cpu", &[]),
            false => Vec::new(),
        }
    }
}

/// The last checkpoint of a run.
pub(crate) fn newest(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.map(|entry| entry.map(|e| e.path()));
    let mut paths = paths.collect::<std::io::Result<Vec<_>>>()?;
    let is_step = |p: &PathBuf| {
        p.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with("step-"))
    };
    paths.retain(is_step);
    // Names have leading zeros, so that their order is that of the steps.
    let last = paths.into_iter().max();
    last.with_context(|| format!("{}: no checkpoint", folder.display()))
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}

pub(crate) fn line(head: &str, tail: &[&str]) -> Vec<String> {
    let head = head.split_whitespace();
    head.chain(tail.iter().copied())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        let root = Path::new("root");
        let plain = Options::of(root, "pictures", &[]).expect("none");
        assert_eq!((plain.device.as_str(), plain.short), ("cpu", false));
        let all = Options::of(root, "pictures", &["gpu", "short", "there"]).expect("three");
        let want = Options {
            device: "gpu".into(),
            short: true,
            out: "there".into(),
        };
        assert_eq!(all, want);
        let error = Options::of(root, "pictures", &["--device"])
            .expect_err("no flag")
            .to_string();
        assert!(
            error.contains("--device") && error.contains("cpu|gpu"),
            "{error}"
        );
    }

    #[test]
    fn the_last_word_is_fresh_items_and_a_bar_to_clear() {
        let root = shell::workspace_root();
        let options = Options::of(&root, "pictures", &["gpu"]).expect("good");
        let commands = Commands {
            root: &root,
            options,
        };
        let words = |args: Vec<String>| args.join(" ");
        assert!(words(commands.make("train", "sft", "5")).contains("train --layout sft -n 5"));
        let last = words(commands.eval(Path::new("m"), &["--at-least", commands.wanted()]));
        assert!(
            last.contains("--at-least 0.95") && last.contains("--device gpu"),
            "{last}"
        );
        assert!(!last.contains("--split"), "{last}");
        let learn = words(commands.learn(Path::new("m"), Path::new("r")));
        assert!(
            learn.contains("train.sft.jsonl") && !learn.contains("train.steps"),
            "{learn}"
        );
        for file in [
            "configs/pictures.json",
            "recipes/pictures.toml",
            "models/glmv-tiny",
        ] {
            assert!(root.join("assets").join(file).exists(), "{file}");
        }
    }

    #[test]
    fn the_newest_checkpoint_is_found() {
        let dir = shell::temp_dir("pictures-test").expect("writable");
        assert!(newest(&dir).is_err());
        for name in ["step-00000009", "step-00000010", ".step-00000011"] {
            std::fs::create_dir(dir.join(name)).expect("writable");
        }
        assert!(newest(&dir).expect("two").ends_with("step-00000010"));
        std::fs::remove_dir_all(&dir).expect("there");
    }
}
