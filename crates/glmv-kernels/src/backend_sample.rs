//! The backend extension of the kernels that choose tokens, which only wgpu has: `sample` reads the
//! rows of every other device.

use crate::sample::cube;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, backend_extension};
use burn_cubecl::CubeBackend;

/// Launches of the `sample_*` kernels; shapes stand in `sample_cube.rs`.
#[backend_extension(Cube)]
pub(crate) trait SampleOps: Backend {
    fn sample(
        logits: FloatTensor<Self>,
        rules: IntTensor<Self>,
        rows: usize,
        filtered: bool,
    ) -> IntTensor<Self>;
}

impl SampleOps for CubeBackend {
    fn sample(
        logits: FloatTensor<Self>,
        rules: IntTensor<Self>,
        rows: usize,
        filtered: bool,
    ) -> IntTensor<Self> {
        cube::sample(logits, rules, rows, filtered)
    }
}
