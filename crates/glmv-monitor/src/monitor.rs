//! The facade: one object that a training loop reports to.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::dashboard::{Dashboard, Display};
use crate::error::io;
use crate::log::{JsonLines, Order};
use crate::picture::write_whole;
use crate::records::{self, Level, RolloutGroup, Sample};
use crate::{Error, EventWriter, MetricLog, Values, report};

/// Names of a run's files in its folder.
pub(crate) mod names {
    pub(crate) const RUN: &str = "run.json";
    pub(crate) const METRICS: &str = "metrics.jsonl";
    pub(crate) const SAMPLES: &str = "samples.jsonl";
    pub(crate) const NOTES: &str = "notes.jsonl";
    pub(crate) const ROLLOUTS: &str = "rollouts.jsonl";
    pub(crate) const PICTURES: &str = "pictures";
    pub(crate) const TENSORBOARD: &str = "tensorboard";
    pub(crate) const REPORT: &str = "report.html";
    pub(crate) const LOCK: &str = "monitor.lock";
}

/// What is known before the first step.
#[derive(Debug, Clone)]
pub struct MonitorConfig {
    /// What is trained, for people.
    pub title: String,
    /// The recipe as text; it stands in the report as it is.
    pub recipe: String,
    /// Steps of the whole run, where it has an end.
    pub total_steps: Option<u64>,
    /// The last step that was done before; everything recorded after it is forgotten. `None`: a new
    /// run in a folder that has none.
    pub resume: Option<u64>,
    /// What is shown while the run goes on.
    pub display: Display,
    /// Numbers that the dashboard draws as curves.
    pub curves: Vec<String>,
    /// Whether TensorBoard event files are written.
    pub tensorboard: bool,
}

impl Default for MonitorConfig {
    /// A new run without an end, shown where there is a terminal.
    fn default() -> Self {
        Self {
            title: "training".to_owned(),
            recipe: String::new(),
            total_steps: None,
            resume: None,
            display: Display::Auto,
            curves: ["loss/train", "reward/mean"].map(str::to_owned).to_vec(),
            tensorboard: true,
        }
    }
}

/// Records a run in a folder and shows it.
///
/// | file | has |
/// |---|---|
/// | `run.json` | title, recipe, number of steps |
/// | `metrics.jsonl` | the [`Values`] of every step |
/// | `samples.jsonl`, `notes.jsonl`, `rollouts.jsonl` | what their methods were given |
/// | `pictures/` | their pictures, each once |
/// | `tensorboard/` | event files |
/// | `report.html` | all of it, see [`write_report`](crate::write_report) |
///
/// A terminal that goes away does not end the run: nothing is shown any more.
///
/// Names that are shown with their unit: `rate/tokens_per_sec`, `memory/bytes`, and `time/…` in
/// seconds, of which the report stacks all but `time/step`.
#[derive(Debug)]
pub struct Monitor {
    dir: PathBuf,
    metrics: MetricLog,
    samples: JsonLines,
    notes: JsonLines,
    rollouts: JsonLines,
    events: Option<EventWriter>,
    dashboard: Dashboard,
    /// Locked while it is open.
    _lock: File,
}

