//! Which prompts are rolled out, and which groups are trained on. Tasks and rewards in, prompts and
//! selections out; the trainer calls it, rolls out what is asked, and replies:
//!
//! ```
//! use glmv_rl::curriculum::{self, CurriculumConfig, Reply, Settings, Step, Task};
//!
//! let tasks = (0..8).map(|i| Task::new(format!("task {i}"), "math")).collect();
//! let settings = Settings { batch: 2, group: 4, seed: 7, ..Settings::default() };
//! let mut curriculum = curriculum::new(&CurriculumConfig::default(), settings, tasks)?;
//! let mut asks = curriculum.begin()?;
//! let selection = loop {
//!     let replies: Vec<Reply> = asks
//!         .iter()
//!         .map(|ask| Reply { task: ask.task, rewards: vec![1.0, 0.0, 0.0, 1.0], counted_tokens: 9 })
//!         .collect();
//!     match curriculum.receive(&replies)? {
//!         Step::More(more) => asks = more,
//!         Step::Train(selection) => break selection,
//!     }
//! };
//! assert_eq!(selection.train.len(), 2);
//! let saved = curriculum.save().to_json()?; // everything, bit for bit
//! # let _ = saved;
//! # Ok::<(), glmv_rl::Error>(())
//! ```

mod belief;
mod config;
mod core;
mod dapo;
mod deck;
mod expansion;
mod pass_at_k;
mod report;
mod rlcs;
mod speed;
mod state;
mod task;
mod uniform;

use serde::{Deserialize, Serialize};

pub use belief::{Belief, BeliefConfig};
pub use config::{CurriculumConfig, DapoConfig, Kind, RlcsConfig, Settings, SpeedConfig};
pub use dapo::Dapo;
pub use expansion::Expansion;
pub use pass_at_k::pass_at_k;
pub use report::{Cell, Report};
pub use rlcs::Rlcs;
pub use speed::Speed;
pub use state::State;
pub use task::{Grade, Task, Tier};
pub use uniform::Uniform;

use crate::Error;
use crate::group::Validity;

/// A prompt to roll out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Index of the task.
    pub task: usize,
    /// Completions to make. With a task that was asked before in this iteration, more of them.
    pub completions: usize,
    /// Whether the prompt asks for thinking.
    pub thinking: bool,
}

/// What came of an [`Ask`].
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Index of the task.
    pub task: usize,
    /// Rewards on a scale of 0 to 1; fewer than asked for where some could not be judged.
    pub rewards: Vec<f64>,
    /// Tokens of these completions that count in the loss.
    pub counted_tokens: usize,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Roll out these as well, and reply again.
    More(Vec<Ask>),
    /// The iteration is over: train.
    Train(Selection),
}

/// The groups of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Tasks whose groups have a gradient and are trained on, most balanced first where the
    /// curriculum looks at that.
    pub train: Vec<usize>,
    /// Tasks whose groups fill the batch without a gradient: they count in its size
    /// ([`crate::objective::BatchSize`]) and need no forward pass, unless the loss has a KL or an
    /// entropy term.
    pub filler: Vec<usize>,
    /// States of all groups that were rolled out.
    pub validity: Validity,
    /// Completions that were rolled out.
    pub completions: u64,
}

/// Decides what is rolled out and trained on, one iteration (= one training step) at a time.
///
/// An error leaves the state as it was.
pub trait Curriculum: std::fmt::Debug + Send {
    /// Starts an iteration: the first prompts to roll out.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`] where one is under way; see [`Curriculum::pending`].
    fn begin(&mut self) -> Result<Vec<Ask>, Error>;

    /// Takes the results of everything that was asked. A task without a reply has no results.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`], [`Error::Unasked`], [`Error::NotFinite`] (`sample` is the index in
    /// the reply).
    fn receive(&mut self, replies: &[Reply]) -> Result<Step, Error>;

    /// What was asked and not replied to: not empty after a resume in the midst of an iteration.
    fn pending(&self) -> &[Ask];

    /// The tasks.
    fn tasks(&self) -> &[Task];

    /// Figures for logs and the dashboard.
    fn report(&self) -> Report;

    /// Everything there is to save.
    fn save(&self) -> State;
}

/// The curriculum that a recipe names.
///
/// # Errors
/// [`Error::Setting`], [`Error::Task`], [`Error::Domain`], [`Error::TooFewTasks`],
/// [`Error::PassAtK`].
pub fn new(
    config: &CurriculumConfig,
    settings: Settings,
    tasks: Vec<Task>,
) -> Result<Box<dyn Curriculum>, Error> {
    config.check(settings.group)?;
    let core = core::Core::new(settings, config.belief, tasks)?;
    Ok(match config.kind {
        Kind::Rlcs => Box::new(Rlcs::new(core, config.rlcs)),
        Kind::Uniform => Box::new(Uniform::new(core)),
        Kind::Dapo => Box::new(Dapo::new(core, config.dapo)),
        Kind::Speed => Box::new(Speed::new(core, config.speed)),
    })
}
