//! What is shown while a run goes on: a few lines that are drawn again and again where stdout is a
//! terminal, one line now and then where it is not. No mode of the terminal is changed and every
//! frame is one write that ends in a whole line, so there is nothing to restore, however it ends.

mod render;
mod screen;
mod spark;
mod state;
mod text;

pub use render::{View, render};
pub(crate) use screen::Dashboard;
pub use screen::Display;
pub use state::State;
