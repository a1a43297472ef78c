//! Recipes of supervised runs: TOML and `key=value` overrides in, checked settings out.

use crate::{AdapterRecipe, Error, Part, Rhythm, TrainerConfig};
use glmv_data::{LongPolicy, MixtureSpec, SourceSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::Path;
use toml::{Table, Value};

/// What a supervised run learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The files, their weights, and the seed of the order in which they are read.
    #[serde(flatten)]
    pub mixture: MixtureSpec,
    /// Most tokens of a packed sequence, which is one micro-step; longer samples go by `long`.
    pub sequence: usize,
    /// Packed sequences per step.
    pub batch: usize,
    /// What becomes of samples longer than `sequence`: `error`, `drop` or `cut` (never inside of a
    /// picture or video).
    #[serde(default = "default_long")]
    pub long: LongPolicy,
    /// Sequences' worth of tokens that are read before they are packed by best fit, and held in
    /// memory with their pictures.
    #[serde(default = "default_window")]
    pub window: usize,
    /// Rows that cannot be used and may be left out before the run stops; each is reported.
    #[serde(default)]
    pub bad_rows: u64,
}

fn default_long() -> LongPolicy {
    LongPolicy::Cut
}

fn default_window() -> usize {
    4
}

/// What a run is measured by while it goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// Files of held-out samples, read once, in order; none for no evaluation.
    pub sources: Vec<SourceSpec>,
    /// Most samples that are read of them; 0 for all.
    pub samples: usize,
    /// Prompts of the first held-out samples that are answered greedily at every evaluation.
    pub generations: usize,
    /// Most tokens of such an answer.
    #[serde(default = "default_tokens")]
    pub tokens: usize,
}

fn default_tokens() -> usize {
    64
}

impl EvalConfig {
    /// The held-out files, read once and in order.
    pub fn mixture(&self) -> MixtureSpec {
        let mut sources = self.sources.clone();
        sources
            .iter_mut()
            .for_each(|source| source.epochs = Some(1));
        MixtureSpec {
            sources,
            seed: 0,
            shuffle: false,
        }
    }
}

/// A supervised run: pre-training, long-context continuation or fine-tuning, which differ in data,
/// lengths and rates only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What the run is called in reports.
    #[serde(default = "default_title")]
    pub title: String,
    pub data: DataConfig,
    pub train: TrainerConfig,
    /// An adapter that learns in place of the weights; none for training the model itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterRecipe>,
    #[serde(default)]
    pub eval: EvalConfig,
    #[serde(default)]
    pub rhythm: Rhythm,
    /// Newest checkpoints that stay; the best one by evaluation stays beside them.
    #[serde(default = "default_keep")]
    pub keep: usize,
}

fn default_title() -> String {
    "supervised training".into()
}

fn default_keep() -> usize {
    2
}

