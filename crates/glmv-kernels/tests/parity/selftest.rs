//! The self-test behind `glmv doctor` passes on every device here.

use crate::support::{devices, finish};
use glmv_kernels::{Op, Route, on_gpu_tiling, selftest};

#[test]
fn every_op_passes_on_every_device() {
    for (label, device) in devices() {
        for checks in [
            selftest::run(&device),
            on_gpu_tiling(|| selftest::run(&device)),
        ] {
            assert_eq!(checks.len(), Op::ALL.len());
            for check in checks {
                println!("{label} {check:?}");
                assert!(check.passed && check.error.is_none(), "{label}: {check:?}");
                assert_ne!(check.route, Route::Twin);
            }
        }
    }
    finish(Op::Linear);
}

#[test]
fn an_autodiff_device_reports_twins() {
    let checks = selftest::run(&burn::tensor::Device::flex().autodiff());
    for check in checks {
        assert!(check.passed, "{check:?}");
        assert_eq!(check.route == Route::Twin, !check.op.has_backward());
    }
    finish(Op::Linear);
}
