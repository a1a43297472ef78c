//! Data sets on disk: JSON lines beside their pictures. `glmv gym make` calls [`make`].

mod media;
mod row;

pub(crate) use row::{Meta, content_digest, rewritten};

use crate::rng::Rng;
use crate::{Domain, Error, Item, LEVELS, Size, Split, generate_of};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// What a row looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `messages` in OpenAI's shape: pictures and question, then thinking and boxed answer.
    Sft,
    /// verl's rows: `data_source`, `prompt`, `ability`, `reward_model`, `images`, `videos`.
    Rl,
    /// `text` with `<image>` and `<video>` markers, for pre-training: what is shown, in words.
    Caption,
}

impl Layout {
    /// Every layout.
    pub const ALL: [Self; 3] = [Self::Sft, Self::Rl, Self::Caption];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Rl => "rl",
            Self::Caption => "caption",
        }
    }

    /// The layout of a name.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(name: &str) -> Result<Self, Error> {
        let hit = Self::ALL.into_iter().find(|l| l.name() == name);
        hit.ok_or_else(|| Error::Layout { name: name.into() })
    }
}

/// What to make.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Domains, in turn.
    pub domains: Vec<Domain>,
    /// Levels 1 to 5, in turn.
    pub levels: Vec<u8>,
    /// Tasks, by their names in templates (`vqa/colour/1`); none for all.
    pub tasks: Vec<String>,
    /// The split.
    pub split: Split,
    /// First seed within the split; item `i` has seed `seed + i`.
    pub seed: u64,
    /// Items in all.
    pub n: u64,
    /// Size of the pictures.
    pub size: Size,
    /// Layout of the rows.
    pub layout: Layout,
    /// Share of SFT rows without thinking (`/nothink` after the question, an empty think block).
    pub nothink: f64,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file with the rows.
    pub file: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Rows without thinking.
    pub nothink: u64,
    /// Rows per domain and level, `counting/1`.
    pub per_level: BTreeMap<String, u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, rows) in &self.per_level {
            writeln!(f, "{name:16} {rows:8}")?;
        }
        let (file, rows) = (self.file.display(), self.rows);
        writeln!(f, "{rows} rows, {} without thinking: {file}", self.nothink)
    }
}

impl Plan {
    /// Checks shares and lists.
    ///
    /// # Errors
    /// If a list is empty, a level out of range or a share not within 0 to 1.
    pub fn check(&self) -> Result<(), Error> {
        if self.domains.is_empty() {
            return Err(Error::Nothing { what: "domains" });
        }
        if self.levels.is_empty() {
            return Err(Error::Nothing { what: "levels" });
        }
        if let Some(level) = self.levels.iter().find(|l| !(1..=LEVELS).contains(*l)) {
            return Err(Error::Level {
                level: *level,
                max: LEVELS,
            });
        }
        if !(0.0..=1.0).contains(&self.nothink) {
            return Err(Error::Share {
                what: "nothink",
                value: self.nothink,
            });
        }
        Ok(())
    }

    /// The `i`-th item: domains change fastest, then levels.
    ///
    /// # Errors
    /// As [`generate_of`].
    pub fn item(&self, i: u64) -> Result<Item, Error> {
        let domains = self.domains.len() as u64;
        let domain = self.domains[(i % domains) as usize];
        let level = self.levels[(i / domains % self.levels.len() as u64) as usize];
        let seed = self.split.seed(self.seed.saturating_add(i))?;
        let tasks: Vec<&str> = self.tasks.iter().map(String::as_str).collect();
        generate_of(&tasks, domain, level, seed, self.size)
    }

    /// True where the SFT row of an item has no thinking; it follows from the item's id.
    fn is_nothink(&self, item: &Item) -> bool {
        let mut rng = Rng::of(&[0x6e6f, item.domain as u64, u64::from(item.level), item.seed]);
        let drawn = (rng.word() >> 11) as f64 / (1_u64 << 53) as f64;
        self.layout == Layout::Sft && drawn < self.nothink
    }
}

/// Writes `DIR/SPLIT.LAYOUT.jsonl`, pictures under `DIR/images` and `DIR/videos`, and for
/// [`Layout::Rl`] the reward config `DIR/reward.toml`. What is there under these names is replaced.
///
/// # Errors
/// If the plan is wrong or a file cannot be written.
pub fn make(plan: &Plan, dir: &Path) -> Result<Report, Error> {
    plan.check()?;
    fs::create_dir_all(dir).map_err(|e| Error::file(dir, e))?;
    let file = dir.join(format!(
        "{}.{}.jsonl",
        plan.split.name(),
        plan.layout.name()
    ));
    let mut out = BufWriter::new(File::create(&file).map_err(|e| Error::file(&file, e))?);
    let mut report = Report {
        file: file.clone(),
        rows: 0,
        nothink: 0,
        per_level: BTreeMap::new(),
    };
    let mut sources = BTreeSet::new();
    for i in 0..plan.n {
        let item = plan.item(i)?;
        let paths = media::write(&item, dir)?;
        let nothink = plan.is_nothink(&item);
        let row = match plan.layout {
            Layout::Sft => row::sft(&item, &paths, nothink),
            Layout::Rl => row::rl(&item, &paths),
            Layout::Caption => row::caption(&item, &paths),
        };
        writeln!(out, "{row}").map_err(|e| Error::file(&file, e))?;
        sources.insert((row::source(&item), item.reward_domain));
        report.rows += 1;
        report.nothink += u64::from(nothink);
        *report
            .per_level
            .entry(format!("{}/{}", item.domain.name(), item.level))
            .or_default() += 1;
    }
    out.flush().map_err(|e| Error::file(&file, e))?;
    if plan.layout == Layout::Rl {
        let path = dir.join("reward.toml");
        fs::write(&path, reward_toml(&sources)).map_err(|e| Error::file(&path, e))?;
    }
    Ok(report)
}

/// A config of `glmv-reward` that maps the data sources to their domains.
fn reward_toml(sources: &BTreeSet<(String, &'static str)>) -> String {
    let entry =
        |(name, domain): &(String, &str)| format!("[sources.\"{name}\"]\ndomain = \"{domain}\"\n");
    sources.iter().map(entry).collect::<Vec<_>>().join("\n")
}
