//! What all curricula share: the tasks and what is believed of them, the mixture, and the
//! book-keeping of an iteration's asks and replies.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::task;
use super::{Ask, Belief, BeliefConfig, Reply, Selection, Settings, Task, Tier};
use crate::Error;
use crate::advantage::mean_and_std;
use crate::group::{GroupState, GroupStats, Validity};
use crate::mixture::Mixture;

/// The shared part of a curriculum's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Core {
    pub(super) settings: Settings,
    pub(super) belief: BeliefConfig,
    pub(super) tasks: Vec<Task>,
    pub(super) beliefs: Vec<Belief>,
    /// Shares of what is asked.
    pub(super) mixture: Mixture,
    /// Iterations that are over.
    pub(super) iteration: u64,
    /// Completions of iterations that are over.
    pub(super) completions: u64,
    /// States of the groups of the last iteration.
    pub(super) last: Validity,
    pub(super) pending: Vec<Ask>,
    /// Results of the iteration under way, by task; empty between iterations.
    pub(super) gathered: BTreeMap<usize, Gathered>,
    /// How much better tasks did when first asked than their prior said, by domain, sub-domain and tier
    /// of the prior.
    #[serde(default)]
    shifts: BTreeMap<String, BTreeMap<String, [f64; Tier::ALL.len()]>>,
}

/// Results of one task in one iteration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Gathered {
    /// Place in the order of asking.
    order: usize,
    thinking: bool,
    rewards: Vec<f64>,
    counted_tokens: usize,
}

/// A group of the iteration, in the order of asking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    pub(super) task: usize,
    pub(super) stats: GroupStats,
}

impl Group {
    pub(super) fn is_useful(&self) -> bool {
        self.stats.state == GroupState::Useful
    }

    /// Whether it may count in a batch without a gradient.
    pub(super) fn can_fill(&self) -> bool {
        !self.is_useful() && self.stats.state != GroupState::Alone
    }
}

impl Core {
    pub(super) fn new(
        settings: Settings,
        belief: BeliefConfig,
        tasks: Vec<Task>,
    ) -> Result<Self, Error> {
        settings.check()?;
        task::check(&tasks)?;
        if tasks.len() < settings.batch {
            return Err(Error::TooFewTasks {
                batch: settings.batch,
                tasks: tasks.len(),
            });
        }
        let beliefs = tasks.iter().map(|task| Belief::new(task, &belief));
        let beliefs = beliefs.collect::<Result<Vec<_>, _>>()?;
        let mut counts = BTreeMap::new();
        for task in &tasks {
            *counts.entry(task.domain.clone()).or_insert(0) += 1;
        }
        Ok(Self {
            mixture: Mixture::new(&settings.mixture, &counts)?,
            settings,
            belief,
            tasks,
            beliefs,
            iteration: 0,
            completions: 0,
            last: Validity::default(),
            pending: Vec::new(),
            gathered: BTreeMap::new(),
            shifts: BTreeMap::new(),
        })
    }

    /// Makes sure of what a saved state must hold, so that a spoilt file cannot lead to a panic.
    pub(super) fn check_saved(&self) -> Result<(), Error> {
        let fail = |reason: &str| {
            Err(Error::State {
                reason: reason.to_owned(),
            })
        };
        let count = self.tasks.len();
        let asked = self
            .pending
            .iter()
            .map(|ask| &ask.task)
            .chain(self.gathered.keys());
        self.settings.check()?;
        self.belief.check()?;
        task::check(&self.tasks)?;
        match () {
            () if self.beliefs.len() != count => fail("not one belief for each task"),
            () if asked.max().is_some_and(|&task| task >= count) => {
                fail("a task was asked that is not there")
            }
            () if self
                .pending
                .iter()
                .any(|ask| !self.gathered.contains_key(&ask.task)) =>
            {
                fail("a task is pending that was not asked")
            }
            () if count < self.settings.batch => fail("fewer tasks than a batch has groups"),
            () => Ok(()),
        }
    }

    /// Fails where an iteration is under way.
    pub(super) fn check_idle(&self) -> Result<(), Error> {
        match self.gathered.is_empty() && self.pending.is_empty() {
            true => Ok(()),
            false => Err(Error::OutOfTurn {
                iteration: self.iteration,
                reason: "it has begun, and waits for replies",
            }),
        }
    }

