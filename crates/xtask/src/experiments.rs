//! `cargo xtask experiments`: what the paper (arXiv 2507.01006, §5 and 6) finds about learning from reward,
//! measured on the bundled model by the program's own commands: docs/experiments.md.

mod flaw;
mod plan;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::pictures::{Commands, Options, line, newest, text};
use crate::results::Results;
use crate::world::left_by;

use plan::{FLAWED, Form, MIX, Run, TASKS, UNIFORM};

/// Runs what is missing and writes `experiments/tables.md` and the charts into the folder of a finished
/// `cargo xtask world`, whose fine-tuned checkpoint every run starts from. What is noted in
/// `experiments/results.jsonl` is not run again.
///
/// # Errors
/// If an argument is not known, the folder has no such checkpoints, or a command fails.
pub fn run(root: &Path, args: &[&str]) -> Result<()> {
    let mut options = Options::of(root, "world", args)?;
    options.out = std::path::absolute(&options.out).context("the working folder is gone")?;
    let form = if options.short {
        &plan::SHORT
    } else {
        &plan::FULL
    };
    let world = options.out.clone();
    let stage = |name: &str| {
        let why = || format!("{}: run `cargo xtask world` first", text(&world));
        let model = left_by(&world, name);
        model.exists().then_some(model).with_context(why)
    };
    let stages = Results(world.join("results.jsonl")).rows()?;
    let fine_tuned = tables::fine_tuned(&stages).with_context(|| text(&world))?;
    let models = [
        stage("long")?,
        stage(fine_tuned)?,
        stage(tables::learnt(&stages)?)?,
    ];
    options.out = world.join("experiments");
    let experiments = Experiments {
        form,
        commands: Commands { root, options },
    };
    experiments.go(&stages, &models)
}

/// The experiments of a form in a folder.
struct Experiments<'a> {
    form: &'static Form,
    commands: Commands<'a>,
}

