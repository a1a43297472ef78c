//! A completion made again from the weights, the prompt and the seed that made it.

use super::{CompletionRecord, Rollouts, Tasks, fingerprint};
use crate::Error;
use std::fmt;
use std::str::FromStr;

/// Names one completion of a run: `s12.t34.c5.0123456789abcdef` is sample 5 of task 34 in iteration
/// 12, made with the weights of that fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayId {
    /// The iteration, from 1.
    pub step: u64,
    /// Index of the task in the run's files.
    pub task: usize,
    pub sample: u64,
    /// [`fingerprint`] of the weights.
    pub weights: String,
}

impl fmt::Display for ReplayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReplayId {
            step,
            task,
            sample,
            weights,
        } = self;
        write!(f, "s{step}.t{task}.c{sample}.{weights}")
    }
}

impl FromStr for ReplayId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let mut parts = text.split('.');
            let id = ReplayId {
                step: parts.next()?.strip_prefix('s')?.parse().ok()?,
                task: parts.next()?.strip_prefix('t')?.parse().ok()?,
                sample: parts.next()?.strip_prefix('c')?.parse().ok()?,
                weights: parts.next()?.to_owned(),
            };
            let is_whole = parts.next().is_none() && !id.weights.is_empty();
            is_whole.then_some(id)
        };
        read().ok_or_else(|| Error::Setting {
            key: "replay id".into(),
            reason: format!("{text:?} is not of the form s1.t2.c3.0123456789abcdef"),
        })
    }
}

/// What came of a replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    pub tokens: Vec<u32>,
    pub text: String,
    /// Place of the first token that is another one than was recorded; `None` if all are the same.
    pub first_difference: Option<usize>,
}

/// Makes `record` again with the weights that `rollouts` has.
///
/// # Errors
/// [`Error::Setting`] if the weights, the task or the kind of device are not those of the record; what
/// [`Rollouts::again`] returns.
pub fn replay(
    rollouts: &mut Rollouts,
    tasks: &Tasks,
    record: &CompletionRecord,
) -> Result<Replayed, Error> {
    let id: ReplayId = record.replay_id.parse()?;
    let refuse = |key: &str, reason: String| {
        let key = key.to_owned();
        Err(Error::Setting { key, reason })
    };
    let found = fingerprint(rollouts.engine().model())?;
    if found != id.weights {
        let reason = format!("it was made with {}, these are {found}", id.weights);
        return refuse("weights", reason);
    }
    if !record.is_of_kind(rollouts.device()) {
        let (made, here) = (&record.device, rollouts.device());
        let reason = format!("it was made on {made}, whose numbers are not those of {here}");
        return refuse("device", reason);
    }
    let Some(task) = tasks.find(&record.task).filter(|task| *task == id.task) else {
        let reason = format!("{:?} is not task {} of the files", record.task, id.task);
        return refuse("task", reason);
    };
    let group = rollouts.again(tasks, id.step, (task, record.thinking, id.sample))?;
    let Some(member) = group.members.into_iter().next() else {
        unreachable!("one sample was asked for")
    };
    let longest = member.tokens.len().max(record.tokens.len());
    let differs = |at: &usize| member.tokens.get(*at) != record.tokens.get(*at);
    Ok(Replayed {
        first_difference: (0..longest).find(differs),
        tokens: member.tokens,
        text: member.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = ReplayId {
            step: 12,
            task: 34,
            sample: 5,
            weights: "00ff".into(),
        };
        assert_eq!(id.to_string(), "s12.t34.c5.00ff");
        assert_eq!(id.to_string().parse::<ReplayId>().unwrap(), id);
        for bad in ["", "s1.t2.c3", "s1.t2.c3.", "1.2.3.ff", "s1.t2.c3.ff.x"] {
            assert!(bad.parse::<ReplayId>().is_err(), "{bad}");
        }
    }
}
