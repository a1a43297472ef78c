//! Recipes of rewarded runs: TOML and `key=value` overrides in, checked settings out.

use super::GuardConfig;
use crate::recipe::{read_table, text_of};
use crate::{AdapterRecipe, Error, Rhythm, TrainerConfig};
use glmv_reward::judge::HttpJudgeConfig;
use glmv_reward::user::ProcessConfig;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Table;

/// What a rewarded run is asked, and how answers are rewarded.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RlData {
    /// Files of tasks, in verl's rows.
    pub tasks: Vec<PathBuf>,
    /// Files of held-out tasks, for accuracy alone; may be empty.
    #[serde(default)]
    pub held_out: Vec<PathBuf>,
    /// The reward config: every data source of the tasks with its domain.
    pub rewards: PathBuf,
    /// Files of grades by `glmv rl grade`, one line per task.
    #[serde(default)]
    pub grades: Vec<PathBuf>,
    /// Who answers where no rule decides; without it such completions have no reward and are
    /// counted.
    #[serde(default)]
    pub judge: Option<HttpJudgeConfig>,
    /// Programs that score the well-formed completions of a data source in place of its rules, by the
    /// protocol of `glmv_reward::user`; they run in the recipe's folder.
    #[serde(default)]
    pub user: BTreeMap<String, ProcessConfig>,
}

/// How held-out accuracy is measured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RlEval {
    /// Most held-out tasks, the first ones; 0 for all.
    pub samples: usize,
    /// Temperature of the answers; 0 is greedy.
    pub temperature: f32,
    /// Whether tasks that leave it open are asked with thinking; by default as most of the mixture.
    pub thinking: Option<bool>,
}

impl Default for RlEval {
    fn default() -> Self {
        RlEval {
            samples: 0,
            temperature: 0.0,
            thinking: None,
        }
    }
}

/// A rewarded run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RlRecipe {
    /// What the run is called in reports.
    #[serde(default = "default_title")]
    pub title: String,
    pub data: RlData,
    /// Objective, rollouts, curriculum: the sections of `glmv-rl`.
    #[serde(default)]
    pub rl: glmv_rl::Recipe,
    /// Optimiser steps that a batch of rollouts is split into. With 1 every step is on-policy.
    #[serde(default = "one")]
    pub updates: usize,
    pub train: TrainerConfig,
    /// An adapter that learns in place of the weights; none for training the model itself.
    #[serde(default)]
    pub adapter: Option<AdapterRecipe>,
    #[serde(default)]
    pub eval: RlEval,
    /// Control experiment: the rewards of an iteration are dealt out anew among all of its
    /// completions, by the run's seed, so that they say nothing about them.
    #[serde(default)]
    pub shuffle_rewards: bool,
    #[serde(default)]
    pub guard: GuardConfig,
    /// In iterations.
    #[serde(default)]
    pub rhythm: Rhythm,
    /// Newest checkpoints that stay; the best one by held-out accuracy stays beside them.
    #[serde(default = "default_keep")]
    pub keep: usize,
    /// The merged recipe as text.
    #[serde(skip)]
    text: String,
    #[serde(skip)]
    digest: String,
}

fn default_title() -> String {
    "learning from reward".into()
}

fn default_keep() -> usize {
    2
}

fn one() -> usize {
    1
}

