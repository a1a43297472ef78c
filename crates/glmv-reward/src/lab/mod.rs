//! The reward lab: scores case files, checks them against what is expected, and attacks domains with
//! answers of known truth. Used by `glmv reward`.

pub mod cases;
pub mod fuzz;
mod generate;
mod mutate;
mod rng;
pub mod score;
pub mod test;

pub use cases::{Case, CaseFile, Expected, Level};
pub use fuzz::{FuzzReport, fuzz};
pub use score::{RowScore, score, score_all};
pub use test::{TestReport, test};
