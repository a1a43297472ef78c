//! Saved curricula: everything, as JSON whose numbers come back bit for bit.

use serde::{Deserialize, Serialize};

use super::{Curriculum, Dapo, Rlcs, Speed, Task, Uniform};
use crate::Error;

/// A curriculum to save or to go on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Of [`Rlcs`].
    Rlcs(Rlcs),
    /// Of [`Uniform`].
    Uniform(Uniform),
    /// Of [`Dapo`].
    Dapo(Dapo),
    /// Of [`Speed`].
    Speed(Speed),
}

impl State {
    /// As JSON.
    ///
    /// # Errors
    /// [`Error::State`].
    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|e| Error::State {
            reason: e.to_string(),
        })
    }

    /// From JSON.
    ///
    /// # Errors
    /// [`Error::State`] with line and column, or with what does not fit together;
    /// [`Error::Setting`], [`Error::Task`].
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let state: Self = serde_json::from_str(text).map_err(|e| Error::State {
            reason: e.to_string(),
        })?;
        match &state {
            Self::Rlcs(rlcs) => rlcs.check_saved(),
            Self::Uniform(uniform) => uniform.core.check_saved(),
            Self::Dapo(dapo) => dapo.core.check_saved(),
            Self::Speed(speed) => speed.check_saved(),
        }?;
        Ok(state)
    }

    /// Goes on where it was saved.
    pub fn into_curriculum(self) -> Box<dyn Curriculum> {
        match self {
            Self::Rlcs(rlcs) => Box::new(rlcs),
            Self::Uniform(uniform) => Box::new(uniform),
            Self::Dapo(dapo) => Box::new(dapo),
            Self::Speed(speed) => Box::new(speed),
        }
    }

    /// Makes sure that it was saved with these tasks.
    ///
    /// # Errors
    /// [`Error::OtherTasks`] with the first that differs in any field.
    pub fn check_tasks(&self, tasks: &[Task]) -> Result<(), Error> {
        let saved = match self {
            Self::Rlcs(rlcs) => rlcs.tasks(),
            Self::Uniform(uniform) => uniform.tasks(),
            Self::Dapo(dapo) => dapo.tasks(),
            Self::Speed(speed) => speed.tasks(),
        };
        let longest = saved.len().max(tasks.len());
        match (0..longest).find(|&at| saved.get(at) != tasks.get(at)) {
            None => Ok(()),
            Some(index) => Err(Error::OtherTasks {
                index,
                saved: saved.get(index).map(|task| task.id.clone()),
                found: tasks.get(index).map(|task| task.id.clone()),
            }),
        }
    }
}
