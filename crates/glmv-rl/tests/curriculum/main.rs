//! The curricula: exact iterations, states that go on bit for bit, and a synthetic learner that needs
//! fewer rollouts with RLCS than with uniform sampling.

mod iterations;
mod learner;
mod others;
mod savings;
mod states;
mod weights;
