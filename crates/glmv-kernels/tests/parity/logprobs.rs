//! Log-probabilities and entropies without logits, forward and backward.

use crate::backward::gradients;
use crate::slopes::slopes;
use crate::support::{Path, Source, View, check, finish, read, reject};
use burn::tensor::{Int, Tensor};
use glmv_kernels::{Op, Weight, token_logprobs, token_logprobs_reference};
use glmv_quant::Format;

#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    width: usize,
    /// Rows of each shard.
    shards: [usize; 2],
    temperature: f32,
    forbid: bool,
    store: Store,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Store {
    F32,
    F16,
    Codes(Format),
}

const SMALL: Case = Case {
    rows: 5,
    width: 16,
    shards: [9, 12],
    temperature: 1.0,
    forbid: false,
    store: Store::F32,
};

impl Case {
    fn targets(&self, source: &Source) -> Tensor<1, Int> {
        let vocabulary: usize = self.shards.iter().sum();
        // Every seventh is ignored; none is forbidden.
        let pick = |i: usize| match i % 7 {
            6 => -1,
            _ => (i * 37 % vocabulary / 3 * 3) as i64,
        };
        source.ints((0..self.rows).map(pick).collect(), [self.rows])
    }

    /// Ids that are no multiple of three.
    fn forbidden(&self, source: &Source) -> Option<Tensor<1>> {
        let vocabulary: usize = self.shards.iter().sum();
        let mask: Vec<f32> = (0..vocabulary).map(|i| (i % 3) as f32).collect();
        self.forbid
            .then(|| Tensor::<1>::from_data(&mask[..], &source.device))
    }

    /// Hidden states and shards, tracked where they are floats on an autodiff device.
    fn inputs(&self, source: &mut Source) -> (Tensor<2>, Vec<Weight<2>>) {
        let hidden = source.floats([self.rows, self.width]) * 2.0;
        let used = self.shards.iter().filter(|rows| **rows > 0);
        let shards = used.map(|rows| match self.store {
            Store::Codes(format) => source.codes([*rows, self.width], format).into(),
            store => source
                .weights([*rows, self.width], store == Store::F16)
                .into(),
        });
        let shards = shards.collect();
        (hidden, shards)
    }

    fn run(&self, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
        let (hidden, head) = self.inputs(source);
        let (targets, forbidden) = (self.targets(source), self.forbidden(source));
        let call = match path {
            Path::Routed => token_logprobs,
            Path::Twin => token_logprobs_reference,
        };
        let (chosen, entropy) = call(hidden, head, targets, self.temperature, forbidden);
        vec![read(chosen), read(entropy)]
    }

    fn grad(&self, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
        source.device = source.device.clone().autodiff();
        let (hidden, head) = self.inputs(source);
        let hidden = hidden.require_grad();
        let head = head.into_iter().map(|w| match w {
            Weight::Float(t) => Weight::Float(t.require_grad()),
            codes => codes,
        });
        let head: Vec<Weight<2>> = head.collect();
        let (targets, forbidden) = (self.targets(source), self.forbidden(source));
        let call = match path {
            Path::Routed => token_logprobs,
            Path::Twin => token_logprobs_reference,
        };
        let (h, w) = (hidden.clone(), head.clone());
        let (chosen, entropy) = call(h, w, targets, self.temperature, forbidden);
        let grads = gradients(Tensor::cat(vec![chosen, entropy], 0), source);
        let mut results = vec![read(hidden.grad(&grads).expect("hidden"))];
        for shard in head {
            if let Weight::Float(t) = shard {
                results.push(read(t.grad(&grads).expect("head")));
            }
        }
        results
    }
}

