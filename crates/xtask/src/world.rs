//! `cargo xtask world`: the bundled model through all stages, by the program's own commands: data, random
//! weights, pre-training, longer sequences with video, fine-tuning, learning from reward. What it does is
//! told in docs/training.md; the stages are listed in `stages`.

pub(crate) mod bundle;
mod sets;
mod stages;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::pictures::{Commands, Options, line, newest, text};
use crate::results::Results;

use stages::{Form, Set, Stage};

/// Makes what is missing, goes on where it was stopped, and evaluates after every stage; tables are
/// appended to `results.jsonl` in the folder. With `bundled` a new folder begins with the model of
/// `assets/models/glmv-tiny` and what is noted beside it.
///
/// # Errors
/// If an argument is not known, a command fails, or a stage does not improve accuracy by as much as its
/// form asks for.
pub fn run(root: &Path, args: &[&str]) -> Result<()> {
    let (words, args): (Vec<&str>, Vec<&str>) = args.iter().partition(|arg| **arg == BUNDLED);
    let mut options = Options::of(root, "world", &args)?;
    options.out = std::path::absolute(&options.out).context("the working folder is gone")?;
    let form = if options.short {
        &stages::SHORT
    } else {
        &stages::FULL
    };
    let world = World {
        form,
        commands: Commands { root, options },
    };
    if !words.is_empty() {
        world.begin_with_bundled()?;
    }
    world.go()
}

/// The word with which a run goes on from the bundled model.
const BUNDLED: &str = "bundled";
/// The bundled model, below the root.
const TINY: &str = "assets/models/glmv-tiny";
/// What is noted of the stages the bundled model went through; in its folder.
const STAGES: &str = "stages.jsonl";

/// The model a stage of a run left, as it is bundled and as the next stage begins with it.
pub(crate) fn left_by(run: &Path, stage: &str) -> PathBuf {
    run.join("models").join(stage)
}

/// A run of a form in a folder.
struct World<'a> {
    form: &'static Form,
    commands: Commands<'a>,
}

