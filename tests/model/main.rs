//! The model as a library: writing weights back, sharding, batches and caches that agree.

mod adapters;
mod choices;
mod consistency;
mod engine;
mod host;
mod judge;
mod quantised;
mod roundtrip;
mod rows;
mod sharding;
mod support;
