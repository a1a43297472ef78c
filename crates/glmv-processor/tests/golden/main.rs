//! Every golden case about prompts, pictures and videos, for both model families. Fixtures come
//! from `GLMV_GOLDEN_DIR`, or `assets/golden` of the repository. Each comparison has a control that
//! must fail.

mod bundled;
mod chat;
mod inputs;
mod media;
mod pure;
mod refusals;
mod support;
mod visual;
