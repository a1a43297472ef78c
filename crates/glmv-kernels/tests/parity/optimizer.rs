//! The optimiser's step: in place and beside shared handles, against its twin.

use crate::support::{Path, Source, View, check, finish, read, reject};
use glmv_kernels::{AdamWStep, Op, adamw, adamw_reference};

const STEP: AdamWStep = AdamWStep {
    clip: 0.75,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    rate: 0.01,
    root: 1.5,
    keep: 0.99,
};

/// Two steps; `shared` keeps a handle of what goes in, which must not change.
fn steps(source: &mut Source, path: Path, n: usize, shared: bool) -> Vec<Vec<f32>> {
    let (mut value, grad) = (source.floats([n]), source.floats([n]));
    let mut means = [source.floats([n]), source.floats([n]).abs() + 0.01];
    let kept = shared.then(|| (value.clone(), means.clone()));
    let before = kept.clone().map(|(v, _)| read(v));
    let call = match path {
        Path::Routed => adamw,
        Path::Twin => adamw_reference,
    };
    for _ in 0..2 {
        (value, means) = call(value, grad.clone(), means, STEP);
    }
    if let (Some((kept, _)), Some(before)) = (kept, before) {
        assert_eq!(read(kept), before, "a shared value was overwritten");
    }
    let [mean, square] = means;
    vec![read(value), read(mean), read(square)]
}

#[test]
fn adamw_equals_its_twin() {
    for n in [1, 5, 64, 513, 40_000] {
        for shared in [false, true] {
            let name = format!("{n} values, shared {shared}");
            check(Op::AdamW, &name, View::Rows, 2e-6, |s, p| {
                steps(s, p, n, shared)
            });
        }
    }
    for input in 0..4 {
        reject(Op::AdamW, input, 2e-6, |s, p| steps(s, p, 513, false));
    }
    finish(Op::AdamW);
}
