//! How an engine shares the device among its requests.

use glmv_kernels::{INVARIANT_ROWS, KvFormat};

/// Sizes and guarantees of an [`Engine`](crate::Engine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Tokens of a KV block, a multiple of 4.
    pub block_size: usize,
    /// Blocks of the KV pool, taken at once. `None`: the pool grows as it is needed, up to what one
    /// buffer holds.
    pub kv_blocks: Option<usize>,
    /// Format of the KV cache; `None`: f32 beside f32 weights, else f16 where the device has it.
    pub kv_format: Option<KvFormat>,
    /// Most prompt tokens of one pass, and of all prompts in one step; rounded up to whole blocks.
    /// Prompts are cut at multiples of it, whatever else runs.
    pub chunk: usize,
    /// Most sequences that decode at the same time; more wait.
    pub max_running: usize,
    /// A sequence's tokens and log-probabilities are the same bits in any company. Decoding then
    /// runs the kernels of many rows for one row too, and prefixes are reused by whole chunks.
    pub invariant: bool,
    /// Keep the blocks of finished prompts and reuse them for prompts that begin alike.
    pub reuse_prefixes: bool,
    /// Bytes of projected visual features kept for pictures that come again.
    pub feature_bytes: u64,
}

impl Default for EngineConfig {
    /// Blocks of 16, chunks of 512, 32 sequences, a growing pool, 256 MB of features.
    fn default() -> Self {
        EngineConfig {
            block_size: 16,
            kv_blocks: None,
            kv_format: None,
            chunk: 512,
            max_running: 32,
            invariant: false,
            reuse_prefixes: true,
            feature_bytes: 256 << 20,
        }
    }
}

impl EngineConfig {
    /// What rollouts need: bits that do not depend on the company.
    pub fn rollout() -> Self {
        EngineConfig {
            invariant: true,
            max_running: INVARIANT_ROWS,
            ..EngineConfig::default()
        }
    }
}
