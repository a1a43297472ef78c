//! Every op of the crate against its twin: wgpu and Flex, f32 and f16 weights, awkward shapes and
//! views, forward and backward, each comparison with a control that must be rejected.
//!
//! Without an adapter the wgpu half cannot run and says so; `GLMV_REQUIRE_GPU=1` makes that a
//! failure.

mod attention;
mod backward;
mod backward_codes;
mod backward_dense;
mod backward_rows;
mod expert_linear;
mod fused;
mod gather;
mod invariance;
mod linear;
mod logprobs;
mod moe;
mod optimizer;
mod paged;
mod properties;
mod quantised;
mod rope;
mod router;
mod routing;
mod rows;
mod sample;
mod selftest;
mod slopes;
mod support;
