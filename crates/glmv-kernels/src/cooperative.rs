//! Whether linear layers of many rows run on cooperative matrices: where the adapter reports them
//! and a test at start-up agrees with the twin. Decided by `device::select`, asked by `tile.rs`.
//! `GLMV_KERNELS=no-coop` turns them off.

use crate::device::{Selected, read};
use crate::{launch::on_cooperative_matrices, linear, linear_reference};
use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_cubecl::CubeDevice;
use std::sync::{PoisonError, RwLock};

/// Largest difference from the twin that the test accepts; its results are sums of 136 products of
/// numbers up to 1, which the kernel takes with about 22 bits each.
const TOLERANCE: f32 = 1e-4;

/// Lanes of every device that was decided for.
static LANES: RwLock<Vec<(CubeDevice, Option<u32>)>> = RwLock::new(Vec::new());

/// Lanes of a subgroup, if the adapter passed the test.
pub(crate) fn lanes(device: &CubeDevice) -> Option<u32> {
    let known = LANES.read().unwrap_or_else(PoisonError::into_inner);
    known.iter().find(|(d, _)| d == device)?.1
}

/// Decides once for every adapter that is opened.
pub(crate) fn decide(selected: &Selected) {
    let inner = selected.device.clone().inner();
    let DispatchDevice::Cube(device) = inner.as_dispatch() else {
        return;
    };
    let known = LANES.read().unwrap_or_else(PoisonError::into_inner);
    if known.iter().any(|(d, _)| d == device) {
        return;
    }
    drop(known);
    let off = std::env::var("GLMV_KERNELS").is_ok_and(|v| v == "no-coop");
    let info = &selected.info;
    let candidate = candidate(
        info.cooperative_matrices && info.shader_f16 && info.backend == "vulkan",
        info.subgroup_lanes,
    );
    let lanes = candidate.filter(|lanes| !off && agrees(&selected.device, *lanes));
    let mut all = LANES.write().unwrap_or_else(PoisonError::into_inner);
    all.push((device.clone(), lanes));
}

/// Lanes of a subgroup where the kernel can run: its four subgroups must be of one known size.
fn candidate(reported: bool, lanes: Option<[u32; 2]>) -> Option<u32> {
    match lanes {
        Some([least, most]) if reported && least == most && (8..=64).contains(&least) => {
            Some(least)
        }
        _ => None,
    }
}

/// Runs the kernel on weights in f32 and f16 and compares with the twin; any failure is a no.
fn agrees(device: &Device, lanes: u32) -> bool {
    let (rows, n, k) = (70, 76, 136);
    // Numbers over a wide range, some beyond what f16 holds.
    let number = |i: usize| ((i * 37 % 101) as f32 / 50.0 - 1.0) * [1.0, 1e-3, 0.3][i % 3];
    let tensor = |dims: [usize; 2]| {
        let values: Vec<f32> = (0..dims[0] * dims[1]).map(number).collect();
        Tensor::<2>::from_data(TensorData::new(values, dims), device)
    };
    [DType::F32, DType::F16].into_iter().all(|dtype| {
        let (x, w) = (tensor([rows, k]), tensor([n, k]).cast(dtype));
        let got = on_cooperative_matrices(lanes, || linear(x.clone(), w.clone(), None));
        let want = linear_reference(x, w, None);
        match (read(got), read(want)) {
            (Ok(got), Ok(want)) => close(&got, &want),
            _ => false,
        }
    })
}

fn close(got: &[f32], want: &[f32]) -> bool {
    got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(a, b)| (a - b).abs() <= TOLERANCE * (1.0 + b.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_adapters_with_one_size_of_subgroup_are_candidates() {
        assert_eq!(candidate(true, Some([32, 32])), Some(32));
        assert_eq!(candidate(false, Some([32, 32])), None);
        assert_eq!(candidate(true, Some([32, 64])), None);
        assert_eq!(candidate(true, Some([4, 4])), None);
        assert_eq!(candidate(true, None), None);
    }

    #[test]
    fn a_difference_or_no_number_fails_the_test() {
        assert!(close(&[1.0, 2.0], &[1.0, 2.0001]));
        assert!(!close(&[1.0, 2.0], &[1.0, 2.02]));
        assert!(!close(&[1.0, f32::NAN], &[1.0, 2.0]));
        assert!(!close(&[1.0], &[1.0, 2.0]));
    }
}
