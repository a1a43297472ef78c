//! Every task in turn, every group kept: the baseline.

use serde::{Deserialize, Serialize};

use super::core::Core;
use super::deck::Decks;
use super::{Ask, Curriculum, Reply, Report, State, Step, Task};
use crate::Error;

/// Uniform sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uniform {
    pub(super) core: Core,
    decks: Decks,
}

impl Uniform {
    pub(super) fn new(core: Core) -> Self {
        Self {
            core,
            decks: Decks::default(),
        }
    }
}

impl Curriculum for Uniform {
    fn begin(&mut self) -> Result<Vec<Ask>, Error> {
        self.core.check_idle()?;
        let batch = self.core.settings.batch;
        let tasks = self.decks.draw(&mut self.core, batch);
        Ok(self.core.ask(&tasks, self.core.settings.group))
    }

    fn receive(&mut self, replies: &[Reply]) -> Result<Step, Error> {
        self.core.take(replies)?;
        let groups = self.core.groups()?;
        let of = |keep: fn(&super::core::Group) -> bool| -> Vec<usize> {
            groups
                .iter()
                .filter(|group| keep(group))
                .map(|group| group.task)
                .collect()
        };
        let (train, filler) = (of(|g| g.is_useful()), of(|g| g.can_fill()));
        Ok(Step::Train(self.core.finish(&groups, train, filler)))
    }

    fn pending(&self) -> &[Ask] {
        &self.core.pending
    }

    fn tasks(&self) -> &[Task] {
        &self.core.tasks
    }

    fn report(&self) -> Report {
        Report::of("uniform", &self.core)
    }

    fn save(&self) -> State {
        State::Uniform(self.clone())
    }
}
