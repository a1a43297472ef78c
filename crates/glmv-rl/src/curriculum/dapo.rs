//! DAPO's dynamic sampling (arXiv 2503.14476, §3.2): groups without a difference are thrown away and
//! others rolled out until the batch is full.

use serde::{Deserialize, Serialize};

use super::core::Core;
use super::deck::Decks;
use super::{Ask, Curriculum, DapoConfig, Reply, Report, State, Step, Task};
use crate::Error;

/// Filtering with a retry loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dapo {
    pub(super) core: Core,
    decks: Decks,
    config: DapoConfig,
    round: usize,
}

impl Dapo {
    pub(super) fn new(core: Core, config: DapoConfig) -> Self {
        Self {
            core,
            decks: Decks::default(),
            config,
            round: 0,
        }
    }

    /// Asks for as many groups as a batch has.
    fn ask(&mut self) -> Vec<Ask> {
        self.round += 1;
        let batch = self.core.settings.batch;
        let tasks = self.decks.draw(&mut self.core, batch);
        self.core.ask(&tasks, self.core.settings.group)
    }
}

impl Curriculum for Dapo {
    fn begin(&mut self) -> Result<Vec<Ask>, Error> {
        self.core.check_idle()?;
        self.round = 0;
        Ok(self.ask())
    }

    fn receive(&mut self, replies: &[Reply]) -> Result<Step, Error> {
        self.core.take(replies)?;
        let groups = self.core.groups()?;
        let useful = groups.iter().filter(|group| group.is_useful());
        let mut train: Vec<usize> = useful.map(|group| group.task).collect();
        if train.len() < self.core.settings.batch && self.round < self.config.max_rounds {
            let more = self.ask();
            // Without a task left there is nothing to wait for.
            if !more.is_empty() {
                return Ok(Step::More(more));
            }
        }
        train.truncate(self.core.settings.batch);
        Ok(Step::Train(self.core.finish(&groups, train, Vec::new())))
    }

    fn pending(&self) -> &[Ask] {
        &self.core.pending
    }

    fn tasks(&self) -> &[Task] {
        &self.core.tasks
    }

    fn report(&self) -> Report {
        Report::of("dapo", &self.core)
    }

    fn save(&self) -> State {
        State::Dapo(self.clone())
    }
}