impl World<'_> {
    fn out(&self) -> &Path {
        &self.commands.options.out
    }

    fn go(&self) -> Result<()> {
        fs::create_dir_all(self.out()).with_context(|| text(self.out()))?;
        let mut model = self.out().join("start");
        if !model.exists() {
            self.commands.go(&self.draw(&model))?;
        }
        let mut before = match self.form.start {
            true => self.evaluated("start", &model)?,
            false => 0.0,
        };
        for stage in self.form.stages {
            model = self.learn(stage, &model)?;
            let after = self.evaluated(stage.name, &model)?;
            println!(
                "{}: {:.1} % right, {:.1} % before",
                stage.name,
                100.0 * after,
                100.0 * before
            );
            stage.judge(before, after)?;
            before = after;
        }
        Ok(())
    }

    fn draw(&self, model: &Path) -> Vec<String> {
        let assets = self.commands.root.join("assets");
        let (config, like) = (
            text(&assets.join(self.form.config)),
            text(&assets.join("models/glmv-tiny")),
        );
        let tail = ["--new", &config, "--like", &like, "--out", &text(model)];
        line("inspect --scaled --seed 1", &tail)
    }

    /// A new folder as a run from random weights would have left it.
    fn begin_with_bundled(&self) -> Result<()> {
        let bundled = self.commands.root.join(TINY);
        let noted = Results(bundled.join(STAGES)).rows()?;
        let stage = noted.last().and_then(|row| row["stage"].as_str());
        let stage = stage.with_context(|| format!("{}: no stage is noted", text(&bundled)))?;
        if self.results().0.exists() {
            bail!("{}: exists already", text(&self.results().0));
        }
        let model = left_by(self.out(), stage);
        fs::create_dir_all(&model).with_context(|| text(&model))?;
        for entry in fs::read_dir(&bundled).with_context(|| text(&bundled))? {
            let from = entry.with_context(|| text(&bundled))?.path();
            let to = model.join(from.file_name().unwrap_or_default());
            fs::copy(&from, &to).with_context(|| text(&from))?;
        }
        noted.iter().try_for_each(|row| self.results().add(row))
    }

    /// The files a stage learns from, those that are not there.
    fn prepare(&self, stage: &Stage, recipe: &Path) -> Result<()> {
        let recipe = fs::read_to_string(recipe).with_context(|| text(recipe))?;
        let named = |set: &Set| {
            let folder = format!("data/{}/", set.name);
            recipe.contains(&folder) || stage.changes.iter().any(|c| c.contains(&folder))
        };
        let sets = self.form.stages.iter().flat_map(|stage| stage.sets);
        sets.filter(|set| named(set))
            .try_for_each(|set| self.make(set))
    }

    /// The model a stage leaves.
    fn learn(&self, stage: &Stage, model: &Path) -> Result<PathBuf> {
        let left = left_by(self.out(), stage.name);
        if left.exists() || self.table(stage.name)?.is_some() {
            return Ok(left);
        }
        let run = self.out().join(stage.name);
        let checkpoints = run.join("checkpoints");
        let recipe = self.out().join(stage.recipe);
        let asset = self.commands.root.join("assets/recipes").join(stage.recipe);
        // Beside the data: its paths count from there.
        fs::copy(&asset, &recipe).with_context(|| text(&asset))?;
        self.prepare(stage, &recipe)?;
        let changes = stage.changes.iter().map(|change| (*change).to_owned());
        let mut args = self
            .commands
            .train(stage.verb, &text(&recipe), [model, &run], changes);
        args.extend(self.commands.workers());
        if newest(&checkpoints).is_ok() {
            args.push("--resume".into());
        }
        self.commands.go(&args)?;
        // In f16 from stage to stage, so that it does not matter where a run went on from the bundled model.
        let last = text(&newest(&checkpoints)?);
        let tail = ["--model", &last, "--out", &text(&left)];
        self.commands.go(&line("merge --store f16", &tail))?;
        Ok(left)
    }

    /// Accuracy of a model by the first of the form's evaluations; all of them are noted.
    fn evaluated(&self, stage: &str, model: &Path) -> Result<f64> {
        if let Some(table) = self.table(stage)? {
            return accuracy(&table);
        }
        let mut tables = Map::new();
        for (name, how) in self.form.asks {
            let how = format!("{} {how}", self.form.items);
            tables.insert((*name).into(), table(&self.commands, &how, model)?);
        }
        let seconds = self.seconds(stage)?;
        let row = serde_json::json!({ "stage": stage, "seconds": seconds, "tables": tables });
        self.results().add(&row)?;
        accuracy(&row)
    }

    /// How long the steps of a stage took in all, by its metrics; nothing for one that takes none.
    fn seconds(&self, stage: &str) -> Result<Option<f64>> {
        let path = self.out().join(stage).join("metrics.jsonl");
        let rows = Results(path).rows()?;
        let each = rows.iter().filter_map(|row| row["time/step"].as_f64());
        Ok((!rows.is_empty()).then(|| each.sum()))
    }

    /// What was noted of a stage.
    fn table(&self, stage: &str) -> Result<Option<Value>> {
        self.results().find("stage", stage)
    }

    fn results(&self) -> Results {
        Results(self.out().join("results.jsonl"))
    }
}

impl Stage {
    /// Whether accuracy went from `before` to `after` as the stage must bring it, 1 for all items.
    fn judge(&self, before: f64, after: f64) -> Result<()> {
        match self.gain {
            Some(gain) if after < before + gain => bail!(
                "{} brought {:.1} points, and {:.1} are asked for",
                self.name,
                100.0 * (after - before),
                100.0 * gain
            ),
            Some(_) | None => Ok(()),
        }
    }
}

/// What `gym eval` says of a model, without what differs from run to run.
fn table(commands: &Commands<'_>, how: &str, model: &Path) -> Result<Value> {
    let tail = [
        "--model",
        &text(model),
        "--device",
        &commands.options.device,
    ];
    let printed = commands.read(&line(&format!("gym eval --json {how}"), &tail))?;
    let table: Map<String, Value> = serde_json::from_str(&printed).with_context(|| {
        format!(
            "`glmv gym eval --json` of {} printed no object",
            text(model)
        )
    })?;
    let same = |(key, _): &(String, Value)| !["model", "seconds"].contains(&key.as_str());
    Ok(table.into_iter().filter(same).collect::<Map<_, _>>().into())
}

