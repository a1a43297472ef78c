//! Every completion on disk, one JSON object per line: for `glmv rl replay`, `glmv rl harvest`, and
//! anybody's own analysis.

use super::{Group, ReplayId, Tasks};
use crate::Error;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// One completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompletionRecord {
    /// The iteration that made it, from 1.
    pub step: u64,
    pub replay_id: String,
    /// Id of the task.
    pub task: String,
    pub domain: String,
    pub sub_domain: String,
    pub thinking: bool,
    /// Its number among the samples of its task in this iteration.
    pub sample: u64,
    pub tokens: Vec<u32>,
    pub text: String,
    pub reward: Option<f64>,
    /// What the verifier says of the answer, whatever the reward was made of.
    pub accuracy: Option<f64>,
    pub is_well_formed: bool,
    pub is_truncated: bool,
    /// The end of its thinking was put there.
    pub is_forced: bool,
    /// The device that made it; empty in the records of older runs.
    #[serde(default)]
    pub device: String,
}

impl CompletionRecord {
    /// True if it was made on a device of the kind of `device`, or nobody knows on which.
    pub fn is_of_kind(&self, device: &str) -> bool {
        let kind = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        self.device.is_empty() || kind(&self.device) == kind(device)
    }

    /// Records of all completions of `groups`, made with the weights of this fingerprint.
    pub fn of(groups: &[Group], tasks: &Tasks, step: u64, weights: &str) -> Vec<Self> {
        let mut records = Vec::new();
        for group in groups {
            let task = tasks.known(group.task);
            for member in &group.members {
                let id = ReplayId {
                    step,
                    task: group.task,
                    sample: member.sample,
                    weights: weights.to_owned(),
                };
                let verdict = member.verdict.as_ref();
                records.push(CompletionRecord {
                    step,
                    replay_id: id.to_string(),
                    task: task.id.clone(),
                    domain: task.domain.clone(),
                    sub_domain: task.sub_domain.clone(),
                    thinking: group.thinking,
                    sample: member.sample,
                    tokens: member.tokens.clone(),
                    text: member.text.clone(),
                    reward: member.reward,
                    accuracy: verdict.and_then(|v| v.parts.accuracy),
                    is_well_formed: verdict.is_some_and(|v| v.format_ok),
                    is_truncated: member.is_truncated,
                    is_forced: member.inserted.contains(&true),
                    device: member.device.to_string(),
                });
            }
        }
        records
    }
}

/// A file of lines that each have a `step`, which never falls.
#[derive(Debug)]
pub struct CompletionLog {
    path: PathBuf,
    file: File,
}

/// All that is needed of a line to find its place.
#[derive(Deserialize)]
struct Stepped {
    step: u64,
}

impl CompletionLog {
    /// Opens the log at `path` (made if it is not there) behind the lines up to `step`; what was
    /// recorded after it, and a last line that was never finished, are dropped.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a file that cannot be read or written, or a line that is no record.
    pub fn open(path: &Path, step: u64) -> Result<Self, Error> {
        let keep = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(fail(path, error)),
            Ok(file) => end_of(path, file, step)?,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| fail(folder, e))?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        let file = options.open(path).map_err(|e| fail(path, e))?;
        file.set_len(keep).map_err(|e| fail(path, e))?;
        Ok(CompletionLog {
            path: path.to_path_buf(),
            file,
        })
    }

    /// Appends one line per value.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if it cannot be written.
    pub fn append<T: Serialize>(&mut self, values: &[T]) -> Result<(), Error> {
        let mut text = String::new();
        for value in values {
            text += &serde_json::to_string(value).map_err(|e| fail(&self.path, e))?;
            text.push('\n');
        }
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|e| fail(&self.path, e))
    }

    /// Waits until it is on the disk.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the system cannot.
    pub fn sync(&self) -> Result<(), Error> {
        self.file.sync_all().map_err(|e| fail(&self.path, e))
    }

    /// The records of a log, in order; `keep` says which.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with the line that is no record.
    pub fn read(
        path: &Path,
        mut keep: impl FnMut(&CompletionRecord) -> bool,
    ) -> Result<Vec<CompletionRecord>, Error> {
        let file = File::open(path).map_err(|e| fail(path, e))?;
        let mut records = Vec::new();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|e| fail(path, e))?;
            let record: CompletionRecord = serde_json::from_str(&line)
                .map_err(|e| fail(path, format!("line {}: {e}", number + 1)))?;
            if keep(&record) {
                records.push(record);
            }
        }
        Ok(records)
    }
}

/// Bytes of the whole lines up to `step`.
fn end_of(path: &Path, file: File, step: u64) -> Result<u64, Error> {
    let (mut reader, mut end, mut line) = (BufReader::new(file), 0, Vec::new());
    for number in 1.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line);
        let read = read.map_err(|e| fail(path, e))?;
        if read == 0 || !line.ends_with(b"\n") {
            break;
        }
        let found: Stepped =
            serde_json::from_slice(&line).map_err(|e| fail(path, format!("line {number}: {e}")))?;
        if found.step > step {
            break;
        }
        end += read as u64;
    }
    Ok(end)
}

fn fail(path: &Path, reason: impl ToString) -> Error {
    Error::Checkpoint {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> serde_json::Value {
        serde_json::json!({"step": step, "text": "a"})
    }

    #[test]
    fn a_resumed_log_forgets_what_came_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/log.jsonl");
        let mut log = CompletionLog::open(&path, 0).unwrap();
        log.append(&[line(1), line(1), line(2), line(3)]).unwrap();
        drop(log);
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\":3").unwrap();
        let mut log = CompletionLog::open(&path, 2).unwrap();
        log.append(&[line(3)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = (text.lines())
            .map(|l| serde_json::from_str::<Stepped>(l).unwrap().step)
            .collect();
        assert_eq!(steps, [1, 1, 2, 3]);
        fs::write(&path, "no json\n").unwrap();
        let error = CompletionLog::open(&path, 2).unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
    }
}
