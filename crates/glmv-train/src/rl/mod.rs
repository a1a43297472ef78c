//! Learning from reward: rollouts and updates in one program, on the same weights and kernels.
//!
//! ```text
//! curriculum ▶ rollout ▶ reward ▶ advantage ▶ loss ▶ optimiser ▶ checkpoint
//! ```
//!
//! One file per arrow, read in this order: `tasks` (what is asked), `rollout` (the engine's
//! completions), `reward` (what they are worth), `batch` (advantages, and which tokens count),
//! `learn` (loss and optimiser), `run` (the loop with curriculum and checkpoints). Beside it `agree`
//! refuses to start where rollout and trainer differ, `guard` watches for what goes wrong, `record`
//! writes every completion down, `survey` counts what a plan needs, `replay` makes one again, and `grade` and `harvest` serve the data.
//! The arithmetic itself is `glmv-rl`'s.

mod agree;
mod batch;
mod complete;
mod examine;
mod guard;
mod learn;
mod localise;
mod observe;
mod recipe;
mod record;
mod replay;
mod reward;
mod rollout;
mod run;
mod state;
mod survey;
mod tasks;
mod weights;

pub use agree::{Agreement, Mismatch};
pub use batch::{Batch, Row};
pub use examine::{Exam, Examination, Examined};
pub use guard::{GuardConfig, OnAlarm};
pub use learn::{Learnt, Reference};
pub use localise::{Divergence, Flip};
pub use observe::{DomainFigures, Iteration, RlWatch, Times};
pub use recipe::{RlData, RlEval, RlRecipe};
pub use record::{CompletionLog, CompletionRecord};
pub use replay::{ReplayId, Replayed, replay};
pub use reward::{Rewards, Undecided};
pub use rollout::{Group, Member, Progress, Rollouts};
pub use run::RlRun;
pub use state::{RlEnded, RlState, resume};
pub use survey::TaskSurvey;
pub use tasks::{GradeFields, GradeLine, Tasks};
pub use weights::fingerprint;
