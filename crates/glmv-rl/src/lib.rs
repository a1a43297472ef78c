//! The arithmetic of learning from reward, on slices.
pub mod advantage;
mod allot;
pub mod curriculum;
mod error;
pub mod group;
pub mod mixture;
pub mod objective;
mod random;
pub use error::Error;
