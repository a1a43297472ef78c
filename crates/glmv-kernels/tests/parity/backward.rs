//! Hand-written backward passes against automatic differentiation of the twins.

use crate::moe::{Case as Experts, Choice, SMALL};
use crate::rope::{Case as Rope, cases};
use crate::support::{Path, Source, View, check, finish, read};
use burn::tensor::Tensor;
use glmv_kernels::{
    Op, linear, linear_reference, moe_experts, moe_experts_reference, rope, rope_reference,
};

/// Gradients of a sum weighted by numbers, so that every output counts differently.
pub fn gradients<const D: usize>(y: Tensor<D>, source: &mut Source) -> burn::tensor::Gradients {
    let factors = source.floats(y.dims());
    (y * factors).sum().backward()
}

fn rope_grad(case: Rope, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let (table, pos) = case.table(source);
    let x = source
        .floats([case.tokens, case.heads, case.head_dim])
        .require_grad();
    let y = match path {
        Path::Routed => rope(x.clone(), &table, pos, case.pairing),
        Path::Twin => rope_reference(x.clone(), &table, pos, case.pairing),
    };
    let grads = gradients(y, source);
    vec![read(x.grad(&grads).expect("x has a gradient"))]
}

#[test]
fn rope_backward_matches_autodiff() {
    for case in cases(&[
        [1, 1, 2, 1, 1],
        [7, 3, 16, 4, 3],
        [5, 2, 12, 6, 2],
        [9, 5, 64, 32, 3],
    ]) {
        check(
            Op::Rope,
            &format!("backward {case:?}"),
            View::Rows,
            2e-6,
            |s, p| rope_grad(case, s, p),
        );
    }
    finish(Op::Rope);
}

fn linear_grad(
    [m, n, k]: [usize; 3],
    half: bool,
    source: &mut Source,
    path: Path,
) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let x = source.floats([2, m, k]).require_grad();
    let w = source.weights([n, k], half).require_grad();
    let b = source.floats([n]).require_grad();
    let call = match path {
        Path::Routed => linear,
        Path::Twin => linear_reference,
    };
    // With and without bias; the sum of both reaches x and w twice.
    let y = call(x.clone(), w.clone(), Some(b.clone())) + call(x.clone(), w.clone(), None) * 0.5;
    let grads = gradients(y, source);
    vec![
        read(x.grad(&grads).expect("x")),
        read(w.grad(&grads).expect("w")),
        read(b.grad(&grads).expect("b")),
    ]
}

#[test]
fn linear_backward_matches_autodiff() {
    for size in [
        [1, 4, 4],
        [3, 7, 5],
        [4, 68, 36],
        [5, 132, 20],
        [9, 33, 64],
        [40, 100, 72],
    ] {
        for half in [false, true] {
            // A gradient of f16 weights is f16.
            let tolerance = if half { 2e-3 } else { 2e-5 };
            check(
                Op::Linear,
                &format!("backward {size:?}, f16 {half}"),
                View::Rows,
                tolerance,
                |s, p| linear_grad(size, half, s, p),
            );
        }
    }
    finish(Op::Linear);
}

fn experts_grad(case: Experts, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let (x, weights, gate_up, down) = case.inputs(source);
    let (x, weights) = (x.require_grad(), weights.require_grad());
    let (gate_up, down) = (gate_up.require_grad(), down.require_grad());
    let (ids, base) = (case.ids(source), case.shard[0]);
    let call = match path {
        Path::Routed => moe_experts,
        Path::Twin => moe_experts_reference,
    };
    let y = call(
        x.clone(),
        ids,
        weights.clone(),
        gate_up.clone(),
        down.clone(),
        base,
    );
    let grads = gradients(y, source);
    vec![
        read(x.grad(&grads).expect("x")),
        read(weights.grad(&grads).expect("weights")),
        read(gate_up.grad(&grads).expect("gate_up")),
        read(down.grad(&grads).expect("down")),
    ]
}

const EXPERTS: [Experts; 10] = [
    SMALL,
    Experts {
        tokens: 1,
        top_k: 1,
        ..SMALL
    },
    Experts {
        hidden: 13,
        width: 7,
        ..SMALL
    },
    Experts {
        hidden: 16,
        width: 7,
        ..SMALL
    },
    Experts {
        hidden: 13,
        width: 8,
        ..SMALL
    },
    Experts {
        tokens: 67,
        top_k: 3,
        hidden: 36,
        width: 20,
        ..SMALL
    },
    Experts {
        tokens: 131,
        top_k: 1,
        choice: Choice::All(3),
        ..SMALL
    },
    Experts {
        tokens: 33,
        choice: Choice::Every(4),
        top_k: 1,
        ..SMALL
    },
    Experts {
        tokens: 21,
        top_k: 3,
        shard: [3, 3],
        ..SMALL
    },
    Experts {
        tokens: 40,
        top_k: 8,
        experts: 128,
        shard: [0, 128],
        ..SMALL
    },
];

#[test]
fn experts_backward_matches_autodiff() {
    for case in EXPERTS {
        check(
            Op::MoeExperts,
            &format!("backward {case:?}"),
            View::Rows,
            5e-5,
            |s, p| experts_grad(case, s, p),
        );
    }
    finish(Op::MoeExperts);
}

#[test]
fn gradients_of_f16_experts_are_f16() {
    for (tokens, hidden) in [(5, 16), (67, 13)] {
        let case = Experts {
            tokens,
            hidden,
            half: true,
            ..SMALL
        };
        // The rounding of the result to f16.
        check(Op::MoeExperts, "backward f16", View::Rows, 1e-3, |s, p| {
            experts_grad(case, s, p)
        });
    }
    for (label, device) in crate::support::devices() {
        let mut source = Source::new(&device.autodiff(), View::Rows);
        let (x, weights, gate_up, down) = Experts {
            half: true,
            ..SMALL
        }
        .inputs(&mut source);
        let down = down.require_grad();
        let y = moe_experts(x, SMALL.ids(&source), weights, gate_up, down.clone(), 0);
        let grads = gradients(y, &mut source);
        let dtype = down.grad(&grads).map(|g| g.dtype());
        assert_eq!(dtype, Some(burn::tensor::DType::F16), "{label}");
    }
    finish(Op::MoeExperts);
}

#[test]
fn a_gradient_flows_where_it_is_wanted_only() {
    for (label, device) in crate::support::devices() {
        let mut source = Source::new(&device.autodiff(), View::Rows);
        let (x, weights, gate_up, down) = SMALL.inputs(&mut source);
        let x = x.require_grad();
        let ids = SMALL.ids(&source);
        let y = moe_experts(x.clone(), ids, weights.clone(), gate_up, down, 0);
        let grads = gradients(y, &mut source);
        assert!(x.grad(&grads).is_some(), "{label}");
        assert!(weights.grad(&grads).is_none(), "{label}");
    }
    finish(Op::MoeExperts);
}
