//! The model as a library: writing weights back, sharding, batches and caches that agree.

mod consistency;
mod host;
mod roundtrip;
mod sharding;
mod support;
