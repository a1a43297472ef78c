//! The watch over a whole log.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Serialize;

use super::domain::DomainWatch;
use super::{Alarm, Outcome, Signal, WatchConfig, WatchError, record};

/// Reads a training log line by line and says when something is wrong.
///
/// ```
/// use glmv_reward::watch::{Watch, WatchConfig};
///
/// let mut watch = Watch::new(WatchConfig::default())?;
/// let line = r#"{"step": 1, "domains": {"math": {"reward": 0.4, "entropy": 0.9}}}"#;
/// assert!(watch.push_line(line)?.is_empty());
/// # Ok::<(), glmv_reward::watch::WatchError>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    config: WatchConfig,
    domains: BTreeMap<String, DomainWatch>,
    last_step: Option<u64>,
    report: Report,
}

/// What a log came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The worst of all alarms.
    pub outcome: Outcome,
    /// Lines read.
    pub lines: usize,
    /// Lines with `domains`.
    pub records: usize,
    /// Times the steps went back, which means that a run was resumed.
    pub rewinds: usize,
    /// True if the log ends in a line without end that is no JSON: it is being written.
    pub is_torn: bool,
    /// Alarms in order.
    pub alarms: Vec<Alarm>,
    /// Signals a domain never logged, and which therefore nobody watches.
    pub unwatched: Vec<(String, Signal)>,
}

impl Watch {
    /// A watch with these thresholds.
    ///
    /// # Errors
    /// [`WatchError::Config`] if a threshold cannot be used.
    pub fn new(config: WatchConfig) -> Result<Self, WatchError> {
        config.check()?;
        Ok(Self {
            config,
            domains: BTreeMap::new(),
            last_step: None,
            report: Report {
                outcome: Outcome::Healthy,
                lines: 0,
                records: 0,
                rewinds: 0,
                is_torn: false,
                alarms: Vec::new(),
                unwatched: Vec::new(),
            },
        })
    }

    /// Takes the next line and returns the alarms it raises; empty lines are skipped.
    ///
    /// # Errors
    /// If the line is not what the module says. It is then left out, and further lines may follow.
    pub fn push_line(&mut self, text: &str) -> Result<Vec<Alarm>, WatchError> {
        self.report.lines += 1;
        let line = self.report.lines;
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let Some(record) = record::parse(text, line)? else {
            return Ok(Vec::new());
        };
        self.report.records += 1;
        let step = record.step;
        if self.last_step.is_some_and(|last| step <= last) {
            self.report.rewinds += 1;
            self.domains.values_mut().for_each(|d| d.rewind(step));
        }
        self.last_step = Some(step);
        let mut alarms = Vec::new();
        for (name, domain) in record.domains {
            let watch = self.domains.entry(name.clone()).or_default();
            alarms.extend(watch.push(&self.config, (step, line, &name), domain));
        }
        for alarm in &alarms {
            self.report.outcome = self.report.outcome.max(alarm.outcome);
        }
        self.report.alarms.extend(alarms.iter().cloned());
        Ok(alarms)
    }

    /// What has been found so far.
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        for (name, domain) in &self.domains {
            let missing = domain.missing().map(|signal| (name.clone(), signal));
            report.unwatched.extend(missing);
        }
        report
    }
}

/// Watches a log to its end and hands over every alarm as it is raised.
///
/// # Errors
/// If the log cannot be read, a line is not what it must be, or no line has `domains`. A last line
/// without end that does not parse is taken as being written, not as an error.
pub fn watch_log(
    mut log: impl BufRead,
    config: WatchConfig,
    mut on_alarm: impl FnMut(&Alarm),
) -> Result<Report, WatchError> {
    let mut watch = Watch::new(config)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let line = watch.report.lines + 1;
        let read = log.read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| WatchError::Read {
            line,
            reason: error.to_string(),
        })?;
        if read == 0 {
            break;
        }
        let is_whole = bytes.ends_with(b"\n");
        let text = std::str::from_utf8(&bytes).map_err(|error| WatchError::Read {
            line,
            reason: error.to_string(),
        });
        match text.and_then(|text| watch.push_line(text)) {
            Ok(alarms) => alarms.iter().for_each(&mut on_alarm),
            Err(WatchError::Json { .. } | WatchError::Read { .. }) if !is_whole => {
                watch.report.is_torn = true;
            }
            Err(error) => return Err(error),
        }
    }
    match watch.report.records {
        0 => Err(WatchError::NoRecords {
            lines: watch.report.lines,
        }),
        _ => Ok(watch.report()),
    }
}