impl Monitor {
    /// Begins a run in `dir`, or resumes the one that is there.
    ///
    /// # Errors
    /// If the folder has a run and `resume` is not set, is in use, cannot be written, or has damaged
    /// records.
    pub fn open(dir: &Path, config: MonitorConfig) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(io(dir, "make"))?;
        let lock = lock(&dir.join(names::LOCK))?;
        let log = |name, order| {
            let path = dir.join(name);
            match config.resume {
                Some(step) => JsonLines::resume(&path, order, step),
                None => JsonLines::create(&path, order),
            }
        };
        let metrics = dir.join(names::METRICS);
        let metrics = match config.resume {
            Some(step) => MetricLog::resume(&metrics, step)?,
            None => MetricLog::create(&metrics)?,
        };
        let mut monitor = Self {
            metrics,
            samples: log(names::SAMPLES, Order::NotFalling)?,
            notes: log(names::NOTES, Order::NotFalling)?,
            rollouts: log(names::ROLLOUTS, Order::NotFalling)?,
            events: None,
            dashboard: Dashboard::new(&config),
            dir: dir.to_owned(),
            _lock: lock,
        };
        if config.tensorboard {
            let events = EventWriter::create(&dir.join(names::TENSORBOARD), config.resume)?;
            monitor.events = Some(events);
        }
        monitor.describe(&config)?;
        if let Some(step) = config.resume {
            monitor.note(step, Level::Info, &format!("resumed after step {step}"))?;
        }
        Ok(monitor)
    }

    /// Writes what is known of the run as a whole.
    fn describe(&mut self, config: &MonitorConfig) -> Result<(), Error> {
        let run = json!({
            "title": config.title,
            "recipe": config.recipe,
            "total_steps": config.total_steps,
        });
        write_whole(&self.dir.join(names::RUN), run.to_string().as_bytes())?;
        if let Some(events) = self.events.as_mut().filter(|_| !config.recipe.is_empty()) {
            events.text(config.resume.unwrap_or(0), "recipe", &config.recipe)?;
        }
        Ok(())
    }

    /// Records the values of a step that is done, and shows them.
    ///
    /// # Errors
    /// If the step is not above the last, a name cannot be recorded, or a file not be written.
    pub fn step(&mut self, step: u64, values: &Values) -> Result<(), Error> {
        self.metrics.append(step, values)?;
        if let Some(events) = &mut self.events {
            let numbers = values.numbers();
            let numbers = numbers
                .iter()
                .map(|(path, number)| (path.join("/"), *number));
            let numbers: Vec<_> = numbers.collect();
            events.scalars(
                step,
                numbers.iter().map(|(tag, number)| (tag.as_str(), *number)),
            )?;
        }
        self.dashboard.step(step, values);
        Ok(())
    }

    /// Shows how far a part of the running step is; nothing is recorded.
    pub fn phase(&mut self, name: &str, done: u64, total: u64) {
        self.dashboard.phase(name, done, total);
    }

    /// Records a text that the model has generated after `step`.
    ///
    /// # Errors
    /// If the step is below one that has a sample, or a file cannot be written.
    pub fn sample(&mut self, step: u64, sample: &Sample) -> Result<(), Error> {
        let members = records::sample(sample, &self.dir.join(names::PICTURES))?;
        self.samples.append(step, members)?;
        if let Some(events) = &mut self.events {
            let text = format!("{}\n\n{}", sample.prompt, sample.text);
            events.text(step, &format!("sample/{}", sample.name), &text)?;
        }
        self.dashboard.sample(sample);
        Ok(())
    }

    /// Records an event in words.
    ///
    /// # Errors
    /// If the step is below one that has a note, or a file cannot be written.
    pub fn note(&mut self, step: u64, level: Level, text: &str) -> Result<(), Error> {
        self.notes.append(step, records::note(level, text))?;
        if let Some(events) = &mut self.events {
            events.text(step, &format!("note/{}", level.word()), text)?;
        }
        self.dashboard.note(step, level, text);
        Ok(())
    }

    /// Records groups of completions with their rewards.
    ///
    /// # Errors
    /// If the step is below one that has rollouts, or a file cannot be written.
    pub fn rollouts(&mut self, step: u64, groups: &[RolloutGroup]) -> Result<(), Error> {
        let pictures = self.dir.join(names::PICTURES);
        for group in groups {
            self.rollouts
                .append(step, records::group(group, &pictures)?)?;
        }
        Ok(())
    }

    /// Waits until the records are on the disk, for the moment before a checkpoint is complete.
    ///
    /// # Errors
    /// If the system cannot.
    pub fn sync(&self) -> Result<(), Error> {
        self.metrics.sync()?;
        self.samples.sync()?;
        self.notes.sync()?;
        self.rollouts.sync()
    }

    /// The last recorded step.
    #[must_use]
    pub fn last_step(&self) -> Option<u64> {
        self.metrics.last_step()
    }

    /// Ends the run: draws the dashboard a last time and writes the report, whose path it returns.
    ///
    /// # Errors
    /// If the records cannot be read or the report not be written.
    pub fn finish(mut self) -> Result<PathBuf, Error> {
        self.dashboard.finish();
        self.sync()?;
        report::write_report(&self.dir)
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    let file = options.open(path).map_err(io(path, "open"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(io(path, "lock")(source)),
    }
}
