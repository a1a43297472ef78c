//! A run's files, read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::select::spread;
use crate::error::io;
use crate::log::{Line, for_each_line};
use crate::monitor::names;
use crate::values::flatten;
use crate::{Error, number};

/// Groups of completions that are shown, at most.
const MAX_GROUPS: usize = 48;
/// Samples that are shown, at most.
const MAX_SAMPLES: usize = 64;
/// Notes that are shown, at most.
const MAX_NOTES: usize = 500;

/// What is known of the run as a whole.
#[derive(Debug, Default, Deserialize)]
pub(super) struct About {
    pub(super) title: String,
    pub(super) recipe: String,
    pub(super) total_steps: Option<u64>,
}

/// A number over time.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) path: Vec<String>,
    /// Step and number, rising steps.
    pub(super) points: Vec<(u64, f64)>,
}

/// Counts by label over time.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) name: String,
    pub(super) labels: Vec<String>,
    /// Step and the labels' counts; shorter where later labels were not known yet.
    pub(super) rows: Vec<(u64, Vec<f64>)>,
}

/// Records that are shown, of all that there are.
#[derive(Debug)]
pub(super) struct Shown<T> {
    pub(super) records: Vec<T>,
    pub(super) total: usize,
}

impl<T> Default for Shown<T> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            total: 0,
        }
    }
}

/// A note.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) step: u64,
    pub(super) time: f64,
    pub(super) level: String,
    pub(super) text: String,
}

/// A sample.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) step: u64,
    pub(super) name: String,
    pub(super) prompt: String,
    pub(super) text: String,
    pub(super) picture: Option<String>,
}

/// Everything that the report shows.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) about: About,
    /// Folder of the pictures.
    pub(super) pictures: PathBuf,
    pub(super) series: Vec<Series>,
    pub(super) counts: Vec<Counts>,
    pub(super) notes: Shown<Note>,
    pub(super) samples: Shown<Sample>,
    pub(super) groups: Shown<super::group::Group>,
    /// Time of the first and the last step, in seconds since 1970.
    pub(super) times: Option<(f64, f64)>,
    pub(super) last_step: Option<u64>,
}

impl Run {
    /// Reads the files of a folder.
    ///
    /// # Errors
    /// If `run.json` is missing, a file cannot be read, or a record is damaged.
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(names::RUN);
        let about = std::fs::read(&path).map_err(io(&path, "read"))?;
        let about = serde_json::from_slice(&about).map_err(|error| Error::Line {
            path: path.clone(),
            line: error.line(),
            reason: error.to_string(),
        })?;
        let mut run = Self {
            about,
            pictures: dir.join(names::PICTURES),
            ..Self::default()
        };
        run.read_metrics(&dir.join(names::METRICS))?;
        run.notes = read_some(&dir.join(names::NOTES), MAX_NOTES, note)?;
        run.samples = read_some(&dir.join(names::SAMPLES), MAX_SAMPLES, sample)?;
        run.groups = read_some(&dir.join(names::ROLLOUTS), MAX_GROUPS, super::group::read)?;
        Ok(run)
    }

    fn read_metrics(&mut self, path: &Path) -> Result<(), Error> {
        let mut known = HashMap::new();
        for_each_line(path, |line| {
            let mut members = line.members()?;
            let time = line.field(&members, "time").number()?;
            let counts = members.shift_remove("counts");
            members.retain(|name, _| name != "step" && name != "time");
            self.times = Some((self.times.map_or(time, |(first, _)| first), time));
            self.last_step = Some(line.step);
            for (name, value) in &members {
                flatten(&mut vec![name], value, &mut |path, number| {
                    let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
                    let index = *known.entry(path.clone()).or_insert_with(|| {
                        self.series.push(Series {
                            path,
                            points: Vec::new(),
                        });
                        self.series.len() - 1
                    });
                    self.series[index].points.push((line.step, number));
                });
            }
            for (name, labels) in counts.iter().filter_map(Value::as_object).flatten() {
                self.take_counts(line.step, name, labels);
            }
            Ok(())
        })
    }

    fn take_counts(&mut self, step: u64, name: &str, labels: &Value) {
        let index = self.counts.iter().position(|counts| counts.name == name);
        let index = index.unwrap_or_else(|| {
            self.counts.push(Counts {
                name: name.to_owned(),
                ..Counts::default()
            });
            self.counts.len() - 1
        });
        let counts = &mut self.counts[index];
        let mut row = vec![0.0; counts.labels.len()];
        for (label, count) in labels.as_object().into_iter().flatten() {
            let index = counts.labels.iter().position(|known| known == label);
            let index = index.unwrap_or_else(|| {
                counts.labels.push(label.clone());
                row.push(0.0);
                row.len() - 1
            });
            row[index] = number::from_json(count).unwrap_or(f64::NAN);
        }
        counts.rows.push((step, row));
    }
}

/// Counts the lines, then parses the ones that are shown.
fn read_some<T>(
    path: &Path,
    max: usize,
    parse: impl Fn(&Line, &Map<String, Value>) -> Result<T, Error>,
) -> Result<Shown<T>, Error> {
    let mut total = 0;
    for_each_line(path, |_| {
        total += 1;
        Ok(())
    })?;
    let shown = spread(total, max);
    let mut records = Vec::new();
    for_each_line(path, |line| {
        if shown.binary_search(&(line.number - 1)).is_ok() {
            records.push(parse(line, &line.members()?)?);
        }
        Ok(())
    })?;
    Ok(Shown { records, total })
}

fn note(line: &Line, members: &Map<String, Value>) -> Result<Note, Error> {
    Ok(Note {
        step: line.step,
        time: line.field(members, "time").number()?,
        level: line.field(members, "level").text()?.to_owned(),
        text: line.field(members, "text").text()?.to_owned(),
    })
}

fn sample(line: &Line, members: &Map<String, Value>) -> Result<Sample, Error> {
    let picture = line.field(members, "picture").optional_text()?;
    Ok(Sample {
        step: line.step,
        name: line.field(members, "name").text()?.to_owned(),
        prompt: line.field(members, "prompt").text()?.to_owned(),
        text: line.field(members, "text").text()?.to_owned(),
        picture: picture.map(str::to_owned),
    })
}