    /// Tasks of each domain that were not asked in this iteration, in their order.
    pub(super) fn open_tasks(&self) -> BTreeMap<String, Vec<usize>> {
        let mut open: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, task) in self.tasks.iter().enumerate() {
            if !self.gathered.contains_key(&index) {
                open.entry(task.domain.clone()).or_default().push(index);
            }
        }
        open
    }

    /// Asks `completions` of each task; a task that was asked before keeps its mode.
    pub(super) fn ask(&mut self, tasks: &[usize], completions: usize) -> Vec<Ask> {
        let fixed: Vec<Option<bool>> = tasks
            .iter()
            .filter(|task| !self.gathered.contains_key(task))
            .map(|&task| self.tasks[task].thinking)
            .collect();
        let mut modes = self.mixture.modes(&fixed).into_iter();
        for &task in tasks {
            let order = self.gathered.len();
            // One mode per task that is new: `or_insert_with` runs for exactly those.
            let gathered = self.gathered.entry(task).or_insert_with(|| Gathered {
                order,
                thinking: modes.next().unwrap_or(true),
                rewards: Vec::new(),
                counted_tokens: 0,
            });
            self.pending.push(Ask {
                task,
                completions,
                thinking: gathered.thinking,
            });
        }
        self.pending.clone()
    }

    /// Takes the replies to everything pending.
    pub(super) fn take(&mut self, replies: &[Reply]) -> Result<(), Error> {
        if self.gathered.is_empty() {
            return Err(Error::OutOfTurn {
                iteration: self.iteration,
                reason: "it has not begun",
            });
        }
        let mut open: BTreeMap<usize, usize> = self
            .pending
            .iter()
            .map(|ask| (ask.task, ask.completions))
            .collect();
        for reply in replies {
            let asked = open.remove(&reply.task).unwrap_or(0);
            let found = reply.rewards.len();
            if asked == 0 || found > asked {
                let task = reply.task;
                return Err(Error::Unasked { task, found, asked });
            }
            mean_and_std(&reply.rewards)?;
        }
        for reply in replies {
            if let Some(gathered) = self.gathered.get_mut(&reply.task) {
                gathered.rewards.extend(&reply.rewards);
                gathered.counted_tokens += reply.counted_tokens;
            }
        }
        self.pending.clear();
        Ok(())
    }

    /// The groups so far, in the order of asking.
    pub(super) fn groups(&self) -> Result<Vec<Group>, Error> {
        let mut groups = Vec::with_capacity(self.gathered.len());
        for (&task, gathered) in &self.gathered {
            let stats = GroupStats::of(&gathered.rewards, gathered.counted_tokens)?;
            groups.push((gathered.order, Group { task, stats }));
        }
        groups.sort_by_key(|(order, _)| *order);
        Ok(groups.into_iter().map(|(_, group)| group).collect())
    }

    /// Ends the iteration: every group updates what is believed of its task.
    pub(super) fn finish(
        &mut self,
        groups: &[Group],
        train: Vec<usize>,
        filler: Vec<usize>,
    ) -> Selection {
        let mut completions = 0;
        for group in groups {
            let stats = &group.stats;
            completions += stats.size as u64;
            if stats.size > 0 {
                self.drift(group.task, stats.pass_rate);
                self.beliefs[group.task].observe(stats.pass_rate, stats.size, &self.belief);
            }
        }
        for task in 0..self.tasks.len() {
            let shift = self.shift(task);
            self.beliefs[task].age(shift, &self.belief);
        }
        self.last = Validity::of(groups.iter().map(|group| group.stats.state));
        self.iteration += 1;
        self.completions += completions;
        self.gathered.clear();
        Selection {
            train,
            filler,
            validity: self.last,
            completions,
        }
    }

    /// How far tasks that were graded alike have moved from their prior.
    fn shift(&self, task: usize) -> f64 {
        let found = self.shifts.get(&self.tasks[task].domain);
        let found = found.and_then(|of| of.get(&self.tasks[task].sub_domain));
        found.map_or(0.0, |of| of[Tier::of(self.beliefs[task].prior()) as usize])
    }

    /// Learns from a task's first group how its kin stand by now.
    fn drift(&mut self, task: usize, pass_rate: f64) {
        if self.beliefs[task].seen == 0 && self.belief.drift > 0.0 {
            let gap = pass_rate - self.beliefs[task].prior();
            let tier = Tier::of(self.beliefs[task].prior()) as usize;
            let Task {
                domain, sub_domain, ..
            } = &self.tasks[task];
            let of = self.shifts.entry(domain.clone()).or_default();
            let shift = &mut of.entry(sub_domain.clone()).or_default()[tier];
            *shift += self.belief.drift * (gap - *shift);
        }
    }
}
