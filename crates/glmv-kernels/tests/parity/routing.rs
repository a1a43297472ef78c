//! `route` decides, and `GLMV_KERNELS` overrides it: the binary starts itself with the variable set.

use crate::support::{Source, View, devices, finish, read};
use glmv_kernels::{Op, Route, launches, rms_norm, route};
use std::process::Command;

#[test]
fn every_op_is_routed_to_its_kernel() {
    for (label, device) in devices() {
        let expected = if label == "flex" {
            Route::Native
        } else {
            Route::Wgsl
        };
        for op in Op::ALL {
            assert_eq!(
                route(op, &device),
                if forced(op) { Route::Twin } else { expected }
            );
            let tracked = route(op, &device.clone().autodiff());
            let kernel = op.has_backward() && !forced(op);
            assert_eq!(tracked, if kernel { expected } else { Route::Twin });
        }
    }
    finish(Op::RmsNorm);
}

/// What this process' `GLMV_KERNELS` says: nothing in a normal run.
fn forced(op: Op) -> bool {
    match std::env::var("GLMV_KERNELS").as_deref() {
        Ok("twin") => true,
        Ok("twin:rope,moe_experts") => matches!(op, Op::Rope | Op::MoeExperts),
        _ => false,
    }
}

#[test]
fn the_variable_sends_ops_to_their_twins() {
    let Ok(program) = std::env::current_exe() else {
        panic!("the test binary has a path");
    };
    for value in ["twin", "twin:rope,moe_experts", "wgsl"] {
        let mut child = Command::new(&program);
        child.args(["--exact", "routing::every_op_is_routed_to_its_kernel"]);
        let output = child.env("GLMV_KERNELS", value).output().expect("runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{value}: {text}"
        );
    }
}

#[test]
fn the_kernel_is_launched_on_wgpu() {
    for (label, device) in devices() {
        let before = launches();
        let mut source = Source::new(&device, View::Rows);
        let (x, w) = (source.floats([3, 8]), source.floats([8]));
        read(rms_norm(x, w, 1e-5));
        assert!(label == "flex" || launches() > before, "{label}");
    }
    finish(Op::RmsNorm);
}
