//! Products per expert, one by one: forward and both gradients against the twin, for floats and codes,
//! tokens and slots as rows, ranks that are no multiple of four, and shards.

use crate::backward::gradients;
use crate::moe::{Case, Choice, SMALL};
use crate::support::{Path, Source, View, check, finish, read, reject};
use burn::tensor::{Int, Tensor};
use glmv_kernels::{Op, Weight, expert_linear, expert_linear_reference};
use glmv_quant::Format;

const TOLERANCE: f32 = 2e-5;

/// `hidden` inputs and `width` outputs; rows of tokens or of slots.
fn rows(case: &Case, source: &mut Source, slots: bool) -> Tensor<2> {
    let spread = if slots { case.top_k } else { 1 };
    source.floats([case.tokens * spread, case.hidden])
}

fn call(
    path: Path,
    x: Tensor<2>,
    ids: Tensor<2, Int>,
    weight: Weight<3>,
    base: usize,
) -> Tensor<2> {
    match path {
        Path::Routed => expert_linear(x, ids, weight, base),
        Path::Twin => expert_linear_reference(x, ids, weight, base),
    }
}

fn forward(
    case: Case,
    slots: bool,
    codes: Option<Format>,
    s: &mut Source,
    p: Path,
) -> Vec<Vec<f32>> {
    let x = rows(&case, s, slots);
    let dims = [case.shard[1], case.width, case.hidden];
    let weight = match codes {
        Some(format) => Weight::from(s.codes(dims, format)),
        None => Weight::from(s.weights(dims, case.half)),
    };
    vec![read(call(p, x, case.ids(s), weight, case.shard[0]))]
}

fn backward(
    case: Case,
    slots: bool,
    codes: Option<Format>,
    s: &mut Source,
    p: Path,
) -> Vec<Vec<f32>> {
    s.device = s.device.clone().autodiff();
    let x = rows(&case, s, slots).require_grad();
    let dims = [case.shard[1], case.width, case.hidden];
    let (weight, learnt) = match codes {
        Some(format) => (Weight::from(s.codes(dims, format)), None),
        None => {
            let w: Tensor<3> = s.weights(dims, case.half).require_grad();
            (Weight::from(w.clone()), Some(w))
        }
    };
    let y = call(p, x.clone(), case.ids(s), weight, case.shard[0]);
    let grads = gradients(y, s);
    let mut out = vec![read(x.grad(&grads).expect("x"))];
    out.extend(learnt.map(|w| read(w.grad(&grads).expect("weight"))));
    out
}

fn cases() -> Vec<Case> {
    let mut cases = vec![SMALL];
    // Outputs as few as a rank, inputs as few as one; idle experts; shards.
    for (tokens, hidden, width, top_k) in [
        (1, 16, 4, 1),
        (3, 13, 3, 2),
        (67, 36, 8, 3),
        (131, 8, 36, 3),
        (40, 2, 12, 2),
    ] {
        cases.push(Case {
            tokens,
            hidden,
            width,
            top_k,
            ..SMALL
        });
    }
    for tokens in [7, 67] {
        for shard in [[3, 3], [7, 1], [0, 3]] {
            cases.push(Case {
                tokens,
                shard,
                top_k: 3,
                ..SMALL
            });
        }
        cases.push(Case {
            tokens,
            top_k: 1,
            choice: Choice::All(3),
            ..SMALL
        });
    }
    cases
}

#[test]
fn forward_matches_the_twin() {
    for case in cases() {
        for slots in [false, true] {
            for half in [false, true] {
                let case = Case { half, ..case };
                let name = format!("linear {case:?} {slots}");
                check(Op::MoeExperts, &name, View::Rows, TOLERANCE, |s, p| {
                    forward(case, slots, None, s, p)
                });
            }
            for format in [Format::Q8, Format::Q4] {
                let name = format!("linear {case:?} {slots} {format:?}");
                check(Op::MoeExperts, &name, View::Rows, TOLERANCE, |s, p| {
                    forward(case, slots, Some(format), s, p)
                });
            }
        }
    }
    for view in View::ALL {
        check(Op::MoeExperts, "linear", view, TOLERANCE, |s, p| {
            forward(SMALL, false, None, s, p)
        });
    }
    for input in 0..2 {
        reject(Op::MoeExperts, input, TOLERANCE, |s, p| {
            forward(SMALL, true, None, s, p)
        });
    }
    finish(Op::MoeExperts);
}

#[test]
fn backward_matches_autodiff() {
    for case in cases() {
        for slots in [false, true] {
            for codes in [None, Some(Format::Q8), Some(Format::Q4)] {
                let name = format!("linear backward {case:?} {slots} {codes:?}");
                check(Op::MoeExperts, &name, View::Rows, 5e-5, |s, p| {
                    backward(case, slots, codes, s, p)
                });
            }
        }
    }
    finish(Op::MoeExperts);
}
