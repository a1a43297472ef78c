//! Parameter groups: which parts learn, how fast, and with which decay.

use crate::Part;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How one part of the model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// Left as it is.
    pub freeze: bool,
    /// Factor on the schedule's learning rate.
    pub rate: f64,
    /// Decoupled weight decay per step and unit of learning rate; the optimiser's where there is none.
    pub decay: Option<f64>,
}

impl Default for Group {
    fn default() -> Self {
        Group {
            freeze: false,
            rate: 1.0,
            decay: None,
        }
    }
}

/// The groups of a run; a part without one has the default group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Groups(pub BTreeMap<Part, Group>);

impl Groups {
    /// The group of a part.
    pub fn of(&self, part: Part) -> Group {
        self.0.get(&part).copied().unwrap_or_default()
    }

    /// True unless the part is frozen.
    pub fn trains(&self, part: Part) -> bool {
        !self.of(part).freeze
    }
}
