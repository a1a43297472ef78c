//! WGSL launches of the `sample_*` kernels: best scores, sums of weights, then the token of each row.

use super::rules::RULE;
use crate::launch::{empty, f32_rows, fold, launch, on_cpu_adapter};
use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};

/// Vocabulary entries of a workgroup, as in `shaders/parts/sample.wgsl`.
const CHUNK: usize = 2048;

/// `logits` `[any, vocab]`, `rules` u32 `[rows * 16 + masks]` → u32 `[rows, 2]`: token id and the bits
/// of its log-probability. `filtered`: a rule has top_k, top_p or min_p.
pub(crate) fn sample(
    logits: CubeTensor,
    rules: CubeTensor,
    rows: usize,
    filtered: bool,
) -> CubeTensor {
    let (logits, rules) = (f32_rows(logits), into_contiguous(rules));
    debug_assert!(
        rules.shape().num_elements() >= rows * RULE,
        "rules of {rows} rows"
    );
    let vocab = logits.shape()[1];
    let chunks = vocab.div_ceil(CHUNK);
    // A GPU hides the latency of loads behind many lanes; a CPU adapter runs lanes in turn.
    let (lanes, digit) = match on_cpu_adapter(&logits) {
        true => (64, 4),
        false => (256, 2),
    };
    let params = vec![("WG", format!("{lanes}u"))];
    let like = |shape: Shape| empty(&logits, shape, DType::U32);
    let maxima = like(Shape::new([rows, chunks, 4]));
    let sums = like(Shape::new([rows, chunks, 4]));
    let listed = match filtered {
        true => vocab.next_multiple_of(lanes),
        false => 1,
    };
    let list = like(Shape::new([rows, listed]));
    let out = like(Shape::new([rows, 2]));
    let info = [rows, vocab, chunks, listed].map(|v| v as u32);
    let grid = || fold(rows * chunks);
    let buffers = [&logits, &rules, &maxima];
    launch("sample_max", params.clone(), grid(), &buffers, &info[..3]);
    let buffers = [&logits, &rules, &maxima, &sums];
    launch("sample_sum", params.clone(), grid(), &buffers, &info[..3]);
    let params = [params, vec![("BITS", format!("{digit}u"))]].concat();
    let buffers = [&logits, &rules, &maxima, &sums, &list, &out];
    launch("sample_pick", params, fold(rows), &buffers, &info);
    out
}
