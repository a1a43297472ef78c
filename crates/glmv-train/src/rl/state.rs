//! What a run leaves in a checkpoint beside weights and optimiser, and how it goes on from there.

use super::guard::GuardState;
use crate::{AdamW, Error, Resumed, Trainer};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything beside weights and optimiser that a run goes on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RlState {
    /// Iterations that are over.
    pub iteration: u64,
    /// Optimiser steps taken, skipped ones included.
    pub step: u64,
    /// Steps that changed the weights.
    pub updates: u64,
    /// Skipped steps in a row, and in all.
    pub skipped: [u64; 2],
    /// Iteration and held-out accuracy of the best measurement.
    pub best: Option<(u64, f64)>,
    /// The curriculum's, as its own JSON text, whose numbers come back bit for bit.
    pub(super) curriculum: String,
    pub(super) guard: GuardState,
    /// Fingerprint of the weights of this checkpoint.
    pub weights: String,
    /// Digest of the settings that must not change between the parts of a run.
    pub settings: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RlEnded {
    pub iteration: u64,
    /// False if it was stopped early.
    pub complete: bool,
    /// Why a guard ended it.
    pub paused: Option<String>,
    /// The last checkpoint.
    pub checkpoint: PathBuf,
    pub best: Option<(u64, f64)>,
}

/// Puts a checkpoint's optimiser and counts into a trainer whose model was loaded from it.
///
/// # Errors
/// [`Error::Setting`] if the run had another recipe, [`Error::Checkpoint`] and [`Error::Model`] if
/// the checkpoint is damaged.
pub fn resume(
    trainer: &mut Trainer,
    resumed: &Resumed<RlState>,
    settings: &str,
    mut adamw: AdamW,
) -> Result<(), Error> {
    let state = &resumed.state;
    if state.settings != settings {
        let dir = resumed.dir.display();
        return Err(Error::Setting {
            key: "resume".into(),
            reason: format!(
                "{dir} was written with another recipe; only title, steps, eval, guard, rhythm and \
                 keep may change"
            ),
        });
    }
    let device = trainer.policy().device();
    resumed.restore(&mut adamw, trainer.parameters(), state.updates, &device)?;
    trainer.resume(state.step, state.skipped, adamw);
    Ok(())
}
