//! The arithmetic of learning from reward, on slices.
pub mod advantage;
mod error;
pub mod group;
pub mod objective;
pub use error::Error;
