//! Operations of GLM-4.1V / GLM-4.5V for Burn: tensors in, tensors out; called by `glmv-model`.
//!
//! One file per operation. Each has a public function that routes, a `*_reference` twin written
//! with public tensor operations (the definition and the oracle), a WGSL launch for wgpu devices
//! and a native Rust implementation for the Flex CPU device.
//!
//! | op | function | WGSL | backward |
//! |---|---|---|---|
//! | RMSNorm | [`rms_norm`], [`rms_norm_add`], [`add_rms_norm`] | `rms_norm*.wgsl` | by hand |
//! | SwiGLU | [`swiglu`], [`silu_mul`] | `swiglu.wgsl`, `silu_mul.wgsl` | by hand |
//! | rotary embeddings (text M-RoPE, vision 2-D) | [`rope`] | `rope.wgsl` | by hand |
//! | position-embedding adaption | [`pos_embed`] | `pos_embed.wgsl` | by hand |
//! | token embedding | [`embed`] | `embed_rows.wgsl` | by hand |
//! | splice of visual features | [`splice`] | `splice.wgsl` | by hand |
//! | linear layer | [`linear`] | `linear*.wgsl`, `matmul_*_sub.wgsl` | by hand |
//! | writes to a paged cache | [`kv_write`], [`kv_copy`] | `kv_*.wgsl` | none |
//! | attention over key ranges | [`attention`], [`attention_paged`] | `attention*.wgsl` | by hand, contiguous |
//! | MoE router | [`moe_router`] | `moe_router*.wgsl` | by hand |
//! | expert dispatch | [`moe_experts`], in parts [`expert_linear`] | `moe_*.wgsl` | by hand |
//! | optimiser step | [`adamw`] | `adamw.wgsl` | none |
//! | optimiser step with means of 8 bits | [`adamw_coded`] | `adamw_coded.wgsl` | none |
//! | choice of tokens | [`sample`] | `sample_*.wgsl` | none |
//! | log-probabilities of tokens | [`token_logprobs`] | `linear*.wgsl`, `score_*.wgsl` | by hand |
//!
//! Weights are f32, f16 or codes of 8 or 4 bits ([`Weight`], [`Quantised`]); sums are f32. Codes are
//! frozen: gradients pass through them to the input.
//!
//! Routing is one function, [`route`]: WGSL on a wgpu device, native on Flex, the twin elsewhere
//! and under autodiff for ops without a hand-written backward. `GLMV_KERNELS=twin` or
//! `GLMV_KERNELS=twin:rope,attention` forces twins, to bisect a difference.

mod adamw;
mod adamw_coded;
mod adapters;
mod attention;
mod attention_paged;
mod autodiff;
mod backend;
mod backend_expert;
mod backend_few;
mod backend_flex;
mod backend_grad;
#[expect(
    clippy::too_many_arguments,
    reason = "the primitives of a store cross one by one"
)]
mod backend_kv;
mod backend_sample;
mod class;
mod cooperative;
mod counts;
pub mod device;
mod elementwise;
mod elementwise_backward;
mod embed;
mod expert_linear;
mod flex;
mod fused;
mod gather;
mod invariance;
mod kv;
mod launch;
mod linear;
mod linear_backward;
mod logprobs;
mod memory;
mod moe;
mod moe_cube;
mod norm;
mod norm_backward;
mod queue_log;
mod rope;
mod route;
mod router_backward;
mod sample;
mod scatter;
mod scores;
pub mod selftest;
mod tile;
mod weight;
mod words;

pub use adamw::{AdamWStep, adamw, adamw_reference};
pub use adamw_coded::{CodedMeans, MEANS_BLOCK, adamw_coded, adamw_coded_reference};
pub use attention::{attention, attention_reference};
pub use attention_paged::{attention_paged, attention_paged_reference};
pub use counts::{Counts, Watch, counts};
pub use elementwise::{silu_mul, silu_mul_reference, swiglu, swiglu_reference};
pub use embed::{embed, embed_reference};
pub use expert_linear::{expert_linear, expert_linear_reference};
pub use fused::{
    After, CacheRows, FEW_ROWS, Heads, Norm, Shard, fused_experts, fused_experts_reference,
    fused_linear, fused_linear_reference, fused_qkv, fused_qkv_reference, qkv_is_fused,
};
pub use gather::{pos_embed, pos_embed_reference, splice, splice_reference};
pub use invariance::{INVARIANT_ROWS, row_invariant};
pub use kv::{KvFormat, KvStore, kv_copy, kv_copy_reference, kv_write, kv_write_reference};
pub use launch::{launches, reset_launches};
#[doc(hidden)]
pub use launch::{on_gpu_tiling, on_plain_tiling};
pub use linear::{linear, linear_reference};
pub use logprobs::{token_logprobs, token_logprobs_reference};
pub use moe::{RouterConfig, moe_experts, moe_experts_reference, moe_router, moe_router_reference};
pub use norm::{
    add_rms_norm, add_rms_norm_reference, rms_norm, rms_norm_add, rms_norm_add_reference,
    rms_norm_reference,
};
pub use queue_log::{QueueCounts, QueueLog};
pub use rope::{Pairing, RopeTable, rope, rope_reference};
#[doc(hidden)]
pub use route::with_broken;
pub use route::{Op, Route, route, route_with_reason, with_twins};
pub use sample::{SampleError, sample, sample_reference, warm_sample};
pub use weight::{Quantised, Weight};