impl Experiments<'_> {
    fn out(&self) -> &Path {
        &self.commands.options.out
    }

    fn results(&self) -> Results {
        Results(self.out().join("results.jsonl"))
    }

    fn go(&self, stages: &[Value], [base, sft, rl]: &[PathBuf; 3]) -> Result<()> {
        fs::create_dir_all(self.out()).with_context(|| text(self.out()))?;
        self.data()?;
        self.noted("sft", || self.eval(sft))?;
        let runs = plan::runs(self.form);
        for run in &runs {
            self.noted(&run.name, || self.learn(run, sft))?;
        }
        for (name, model) in [("base", base), ("sft", sft), ("rl", rl)] {
            for (how, options) in self.form.sampled {
                let row = tables::sampled(how, name);
                self.noted(&row, || self.ask(options, &text(model)))?;
            }
            self.noted(&format!("pass@k {name}"), || self.grades(name, model))?;
        }
        self.compare("rlcs.svg", &[MIX, UNIFORM])?;
        let mut ablations = vec![MIX];
        ablations.extend(plan::ABLATIONS.map(|(name, _)| name));
        self.compare("ablations.svg", &ablations)?;
        let tables = tables::write(self.form, stages, &self.results().rows()?, self.out())?;
        println!("{tables}");
        Ok(())
    }

    /// A row of the results, made if it is not there.
    fn noted(&self, name: &str, make: impl FnOnce() -> Result<Value>) -> Result<()> {
        if self.results().find("run", name)?.is_none() {
            let found = make()?;
            self.results()
                .add(&json!({ "run": name, "found": found }))?;
        }
        Ok(())
    }

    /// Tasks of all domains, those of each, and those with a flawed verifier.
    fn data(&self) -> Result<()> {
        let data = self.out().join("data");
        let folder = data.join(MIX);
        let done = data.join("done");
        if done.exists() {
            return Ok(());
        }
        let domains = self.form.domains.join(",");
        let [tasks, held_out] = self.form.tasks;
        for (split, seed, n) in [
            ("train", "2000000", tasks),
            ("validation", "4000", held_out),
        ] {
            let head = format!("gym make --layout rl {}", self.form.items);
            let out = text(&folder);
            let tail = [
                "--domain", &domains, "--split", split, "--seed", seed, "-n", n, "--out", &out,
            ];
            self.commands.go(&line(&head, &tail))?;
        }
        let all = data.join(TASKS);
        for domain in self.form.domains {
            of_domain(&all, domain, &folder.join(format!("{domain}.jsonl")))?;
        }
        flaw::write(&data)?;
        fs::write(&done, "").with_context(|| text(&done))
    }

    /// One run, and how the model that comes out answers.
    fn learn(&self, run: &Run, sft: &Path) -> Result<Value> {
        let folder = self.folder(&run.name);
        if folder.exists() {
            // It was stopped: an iteration is cheap, a run has no checkpoint before its end.
            fs::remove_dir_all(&folder).with_context(|| text(&folder))?;
        }
        let data = self.out().join("data");
        // Held-out tasks and rewards of all domains, also where one is learnt.
        let near = data.join(if run.name == FLAWED { FLAWED } else { MIX });
        let held_out = text(&near.join("validation.rl.jsonl"));
        let mut settings = vec![
            format!("data.tasks=['{}']", text(&data.join(&run.tasks))),
            format!("data.held_out=['{held_out}']"),
            format!("data.rewards='{}'", text(&near.join("reward.toml"))),
            format!("train.steps={}", self.form.steps),
        ];
        settings.extend(run.changes.iter().map(|change| (*change).to_owned()));
        let recipe = self.recipe();
        let mut args = self.commands.train("rl", &recipe, [sft, &folder], settings);
        args.extend(self.commands.workers());
        self.commands.go(&args)?;
        let mut found = self.eval(&newest(&folder.join("checkpoints"))?)?;
        if run.name == FLAWED {
            found["watch"] = flaw::watched(&folder)?;
        }
        Ok(found)
    }

    fn recipe(&self) -> String {
        let recipes = self.commands.root.join("assets/recipes");
        text(&recipes.join("tiny-experiments.toml"))
    }

    fn folder(&self, run: &str) -> PathBuf {
        self.out().join("runs").join(run.replace(' ', "-"))
    }

    /// Accuracy with direct answers, on items of the test split.
    fn eval(&self, model: &Path) -> Result<Value> {
        let options = format!(
            "{} --domain {} -n {} --seed 7000 --no-think --max-new-tokens 24",
            self.form.items,
            self.form.domains.join(","),
            self.form.asked
        );
        self.ask(&options, &text(model))
    }

    /// What `gym eval` says of a model with these options.
    fn ask(&self, options: &str, model: &str) -> Result<Value> {
        let head = format!("gym eval --json --no-blind {options}");
        let tail = ["--model", model, "--device", &self.commands.options.device];
        let printed = self.commands.read(&line(&head, &tail))?;
        serde_json::from_str(&printed).context("`glmv gym eval --json` printed no object")
    }

    /// `rl grade` of a file of tasks by a number of completions of each.
    fn grade(&self, model: &Path, tasks: &Path, samples: &str, out: &Path) -> Result<()> {
        let rewards = text(&tasks.with_file_name("reward.toml"));
        let files = [text(tasks), rewards, self.recipe()];
        self.commands.grade(model, files, samples, out)
    }

    /// How many of a number of completions of each held-out task are right.
    fn grades(&self, name: &str, model: &Path) -> Result<Value> {
        let path = self.out().join(format!("grades-{name}.jsonl"));
        let tasks = self
            .out()
            .join("data")
            .join(MIX)
            .join("validation.rl.jsonl");
        self.grade(model, &tasks, &self.form.samples.to_string(), &path)?;
        let out = text(&path);
        let right = Results(path)
            .rows()?
            .into_iter()
            .map(|row| row["right"].clone());
        let right: Vec<Value> = right.collect();
        if right.iter().any(|n| !n.is_u64()) {
            bail!("{out}: a line without \"right\"");
        }
        Ok(json!({ "samples": self.form.samples, "right": right }))
    }

    /// The chart of held-out accuracy over completions.
    fn compare(&self, chart: &str, runs: &[&str]) -> Result<()> {
        let lines = runs
            .iter()
            .map(|run| format!("{run}={}", text(&self.folder(run))));
        let lines: Vec<String> = lines.collect();
        let svg = text(&self.out().join(chart));
        let mut tail = vec!["--svg", &svg];
        tail.extend(lines.iter().map(String::as_str));
        self.commands.go(&line("rl compare", &tail))
    }
}

/// The rows of one domain, in a file of their own beside the others.
fn of_domain(all: &Path, domain: &str, out: &Path) -> Result<()> {
    let mut rows = Results(all.to_owned()).rows()?;
    rows.retain(|row| row["ability"] == domain);
    if rows.is_empty() {
        bail!("{}: no tasks of {domain}", text(all));
    }
    let rows: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(out, rows.join("\n")).with_context(|| text(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    #[test]
    fn a_domain_has_its_rows_in_their_order() {
        let dir = shell::temp_dir("domain-test").expect("writable");
        let (all, out) = (dir.join("all.jsonl"), dir.join("one.jsonl"));
        let row = |domain: &str, id: u32| format!("{{\"ability\":\"{domain}\",\"id\":{id}}}");
        let rows = [row("vqa", 1), row("ocr", 2), row("vqa", 3)].join("\n");
        fs::write(&all, rows).expect("writable");
        of_domain(&all, "vqa", &out).expect("two of them");
        let kept = fs::read_to_string(&out).expect("written");
        assert_eq!(kept, [row("vqa", 1), row("vqa", 3)].join("\n"));
        let error = of_domain(&all, "gui", &out).expect_err("none");
        assert!(error.to_string().contains("no tasks of gui"), "{error}");
        fs::remove_dir_all(&dir).expect("there");
    }
}
