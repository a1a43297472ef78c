//! Several files as one endless or finite stream of records, drawn by weight, in an order that a seed
//! decides. Its state is a small [`Cursor`]: reading on from a saved one gives the same records.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::rng::SplitMix64;
use crate::sample::Record;
use crate::source::{Source, SourceCursor, SourceSpec};

/// Files to mix and the order to read them in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureSpec {
    /// The files.
    pub sources: Vec<SourceSpec>,
    /// Seed of the draws between the files and, with `shuffle`, of the order in each.
    #[serde(default)]
    pub seed: u64,
    /// Whether each file is read in an order of its own in every epoch; else in file order.
    #[serde(default = "yes")]
    pub shuffle: bool,
}

fn yes() -> bool {
    true
}

/// How far a mixture was read: all that is needed to read on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Seed of the mixture.
    pub seed: u64,
    /// Whether the files are shuffled.
    pub shuffle: bool,
    /// Records drawn, bad rows included: the state of the random draws.
    pub drawn: u64,
    /// One per file, in the order of the spec.
    pub sources: Vec<SourceCursor>,
}

/// Streams of random numbers that must not meet.
const DRAWS: u64 = 1;
const ORDERS: u64 = 2;

/// The open files of a [`MixtureSpec`].
#[derive(Debug)]
pub struct Mixture {
    spec: MixtureSpec,
    sources: Vec<Source>,
    cursor: Cursor,
}

impl Mixture {
    /// Opens all files at their start.
    ///
    /// # Errors
    /// [`Error::Setting`] for a mixture without files or a weight that is not positive, and those
    /// of [`Source::open`].
    pub fn open(spec: MixtureSpec) -> Result<Self, Error> {
        if spec.sources.is_empty() {
            return Err(Error::Setting {
                key: "sources",
                expected: "at least one file",
                found: "none".to_owned(),
            });
        }
        for source in &spec.sources {
            if !(source.weight.is_finite() && source.weight > 0.0) {
                return Err(Error::Setting {
                    key: "weight",
                    expected: "a positive number",
                    found: source.weight.to_string(),
                });
            }
        }
        let opened: Result<Vec<_>, _> = spec.sources.iter().map(Source::open).collect();
        let sources = opened?;
        let cursor = Cursor {
            seed: spec.seed,
            shuffle: spec.shuffle,
            drawn: 0,
            sources: sources.iter().map(Source::start).collect(),
        };
        Ok(Self {
            spec,
            sources,
            cursor,
        })
    }

    /// Opens all files where a cursor left them.
    ///
    /// # Errors
    /// Those of [`Self::open`], and [`Error::Cursor`] when files, seed or shuffling differ, or a
    /// file has changed since.
    pub fn resume(spec: MixtureSpec, cursor: Cursor) -> Result<Self, Error> {
        let mut mixture = Self::open(spec)?;
        let now = &mixture.cursor;
        differs("seed", cursor.seed, now.seed)?;
        differs("shuffle", cursor.shuffle, now.shuffle)?;
        differs("number of files", cursor.sources.len(), now.sources.len())?;
        for ((saved, now), source) in cursor
            .sources
            .iter()
            .zip(&now.sources)
            .zip(&mixture.sources)
        {
            differs("file", &saved.file, &now.file)?;
            let key = format!("contents of {}", saved.file);
            differs(&key, &saved.digest, &now.digest)?;
            if saved.position > source.len() {
                differs("position", saved.position, source.len())?;
            }
        }
        mixture.cursor = cursor;
        Ok(mixture)
    }

    /// Where reading stands: behind the last record that [`Iterator::next`] gave.
    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        &self.cursor
    }

    /// The open files, in the order of the spec.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// A file that has rows left, drawn by weight.
    fn draw(&self) -> Option<usize> {
        let specs = self.spec.sources.iter().zip(&self.cursor.sources);
        let left = |(spec, at): (&SourceSpec, &SourceCursor)| match spec.epochs {
            Some(epochs) if at.epoch >= epochs => 0.0,
            Some(_) | None => spec.weight,
        };
        let weights: Vec<f64> = specs.map(left).collect();
        let total: f64 = weights.iter().sum();
        let mut rng = SplitMix64::of(&[self.cursor.seed, DRAWS, self.cursor.drawn]);
        let mut point = rng.unit() * total;
        let mut last = None;
        for (i, weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            last = Some(i);
            point -= weight;
            if point < 0.0 {
                break;
            }
        }
        last
    }
}

impl Iterator for Mixture {
    type Item = Result<Record, Error>;

    /// The next record; a bad row is an error, behind which reading goes on. Ends when every file
    /// was read as often as it should be.
    fn next(&mut self) -> Option<Self::Item> {
        let chosen = self.draw()?;
        let source = self.sources.get_mut(chosen)?;
        let at = self.cursor.sources.get_mut(chosen)?;
        let seed = self.cursor.shuffle.then_some(self.cursor.seed);
        let stream = ORDERS + chosen as u64;
        let row = source.row_at(seed, stream, at.epoch, at.position);
        at.position += 1;
        if at.position >= source.len() {
            at.epoch += 1;
            at.position = 0;
        }
        self.cursor.drawn += 1;
        Some(source.read(row))
    }
}

fn differs<T: PartialEq + std::fmt::Display>(key: &str, saved: T, now: T) -> Result<(), Error> {
    if saved == now {
        return Ok(());
    }
    Err(Error::Cursor {
        key: key.to_owned(),
        saved: saved.to_string(),
        now: now.to_string(),
    })
}
