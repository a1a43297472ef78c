//! SPEED-style screening (arXiv 2506.09016): a few completions tell which tasks are neither solved
//! nor out of reach; only those get the rest of their group, and both parts are trained on. Unlike
//! there, what passes the screen beyond a batch is not kept for the next: it would be off-policy.

use serde::{Deserialize, Serialize};

use super::core::{Core, Group};
use super::deck::Decks;
use super::{Ask, Curriculum, Reply, Report, SpeedConfig, State, Step, Task};
use crate::Error;

/// Screening with few completions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    core: Core,
    decks: Decks,
    config: SpeedConfig,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Phase {
    /// Screening, in this round from 1.
    Screen(usize),
    /// The rest of the groups is being rolled out.
    Rest,
}

impl Speed {
    pub(super) fn new(core: Core, config: SpeedConfig) -> Self {
        Self {
            core,
            decks: Decks::default(),
            config,
            phase: Phase::Screen(0),
        }
    }

    /// Makes sure of what a saved state must hold.
    pub(super) fn check_saved(&self) -> Result<(), Error> {
        self.config.check(self.core.settings.group)?;
        self.core.check_saved()
    }

    fn screen(&mut self, round: usize) -> Vec<Ask> {
        self.phase = Phase::Screen(round);
        // At most 1000 times the batch; a batch is at most the number of tasks.
        let pool = (self.core.settings.batch as f64 * self.config.pool - 1e-9).ceil() as usize;
        let tasks = self.decks.draw(&mut self.core, pool);
        self.core.ask(&tasks, self.config.screen)
    }

    /// The first of the tasks whose rewards differ, as many as a batch has.
    fn qualified(&self, groups: &[Group]) -> Vec<usize> {
        let useful = groups.iter().filter(|group| group.is_useful());
        useful
            .map(|group| group.task)
            .take(self.core.settings.batch)
            .collect()
    }
}

impl Curriculum for Speed {
    fn begin(&mut self) -> Result<Vec<Ask>, Error> {
        self.core.check_idle()?;
        Ok(self.screen(1))
    }

    fn receive(&mut self, replies: &[Reply]) -> Result<Step, Error> {
        self.core.take(replies)?;
        let groups = self.core.groups()?;
        let train = match self.phase {
            Phase::Rest => {
                let full = |g: &&Group| g.is_useful() && g.stats.size > self.config.screen;
                groups.iter().filter(full).map(|group| group.task).collect()
            }
            Phase::Screen(round) => {
                let qualified = self.qualified(&groups);
                if qualified.len() < self.core.settings.batch && round < self.config.max_rounds {
                    let more = self.screen(round + 1);
                    if !more.is_empty() {
                        return Ok(Step::More(more));
                    }
                }
                if !qualified.is_empty() {
                    self.phase = Phase::Rest;
                    let rest = self.core.settings.group - self.config.screen;
                    return Ok(Step::More(self.core.ask(&qualified, rest)));
                }
                qualified
            }
        };
        Ok(Step::Train(self.core.finish(&groups, train, Vec::new())))
    }

    fn pending(&self) -> &[Ask] {
        &self.core.pending
    }

    fn tasks(&self) -> &[Task] {
        &self.core.tasks
    }

    fn report(&self) -> Report {
        Report::of("speed", &self.core)
    }

    fn save(&self) -> State {
        State::Speed(self.clone())
    }
}
