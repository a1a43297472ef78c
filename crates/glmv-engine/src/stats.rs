//! Counters of an engine since it was made or reset.

/// What an engine did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Prompt tokens that were run.
    pub prefill_tokens: usize,
    /// Passes over parts of prompts.
    pub prefill_passes: usize,
    /// Prompt tokens whose keys and values were there already.
    pub prefix_hits: usize,
    /// Pictures and videos that were encoded.
    pub features_encoded: usize,
    /// Pictures and videos whose features were there already.
    pub feature_hits: usize,
    /// Decoding passes.
    pub decode_passes: usize,
    /// Rows of all decoding passes: tokens, and tokens run again after a preemption.
    pub decode_rows: usize,
    /// Rows of these that ran again.
    pub replayed_rows: usize,
    /// Sequences that gave their blocks up for others.
    pub preemptions: usize,
    /// Most blocks in use at once.
    pub most_blocks: usize,
    /// Our WGSL dispatches of prefill and decoding.
    pub dispatches: u64,
    /// Wall seconds.
    pub vision_s: f64,
    pub prefill_s: f64,
    pub decode_s: f64,
}

impl Stats {
    /// Rows per decoding pass.
    pub fn occupancy(&self) -> f64 {
        match self.decode_passes {
            0 => 0.0,
            passes => self.decode_rows as f64 / passes as f64,
        }
    }
}