impl RlRecipe {
    /// Reads a recipe and applies overrides such as `rl.group_size=16`; paths in it count from the
    /// recipe's folder.
    ///
    /// # Errors
    /// [`Error::Recipe`] that names the file and the key.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Error> {
        let fail = |reason: String| Error::Recipe {
            path: path.to_path_buf(),
            reason,
        };
        let table = read_table(path, overrides)?;
        let (text, digest) = (text_of(&table)?, digest(&table)?);
        let mut recipe: RlRecipe = table.try_into().map_err(|e| fail(e.to_string()))?;
        recipe.check().map_err(fail)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let data = &mut recipe.data;
        let files = data.tasks.iter_mut().chain(&mut data.held_out);
        for file in files.chain(&mut data.grades).chain([&mut data.rewards]) {
            *file = folder.join(&*file);
        }
        for user in data.user.values_mut() {
            user.dir.get_or_insert_with(|| folder.to_path_buf());
        }
        Ok(RlRecipe {
            text,
            digest,
            ..recipe
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.rl.group_size < 2 {
            let found = self.rl.group_size;
            return Err(format!(
                "rl.group_size = {found}: a group of fewer than 2 has no advantages"
            ));
        }
        self.rl.check().map_err(|e| format!("rl: {e}"))?;
        if self.data.tasks.is_empty() {
            return Err("data.tasks names no file".into());
        }
        if self.updates == 0 || self.updates > self.rl.batch_groups {
            let (found, most) = (self.updates, self.rl.batch_groups);
            return Err(format!(
                "updates = {found}: must be from 1 to rl.batch_groups = {most}"
            ));
        }
        if self.train.steps == 0 || !self.train.steps.is_multiple_of(self.updates as u64) {
            let (steps, updates) = (self.train.steps, self.updates);
            return Err(format!(
                "train.steps = {steps}: must be a positive multiple of updates = {updates}"
            ));
        }
        if !(self.eval.temperature.is_finite() && self.eval.temperature >= 0.0) {
            let found = self.eval.temperature;
            return Err(format!("eval.temperature = {found}: must be at least 0"));
        }
        if let Some(adapter) = &self.adapter {
            adapter.config().check().map_err(|e| e.to_string())?;
        }
        self.guard.check()
    }

    /// Iterations of the whole run: each makes one batch of rollouts.
    pub fn iterations(&self) -> u64 {
        self.train.steps / self.updates.max(1) as u64
    }

    /// Whether held-out tasks that leave it open are asked with thinking.
    pub fn thinks(&self) -> bool {
        self.eval.thinking.unwrap_or_else(|| self.usually_thinks())
    }

    /// Whether most of the tasks that leave it open are rolled out with thinking.
    pub fn usually_thinks(&self) -> bool {
        self.rl.mixture.thinking >= 0.5
    }

    /// The recipe with its overrides, as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Digest of everything that decides the numbers of a step; what may change when a run goes on
    /// is left out: the number of steps, evaluation, rhythm, guard and title.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn digest(table: &Table) -> Result<String, Error> {
    let mut fixed = table.clone();
    for key in ["title", "eval", "guard", "rhythm", "keep"] {
        fixed.remove(key);
    }
    if let Some(train) = fixed.get_mut("train").and_then(toml::Value::as_table_mut) {
        train.remove("steps");
    }
    let digest = Sha256::digest(text_of(&fixed)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        updates = 2
        [data]
        tasks = ["train.jsonl"]
        rewards = "reward.toml"
        [rl]
        group_size = 4
        batch_groups = 4
        [rl.rollout]
        thinking_tokens = 32
        [train]
        steps = 10
        schedule = { rate = 1e-5 }
    "#;

    fn read(overrides: &[&str]) -> Result<RlRecipe, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recipe.toml");
        std::fs::write(&path, TEXT).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        RlRecipe::read(&path, &overrides)
    }

    #[test]
    fn a_recipe_is_read_with_its_defaults() {
        let recipe = read(&["rl.rollout.temperature=0.8"]).unwrap();
        assert_eq!((recipe.iterations(), recipe.updates), (5, 2));
        assert_eq!(recipe.rl.rollout.temperature, 0.8);
        assert_eq!(recipe.rl.rollout.thinking_tokens, 32);
        assert!(recipe.data.rewards.is_absolute() && recipe.thinks());
        assert!(recipe.text().contains("thinking_tokens = 32"));
    }

    #[test]
    fn wrong_keys_and_values_are_named() {
        for (change, named) in [
            ("rl.group_size=1", "group_size"),
            ("rl.rolout.temperature=1", "rolout"),
            ("rl.rollout.temperature=0", "temperature"),
            ("rl.rollout.top_p=1.5", "top_p"),
            ("updates=5", "updates"),
            ("train.steps=9", "train.steps"),
            ("train.steps=0", "train.steps"),
            ("data.tasks=[]", "data.tasks"),
            ("eval.temperature=-1", "eval.temperature"),
            ("guard.idle=0", "guard.idle"),
            ("data.judge.modell=\"x\"", "modell"),
        ] {
            let error = read(&[change]).expect_err(change).to_string();
            assert!(
                error.contains(named) && error.contains("recipe.toml"),
                "{change}: {error}"
            );
        }
    }

    #[test]
    fn the_digest_knows_what_may_change() {
        let digest = |changes: &[&str]| read(changes).unwrap().digest().to_owned();
        let may = ["train.steps=20", "rhythm.save_every=1", "eval.samples=3"];
        assert_eq!(digest(&[]), digest(&may));
        assert_ne!(digest(&[]), digest(&["rl.seed=1"]));
        assert_ne!(digest(&[]), digest(&["train.schedule.rate=1e-4"]));
    }
}
