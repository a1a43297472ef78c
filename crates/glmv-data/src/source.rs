//! One file, read row by row in file order or shuffled anew every epoch. Used by mixtures and by the
//! check.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Place, RowError};
use crate::index::Index;
use crate::layout::Layout;
use crate::rng::SplitMix64;
use crate::sample::{Record, Sample};

/// A file to read, as a recipe gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// JSON lines, or one JSON array of rows.
    pub path: PathBuf,
    /// Layout of the rows; by default what the keys of the first row say.
    #[serde(default)]
    pub layout: Option<Layout>,
    /// Folder that relative paths of pictures and videos count from; by default the file's.
    #[serde(default)]
    pub media_root: Option<PathBuf>,
    /// Share of the samples drawn from this file, relative to the others; 1 by default.
    #[serde(default = "one")]
    pub weight: f64,
    /// How often the file is read; for ever by default.
    #[serde(default)]
    pub epochs: Option<u32>,
}

fn one() -> f64 {
    1.0
}

impl SourceSpec {
    /// A file with all settings at their defaults.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            layout: None,
            media_root: None,
            weight: 1.0,
            epochs: None,
        }
    }
}

/// How far a source was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCursor {
    /// The file's name without its folder.
    pub file: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// The epoch, from 0.
    pub epoch: u32,
    /// Rows of this epoch that were read, bad ones included.
    pub position: u32,
}

/// An open file.
#[derive(Debug)]
pub struct Source {
    index: Index,
    place: Arc<Path>,
    base: PathBuf,
    layout: Layout,
    rows: u32,
    /// Order of the rows in one epoch of a shuffled source.
    order: Option<(u32, Vec<u32>)>,
}

impl Source {
    /// Finds the rows of a file and its layout.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Empty`], [`Error::Index`], and [`Error::Row`] when the first row's
    /// keys do not tell the layout.
    pub fn open(spec: &SourceSpec) -> Result<Self, Error> {
        let mut index = Index::build(&spec.path)?;
        let rows = u32::try_from(index.len()).map_err(|_| Error::Index {
            path: spec.path.clone(),
            line: index.line(u32::MAX as usize),
            reason: "a file may have at most 2^32 - 1 rows",
        })?;
        let place: Arc<Path> = Arc::from(spec.path.as_path());
        let layout = match spec.layout {
            Some(layout) => layout,
            None => detect(&mut index, &place)?,
        };
        let folder = || index.path().parent().map(Path::to_owned);
        let base = spec.media_root.clone().or_else(folder);
        Ok(Self {
            base: base.unwrap_or_default(),
            index,
            place,
            layout,
            rows,
            order: None,
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.rows
    }

    /// Never: a file without rows does not open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The layout of the rows.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Where a row is, counted in file order from 0.
    #[must_use]
    pub fn place(&self, row: u32) -> Place {
        Place {
            file: Arc::clone(&self.place),
            line: self.index.line(row as usize),
        }
    }

    /// A row, counted in file order from 0.
    ///
    /// # Errors
    /// [`Error::Row`].
    pub fn read(&mut self, row: u32) -> Result<Record, Error> {
        let place = self.place(row);
        let record = self
            .index
            .read(row as usize)
            .and_then(|value| self.layout.read(&value, &self.base, &place));
        record.map_err(|problem| place.error(problem))
    }

    /// The row at a position of an epoch, counted in file order from 0: the order is a permutation
    /// that depends on the seed, the stream and the epoch only; without a seed it is the file's.
    pub(crate) fn row_at(&mut self, seed: Option<u64>, stream: u64, epoch: u32, at: u32) -> u32 {
        let Some(seed) = seed else {
            return at;
        };
        if self.order.as_ref().is_none_or(|(of, _)| *of != epoch) {
            let mut rng = SplitMix64::of(&[seed, stream, epoch.into()]);
            self.order = Some((epoch, rng.permutation(self.rows)));
        }
        let order = self.order.as_ref();
        order
            .and_then(|(_, order)| order.get(at as usize))
            .copied()
            .unwrap_or(at)
    }

    /// The start of this file as a cursor.
    pub(crate) fn start(&self) -> SourceCursor {
        let name = self.place.file_name().unwrap_or_default();
        SourceCursor {
            file: name.to_string_lossy().into_owned(),
            digest: self.index.digest().to_owned(),
            epoch: 0,
            position: 0,
        }
    }
}

impl Record {
    /// The sample of a record to learn from.
    ///
    /// # Errors
    /// [`RowError::Kind`] for a task.
    pub fn into_sample(self) -> Result<Sample, RowError> {
        match self {
            Self::Sample(sample) => Ok(sample),
            Self::Task(_) => Err(RowError::Kind {
                found: "tasks without answers",
                wanted: "samples to learn from",
            }),
        }
    }

    /// The task of a record to be rewarded on.
    ///
    /// # Errors
    /// [`RowError::Kind`] for a sample.
    pub fn into_task(self) -> Result<crate::sample::RlTask, RowError> {
        match self {
            Self::Task(task) => Ok(task),
            Self::Sample(_) => Err(RowError::Kind {
                found: "samples with answers",
                wanted: "tasks with `reward_model`",
            }),
        }
    }

    /// Where it was read.
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            Self::Sample(sample) => &sample.place,
            Self::Task(task) => &task.place,
        }
    }
}

/// The layout that the first readable row tells; rows that are no JSON are left to the reading.
fn detect(index: &mut Index, file: &Arc<Path>) -> Result<Layout, Error> {
    let mut first_error = None;
    for row in 0..index.len() {
        let place = Place {
            file: Arc::clone(file),
            line: index.line(row),
        };
        match index.read(row).and_then(|value| Layout::detect(&value)) {
            Ok(layout) => return Ok(layout),
            Err(problem @ RowError::AmbiguousLayout { .. }) => return Err(place.error(problem)),
            Err(problem) => _ = first_error.get_or_insert_with(|| place.error(problem)),
        }
    }
    let path = index.path().to_owned();
    Err(first_error.unwrap_or(Error::Empty { path }))
}