impl Recipe {
    /// Reads a recipe and applies overrides such as `train.schedule.rate=1e-4`; paths in it count
    /// from the recipe's folder.
    ///
    /// # Errors
    /// [`Error::Recipe`] that names the file and the key: unknown keys, missing ones, values of
    /// another type or out of range.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, Error> {
        let fail = |reason: String| Error::Recipe {
            path: path.to_path_buf(),
            reason,
        };
        let table = read_table(path, overrides)?;
        let recipe: Recipe = table.try_into().map_err(|e| fail(e.to_string()))?;
        let recipe = recipe.beside(path.parent().unwrap_or(Path::new("")));
        recipe.check().map_err(fail)?;
        Ok(recipe)
    }

    fn beside(mut self, folder: &Path) -> Self {
        let all = self.data.mixture.sources.iter_mut();
        for source in all.chain(&mut self.eval.sources) {
            source.path = folder.join(&source.path);
            source.media_root = source.media_root.take().map(|root| folder.join(root));
        }
        self
    }

    fn check(&self) -> Result<(), String> {
        let positive = [
            ("data.sequence", self.data.sequence),
            ("data.batch", self.data.batch),
            ("data.window", self.data.window),
            ("train.steps", self.train.steps as usize),
        ];
        if let Some((key, _)) = positive.into_iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key} is 0"));
        }
        match &self.adapter {
            Some(adapter) => (adapter.config().check()).map_err(|e| e.to_string()),
            None if self.train.groups.0.contains_key(&Part::Adapters) => {
                Err("train.groups.adapters: there is no section [adapter]".into())
            }
            None => Ok(()),
        }
    }

    /// The recipe as text.
    ///
    /// # Errors
    /// [`Error::Setting`] for what TOML cannot hold.
    pub fn to_toml(&self) -> Result<String, Error> {
        text_of(self)
    }

    /// Digest of everything that decides the numbers of a step; what may change when a run goes on
    /// is left out: the number of steps, evaluation, rhythm and title.
    ///
    /// # Errors
    /// As [`Recipe::to_toml`].
    pub fn digest(&self) -> Result<String, Error> {
        let mut fixed = self.clone();
        fixed.train.steps = 1;
        fixed.eval = EvalConfig::default();
        fixed.rhythm = Rhythm::default();
        (fixed.title, fixed.keep) = (String::new(), 0);
        let digest = Sha256::digest(fixed.to_toml()?);
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// A recipe's table with the overrides in place.
///
/// # Errors
/// [`Error::Recipe`] for a file that cannot be read or is no TOML, and for an override that is none.
pub(crate) fn read_table(path: &Path, overrides: &[String]) -> Result<Table, Error> {
    let fail = |reason: String| Error::Recipe {
        path: path.to_path_buf(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let mut table: Table = text
        .parse()
        .map_err(|e: toml::de::Error| fail(e.to_string()))?;
    for text in overrides {
        set(&mut table, text).map_err(fail)?;
    }
    Ok(table)
}

/// A value as TOML.
///
/// # Errors
/// [`Error::Setting`] for what TOML cannot hold.
pub(crate) fn text_of(value: &impl Serialize) -> Result<String, Error> {
    toml::to_string_pretty(value).map_err(|e| Error::Setting {
        key: "recipe".into(),
        reason: e.to_string(),
    })
}

/// Puts `a.b=value` into a table; the value is TOML, or a string if it is none.
fn set(table: &mut Table, text: &str) -> Result<(), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("--set {text}: expected KEY=VALUE"))?;
    let parsed = format!("value = {value}").parse::<Table>().ok();
    let value = parsed.and_then(|mut table| table.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text[key.len() + 1..].to_string()));
    let mut parts: Vec<&str> = key.split('.').map(str::trim).collect();
    let last = parts.pop().unwrap_or_default();
    let mut at = table;
    for part in parts {
        let inner = at.entry(part).or_insert_with(|| Value::Table(Table::new()));
        at = match inner {
            Value::Table(inner) => inner,
            _ => return Err(format!("--set {key}: {part} is no section")),
        };
    }
    at.insert(last.to_string(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [data]
        sources = [{ path = "a.jsonl" }]
        sequence = 128
        batch = 2
        [train]
        steps = 10
        schedule = { rate = 1e-3, warmup = 2, decay = "cosine" }
        [train.groups]
        vision = { freeze = true }
    "#;

    fn read(text: &str, overrides: &[&str]) -> Result<Recipe, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recipe.toml");
        std::fs::write(&path, text).unwrap();
        let overrides: Vec<String> = overrides.iter().map(|s| s.to_string()).collect();
        Recipe::read(&path, &overrides)
    }

    #[test]
    fn overrides_reach_their_keys() {
        let recipe = read(
            TEXT,
            &["train.schedule.rate=0.5", "data.long=drop", "title=a run"],
        );
        let recipe = recipe.unwrap();
        assert_eq!(recipe.train.schedule.rate, 0.5);
        assert_eq!(recipe.data.long, LongPolicy::Drop);
        assert_eq!(recipe.title, "a run");
        assert!(recipe.data.mixture.sources[0].path.is_absolute());
        assert!(!recipe.train.groups.trains(crate::Part::Vision));
    }

    #[test]
    fn wrong_keys_and_values_are_named() {
        for (change, named) in [
            ("data.sequense=3", "sequense"),
            ("train.schedule.warm=3", "warm"),
            ("train.groups.visoin.freeze=true", "visoin"),
            ("data.sequence=0", "data.sequence"),
            ("data.batch=many", "batch"),
            ("title.a=1", "title"),
            ("train.groups.adapters.rate=2", "[adapter]"),
            ("adapter.rank=4", "target"),
            ("nonsense", "nonsense"),
        ] {
            let found = match change {
                "title.a=1" => read(&format!("title = \"x\"\n{TEXT}"), &[change]),
                _ => read(TEXT, &[change]),
            };
            let error = found.expect_err(change).to_string();
            assert!(
                error.contains(named) && error.contains("recipe.toml"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_digest_knows_what_may_change() {
        let digest = |changes: &[&str]| {
            let mut recipe = read(TEXT, changes).unwrap();
            recipe.data.mixture.sources[0].path = "a.jsonl".into();
            recipe.digest().unwrap()
        };
        assert_eq!(
            digest(&[]),
            digest(&["train.steps=99", "rhythm.save_every=1", "keep=9"])
        );
        assert_ne!(digest(&[]), digest(&["data.batch=3"]));
        assert_ne!(digest(&[]), digest(&["train.adamw.decay=0"]));
    }
}