fn cases() -> Vec<Case> {
    let many = Case {
        rows: 70,
        width: 36,
        shards: [130, 77],
        forbid: true,
        temperature: 0.6,
        ..SMALL
    };
    vec![
        SMALL,
        Case {
            rows: 1,
            shards: [1, 0],
            ..SMALL
        },
        Case {
            width: 13,
            shards: [65, 0],
            temperature: 1.7,
            ..SMALL
        },
        many,
        // The first shard is forbidden but for its first id.
        Case {
            shards: [2, 40],
            forbid: true,
            ..SMALL
        },
        // More rows and more columns than one piece has.
        Case {
            rows: 515,
            width: 4,
            shards: [4100, 0],
            ..SMALL
        },
        Case {
            rows: 2,
            width: 8,
            shards: [8200, 100],
            forbid: true,
            ..SMALL
        },
    ]
}

const STORES: [Store; 4] = [
    Store::F32,
    Store::F16,
    Store::Codes(Format::Q8),
    Store::Codes(Format::Q4),
];

#[test]
fn logprobs_match_their_twin() {
    for case in cases() {
        for store in STORES {
            let case = Case { store, ..case };
            check(
                Op::TokenLogprobs,
                &format!("{case:?}"),
                View::Rows,
                2e-5,
                |s, p| case.run(s, p),
            );
        }
    }
    for view in View::ALL {
        check(Op::TokenLogprobs, "views", view, 2e-5, |s, p| {
            SMALL.run(s, p)
        });
    }
    for input in 0..3 {
        reject(Op::TokenLogprobs, input, 2e-5, |s, p| SMALL.run(s, p));
    }
    finish(Op::TokenLogprobs);
}

#[test]
fn logprobs_backward_matches_autodiff() {
    // Where there is but one id, all gradients are rounding.
    for case in cases().into_iter().filter(|case| case.shards != [1, 0]) {
        for store in STORES {
            let case = Case { store, ..case };
            // A gradient of an f16 head is f16.
            let tolerance = if store == Store::F16 { 2e-3 } else { 5e-5 };
            check(
                Op::TokenLogprobs,
                &format!("backward {case:?}"),
                View::Rows,
                tolerance,
                |s, p| case.grad(s, p),
            );
        }
    }
    for input in 0..3 {
        reject(Op::TokenLogprobs, input, 5e-5, |s, p| SMALL.grad(s, p));
    }
    slopes([12, 16, 8], |[hidden, first, second]| {
        let ids = Tensor::<1, Int>::from_data([1i64, 5, -1], &hidden.device());
        let head = vec![
            Weight::Float(first.reshape([4, 4])),
            Weight::Float(second.reshape([2, 4])),
        ];
        let (chosen, entropy) = token_logprobs(hidden.reshape([3, 4]), head, ids, 0.8, None);
        Tensor::cat(vec![chosen, entropy], 0)
    });
    finish(Op::TokenLogprobs);
}

#[test]
fn a_frozen_head_has_no_gradient_and_forbidden_targets_are_impossible() {
    for (label, device) in crate::support::devices() {
        let mut source = Source::new(&device.autodiff(), View::Rows);
        let (hidden, head) = SMALL.inputs(&mut source);
        let hidden = hidden.require_grad();
        let forbidden = Tensor::<1>::ones([21], &source.device).slice_fill(0..1, 0.0);
        let targets = source.ints(vec![0, 1, 2, -1, 20], [5]);
        let (h, f) = (hidden.clone(), Some(forbidden));
        let (chosen, entropy) = token_logprobs(h, head.clone(), targets, 1.0, f);
        let values = read(chosen.clone());
        assert!(
            values[0].abs() < 1e-6 && values[3] == 0.0,
            "{label}: {values:?}"
        );
        assert!(
            values[1] < -1e38 && values[4] < -1e38,
            "{label}: {values:?}"
        );
        // One possible id: no surprise.
        assert!(read(entropy).iter().all(|e| e.abs() < 1e-5), "{label}");
        let grads = chosen.slice(0..1).sum().backward();
        assert!(hidden.grad(&grads).is_some(), "{label}");
        for shard in head {
            let Weight::Float(t) = shard else {
                panic!("floats")
            };
            assert!(t.grad(&grads).is_none(), "{label}");
        }
    }
    finish(Op::TokenLogprobs);
}
