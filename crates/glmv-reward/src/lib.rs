//! Rewards: what an answer is worth. A text and its reference go in, a score or a typed error comes
//! out; an error is never a score. Called by the trainer and by the command line.
//!
//! [`judge`] asks a model, [`user`] asks the user's own program, [`watch`] reads a training log and
//! says when the reward is being hacked.

pub mod judge;
pub mod user;
pub mod watch;
