//! Gradients through weights of codes, and gradients that nobody wants.

use crate::backward::gradients;
use crate::moe::{Case as Experts, SMALL};
use crate::support::{Path, Source, View, check, finish, read};
use burn::tensor::Tensor;
use glmv_kernels::{Op, Weight, linear, linear_reference, moe_experts, moe_experts_reference};
use glmv_quant::Format;

const FORMATS: [Format; 2] = [Format::Q8, Format::Q4];

fn linear_grad(
    [m, n, k]: [usize; 3],
    format: Format,
    source: &mut Source,
    path: Path,
) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let x = source.floats([2, m, k]).require_grad();
    let w = source.codes([n, k], format);
    let b = source.floats([n]).require_grad();
    let call = match path {
        Path::Routed => linear,
        Path::Twin => linear_reference,
    };
    let y = call(x.clone(), w.clone(), Some(b.clone())) + call(x.clone(), w, None) * 0.5;
    let grads = gradients(y, source);
    vec![
        read(x.grad(&grads).expect("x")),
        read(b.grad(&grads).expect("b")),
    ]
}

#[test]
fn linear_backward_passes_through_codes() {
    for size in [
        [1, 4, 4],
        [3, 7, 5],
        [4, 68, 36],
        [40, 100, 72],
        [70, 65, 132],
    ] {
        for format in FORMATS {
            for view in [View::Rows, View::Window] {
                check(
                    Op::Linear,
                    &format!("backward {size:?} {format:?}"),
                    view,
                    2e-5,
                    |s, p| linear_grad(size, format, s, p),
                );
            }
        }
    }
    finish(Op::Linear);
}

fn experts_grad(
    case: Experts,
    formats: [Format; 2],
    source: &mut Source,
    path: Path,
) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let [base, shard] = case.shard;
    let x = source.floats([case.tokens, case.hidden]).require_grad();
    let weights = source.floats([case.tokens, case.top_k]).require_grad();
    let gate_up = source.codes([shard, 2 * case.width, case.hidden], formats[0]);
    let down = source.codes([shard, case.hidden, case.width], formats[1]);
    let (ids, gate_up, down) = (case.ids(source), Weight::from(gate_up), Weight::from(down));
    let call = match path {
        Path::Routed => moe_experts,
        Path::Twin => moe_experts_reference,
    };
    let y = call(x.clone(), ids, weights.clone(), gate_up, down, base);
    let grads = gradients(y, source);
    vec![
        read(x.grad(&grads).expect("x")),
        read(weights.grad(&grads).expect("weights")),
    ]
}

#[test]
fn experts_backward_passes_through_codes() {
    let crowded = Experts {
        tokens: 67,
        top_k: 3,
        hidden: 36,
        width: 20,
        ..SMALL
    };
    let shard = Experts {
        tokens: 21,
        shard: [3, 3],
        ..SMALL
    };
    // The last is of odd widths, whose codes the twin widens on wgpu.
    let odd = Experts {
        hidden: 13,
        width: 7,
        ..SMALL
    };
    for case in [SMALL, crowded, shard, odd] {
        for formats in [FORMATS, [Format::Q4, Format::Q8]] {
            check(
                Op::MoeExperts,
                &format!("backward {case:?} {formats:?}"),
                View::Rows,
                5e-5,
                |s, p| experts_grad(case, formats, s, p),
            );
        }
    }
    finish(Op::MoeExperts);
}

/// Gradients of x, weights, gate_up and down where `wants` says so.
fn partial(wants: [bool; 4], source: &mut Source) -> [Option<Vec<f32>>; 4] {
    source.device = source.device.clone().autodiff();
    let (x, weights, gate_up, down) = SMALL.inputs(source);
    let flat = [wants[0], wants[1]];
    let [x, weights] = [(x, flat[0]), (weights, flat[1])].map(|(t, wanted)| match wanted {
        true => t.require_grad(),
        false => t,
    });
    let stacks = [(gate_up, wants[2]), (down, wants[3])];
    let [gate_up, down] = stacks.map(|(t, wanted)| match wanted {
        true => t.require_grad(),
        false => t,
    });
    let ids = SMALL.ids(source);
    let y = moe_experts(
        x.clone(),
        ids,
        weights.clone(),
        gate_up.clone(),
        down.clone(),
        0,
    );
    let grads = gradients(y, source);
    [
        x.grad(&grads).map(read),
        weights.grad(&grads).map(read),
        gate_up.grad(&grads).map(read),
        down.grad(&grads).map(read),
    ]
}

#[test]
fn frozen_parts_of_experts_have_no_gradient_and_change_none() {
    for (label, device) in crate::support::devices() {
        let all = partial([true; 4], &mut Source::new(&device, View::Rows));
        assert!(all.iter().all(Option::is_some), "{label}");
        for set in 1..15 {
            let wants = [0, 1, 2, 3].map(|bit| set >> bit & 1 == 1);
            let some = partial(wants, &mut Source::new(&device, View::Rows));
            for ((some, all), wanted) in some.iter().zip(&all).zip(wants) {
                assert_eq!(
                    some.as_ref(),
                    all.as_ref().filter(|_| wanted),
                    "{label} {wants:?}"
                );
            }
        }
    }
    finish(Op::MoeExperts);
}

#[test]
fn frozen_parts_of_linear_layers_have_no_gradient_and_change_none() {
    for (label, device) in crate::support::devices() {
        let run = |wants: [bool; 2]| {
            let mut source = Source::new(&device.clone().autodiff(), View::Rows);
            let tensors = [source.floats([5, 8]), source.floats([7, 8])];
            let mut wants = wants.into_iter();
            let [x, w] = tensors.map(|t: Tensor<2>| match wants.next() {
                Some(true) => t.require_grad(),
                _ => t,
            });
            let grads = gradients(linear(x.clone(), w.clone(), None), &mut source);
            [x.grad(&grads).map(read), w.grad(&grads).map(read)]
        };
        let [dx, dw] = run([true, true]);
        assert!(dx.is_some() && dw.is_some(), "{label}");
        assert_eq!(run([true, false]), [dx, None], "{label}");
        assert_eq!(run([false, true]), [None, dw], "{label}");
    }
    finish(Op::Linear);
}
