//! Accuracy on held-out tasks, and difficulty of tasks by repeated tries.

use super::{Group, Progress, Rewards, Rollouts, Tasks, observe};
use crate::Error;
use glmv_rl::curriculum::{Ask, Grade};
use std::collections::BTreeMap;

/// Prompts that are rolled out before the next are made: a file may have more than memory holds.
const AT_ONCE: usize = 256;

/// Results of a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Examination {
    pub tasks: usize,
    /// Mean of the verifier's accuracy, 0 to 1; `None` where nothing could be judged.
    pub accuracy: Option<f64>,
    /// Share of completions that keep the grammar.
    pub well_formed: f64,
    /// Mean tokens.
    pub length: f64,
}

/// Results of all domains.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    pub all: Examination,
    pub domains: BTreeMap<String, Examination>,
    /// The answers, for a look at them.
    pub groups: Vec<Group>,
}

/// How held-out tasks are asked.
#[derive(Clone, Copy, Debug)]
pub struct Exam {
    /// 0 is greedy.
    pub temperature: f32,
    /// Whether tasks that leave it open are asked with thinking.
    pub thinks: bool,
}

impl Exam {
    /// Asks every task once.
    ///
    /// # Errors
    /// As [`Rollouts::answer`] and [`Rewards::judge`].
    pub fn take(
        &self,
        rollouts: &mut Rollouts,
        rewards: &Rewards,
        tasks: &Tasks,
        progress: Progress<'_>,
    ) -> Result<Examined, Error> {
        let how = (self.temperature, self.thinks);
        let mut groups = rollouts.answer(tasks, how, progress)?;
        rewards.judge(&mut groups, tasks, 0)?;
        let mut by_domain: BTreeMap<&str, Vec<&Group>> = BTreeMap::new();
        for group in &groups {
            let domain = tasks.known(group.task).domain.as_str();
            by_domain.entry(domain).or_default().push(group);
        }
        let domains = by_domain.into_iter();
        let domains = domains.map(|(name, groups)| (name.to_owned(), examination(&groups)));
        Ok(Examined {
            domains: domains.collect(),
            all: examination(&groups.iter().collect::<Vec<_>>()),
            groups,
        })
    }
}

fn examination(groups: &[&Group]) -> Examination {
    let members: Vec<_> = groups.iter().flat_map(|g| &g.members).collect();
    let verdicts = || members.iter().filter_map(|m| m.verdict.as_ref());
    let well_formed = verdicts().filter(|v| v.format_ok).count();
    Examination {
        tasks: groups.len(),
        accuracy: observe::mean(verdicts().filter_map(|v| v.parts.accuracy)),
        well_formed: well_formed as f64 / members.len().max(1) as f64,
        length: observe::mean(members.iter().map(|m| m.tokens.len() as f64)).unwrap_or_default(),
    }
}

impl Rollouts {
    /// Grades of every task by `samples` completions each, with thinking as the task says or else as
    /// `thinks` does; a completion is right from an accuracy of one half on. Tasks of which nothing
    /// could be judged have none.
    ///
    /// # Errors
    /// As [`Rollouts::run`] and [`Rewards::judge`].
    pub fn grade(
        &mut self,
        rewards: &Rewards,
        tasks: &Tasks,
        (model, samples, thinks): (&str, usize, bool),
        progress: Progress<'_>,
    ) -> Result<Vec<Option<Grade>>, Error> {
        let asks: Vec<Ask> = (0..tasks.len())
            .map(|task| Ask {
                task,
                completions: samples,
                thinking: tasks.known(task).thinking.unwrap_or(thinks),
            })
            .collect();
        let total = (asks.len() * samples) as u64;
        let mut grades = Vec::with_capacity(asks.len());
        for part in asks.chunks(AT_ONCE) {
            let before = (grades.len() * samples) as u64;
            let mut tell = |done, _| progress(before + done, total);
            let mut groups = self.run(0, part, &|_| 0, tasks, &mut tell)?;
            rewards.judge(&mut groups, tasks, 0)?;
            grades.extend(groups.iter().map(|group| grade(group, model)));
        }
        Ok(grades)
    }
}

/// How many of a group's completions are right, of those that could be judged.
fn grade(group: &Group, model: &str) -> Option<Grade> {
    let verdicts = group.members.iter().filter_map(|m| m.verdict.as_ref());
    let judged: Vec<f64> = verdicts.filter_map(|v| v.parts.accuracy).collect();
    let right = judged.iter().filter(|accuracy| **accuracy >= 0.5).count();
    (!judged.is_empty()).then(|| Grade {
        model: model.to_owned(),
        samples: judged.len() as u64,
        right: right as u64,
    })
}