/// Accuracy over all items of a row's first table, 0 to 1.
fn accuracy(row: &Value) -> Result<f64> {
    let tables = row["tables"].as_object();
    let first = tables.and_then(|tables| tables.values().next());
    let found = first.and_then(|table| table["all"]["accuracy"].as_f64());
    found.with_context(|| format!("{}: no accuracy", row["stage"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;
    use std::collections::BTreeSet;

    pub(super) fn world(root: &Path, out: PathBuf) -> World<'_> {
        let options = Options {
            device: "cpu".into(),
            short: true,
            out,
        };
        World {
            form: &stages::SHORT,
            commands: Commands { root, options },
        }
    }

    #[test]
    fn results_tell_what_is_done() {
        let (root, dir) = (
            shell::workspace_root(),
            shell::temp_dir("world-test").expect("writable"),
        );
        let world = world(&root, dir.clone());
        assert!(world.table("sft").expect("no file").is_none());
        let path = dir.join("results.jsonl");
        let row = r#"{"stage":"sft","tables":{"direct":{"all":{"accuracy":0.5}}}}"#;
        fs::write(&path, format!("{row}\n")).expect("writable");
        // Nothing is run for a stage that is noted.
        assert_eq!(
            world.evaluated("sft", Path::new("nothing")).expect("noted"),
            0.5
        );
        assert!(world.table("rl").expect("a file").is_none());
        assert!(accuracy(&serde_json::json!({"stage": "sft", "tables": {}})).is_err());
        fs::remove_dir_all(&dir).expect("there");
    }

    #[test]
    fn a_run_goes_on_from_the_bundled_model() {
        let dir = shell::temp_dir("bundled-test").expect("writable");
        let tiny = dir.join(TINY);
        fs::create_dir_all(&tiny).expect("writable");
        let world = world(&dir, dir.join("out"));
        let error = world.begin_with_bundled().expect_err("no stages");
        assert!(error.to_string().contains("no stage is noted"), "{error}");
        let stages = ["{\"stage\":\"pretrain\"}", "{\"stage\":\"long\"}"].join("\n");
        fs::write(tiny.join(STAGES), stages).expect("writable");
        fs::write(tiny.join("config.json"), "{}").expect("writable");
        world.begin_with_bundled().expect("a new folder");
        assert!(left_by(world.out(), "long").join("config.json").exists());
        assert!(world.table("pretrain").expect("readable").is_some());
        let error = world.begin_with_bundled().expect_err("a second time");
        assert!(error.to_string().contains("exists already"), "{error}");
        fs::remove_dir_all(&dir).expect("there");
    }

    #[test]
    fn every_path_of_a_recipe_is_made_by_a_set() {
        let recipes = shell::workspace_root().join("assets/recipes");
        for stage in stages::FULL.stages {
            let recipe = fs::read_to_string(recipes.join(stage.recipe)).expect(stage.recipe);
            let named = recipe
                .split(['"', '\''])
                .filter(|word| word.starts_with("data/"));
            let named: BTreeSet<&str> = named.filter_map(|path| path.split('/').nth(1)).collect();
            let known = stages::FULL.stages.iter().flat_map(|stage| stage.sets);
            let known: BTreeSet<&str> = known.map(|set| set.name).collect();
            assert!(!named.is_empty(), "{}: no data", stage.recipe);
            assert!(named.is_subset(&known), "{}: {named:?}", stage.recipe);
        }
    }

    #[test]
    fn every_stage_of_the_short_form_must_bring_something() {
        let names = |form: &Form| form.stages.iter().map(|s| s.name).collect::<Vec<_>>();
        let mut all = names(&stages::FULL);
        // The short form's model neither reads nor compares, and learns all there is from its first rewards.
        let only_full = [
            "reading",
            "drill",
            "drill-hard",
            "rl-more",
            "rl-last",
            "rl-long",
            "rl-settle",
        ];
        all.retain(|name| !only_full.contains(name));
        assert_eq!(names(&stages::SHORT), all);
        for stage in stages::SHORT.stages {
            let error = stage.judge(0.5, 0.5).expect_err(stage.name).to_string();
            assert!(
                error.starts_with(stage.name) && error.contains("0.0 points"),
                "{error}"
            );
            assert!(stage.judge(0.5, 0.7).is_ok());
        }
    }
}
