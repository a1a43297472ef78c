//! Expert dispatch: few and many slots, idle and crowded experts, shards.

use crate::support::{Path, Source, View, check, finish, read, reject};
use burn::tensor::{Int, Tensor};
use glmv_kernels::{Op, moe_experts, moe_experts_reference};

pub const TOLERANCE: f32 = 2e-5;

/// How tokens choose among all experts of the layer.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// top_k different experts, spread over all.
    Spread,
    /// Everything on one expert (top_k 1).
    All(usize),
    /// Only the experts whose number is a multiple of this.
    Every(usize),
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub tokens: usize,
    pub hidden: usize,
    pub width: usize,
    pub experts: usize,
    pub top_k: usize,
    /// First expert and number of experts of the shard.
    pub shard: [usize; 2],
    pub choice: Choice,
    pub half: bool,
}

impl Case {
    pub fn ids(&self, source: &Source) -> Tensor<2, Int> {
        let pick = |t: usize, j: usize| match self.choice {
            Choice::Spread => (t * 11 + t * t * 3 + j * 5) % self.experts,
            Choice::All(e) => e,
            Choice::Every(step) => (t * 3 + j) * step % (self.experts / step * step),
        };
        let ids = (0..self.tokens).flat_map(|t| (0..self.top_k).map(move |j| pick(t, j) as i64));
        source.ints(ids.collect(), [self.tokens, self.top_k])
    }

    /// x, weights, gate_up and down.
    pub fn inputs(&self, source: &mut Source) -> (Tensor<2>, Tensor<2>, Tensor<3>, Tensor<3>) {
        let [_, shard] = self.shard;
        (
            source.floats([self.tokens, self.hidden]),
            source.floats([self.tokens, self.top_k]),
            source.weights([shard, 2 * self.width, self.hidden], self.half),
            source.weights([shard, self.hidden, self.width], self.half),
        )
    }

    pub fn run(&self, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
        let (x, weights, gate_up, down) = self.inputs(source);
        let (ids, [base, _]) = (self.ids(source), self.shard);
        if path == Path::Routed {
            return vec![read(moe_experts(x, ids, weights, gate_up, down, base))];
        }
        // In parts: on wgpu, Burn's select_assign loses rows beyond 65 535.
        let parts = (0..self.tokens).step_by(32_768).map(|start| {
            let len = 32_768.min(self.tokens - start);
            moe_experts_reference(
                x.clone().narrow(0, start, len),
                ids.clone().narrow(0, start, len),
                weights.clone().narrow(0, start, len),
                gate_up.clone(),
                down.clone(),
                base,
            )
        });
        vec![read(Tensor::cat(parts.collect(), 0))]
    }

    fn check(&self, views: &[View]) {
        for view in views {
            for half in [false, true] {
                let case = Case { half, ..*self };
                check(
                    Op::MoeExperts,
                    &format!("{case:?}"),
                    *view,
                    TOLERANCE,
                    |s, p| case.run(s, p),
                );
            }
        }
    }
}

pub const SMALL: Case = Case {
    tokens: 5,
    hidden: 16,
    width: 12,
    experts: 8,
    top_k: 2,
    shard: [0, 8],
    choice: Choice::Spread,
    half: false,
};

#[test]
fn few_slots() {
    SMALL.check(&View::ALL);
    for (tokens, hidden, width, top_k) in [
        (1, 16, 12, 1),
        (1, 13, 7, 2),
        (3, 132, 67, 3),
        (7, 1, 1, 1),
        (8, 64, 129, 8),
    ] {
        Case {
            tokens,
            hidden,
            width,
            top_k,
            ..SMALL
        }
        .check(&[View::Rows]);
    }
    for input in 0..4 {
        reject(Op::MoeExperts, input, TOLERANCE, |s, p| SMALL.run(s, p));
    }
    finish(Op::MoeExperts);
}

#[test]
fn many_slots() {
    Case {
        tokens: 67,
        ..SMALL
    }
    .check(&View::ALL);
    // 65 slots over 128 experts, a few each, many each: every tile height.
    for (tokens, experts, top_k) in [(65, 128, 1), (37, 32, 2), (131, 8, 3), (257, 2, 1)] {
        for (hidden, width) in [(16, 12), (13, 7), (36, 130)] {
            Case {
                tokens,
                experts,
                top_k,
                hidden,
                width,
                shard: [0, experts],
                ..SMALL
            }
            .check(&[View::Rows]);
        }
    }
    for input in 0..4 {
        let case = Case {
            tokens: 67,
            ..SMALL
        };
        reject(Op::MoeExperts, input, TOLERANCE, |s, p| case.run(s, p));
    }
    finish(Op::MoeExperts);
}

#[test]
fn idle_and_crowded_experts() {
    for tokens in [9, 131] {
        for expert in [0, 3, 7] {
            Case {
                tokens,
                top_k: 1,
                choice: Choice::All(expert),
                ..SMALL
            }
            .check(&[View::Rows]);
        }
        Case {
            tokens,
            choice: Choice::Every(4),
            top_k: 1,
            ..SMALL
        }
        .check(&[View::Rows]);
        Case {
            tokens,
            experts: 1,
            top_k: 1,
            shard: [0, 1],
            ..SMALL
        }
        .check(&[View::Rows]);
    }
    finish(Op::MoeExperts);
}

#[test]
fn shards_hold_part_of_the_experts() {
    for tokens in [3, 67] {
        for shard in [[0, 3], [3, 2], [5, 3], [7, 1]] {
            Case {
                tokens,
                top_k: 3,
                shard,
                ..SMALL
            }
            .check(&[View::Rows]);
        }
    }
    finish(Op::MoeExperts);
}

#[test]
fn a_shard_nobody_chose_gives_zeros() {
    for (label, device) in crate::support::devices() {
        for tokens in [9, 131] {
            let case = Case {
                tokens,
                top_k: 1,
                choice: Choice::All(0),
                shard: [4, 4],
                ..SMALL
            };
            let run = || {
                case.run(&mut Source::new(&device, View::Rows), Path::Routed)
                    .concat()
            };
            assert!(run().iter().all(|v| *v == 0.0), "{label}");
            assert!(
                glmv_kernels::on_gpu_tiling(run).iter().all(|v| *v == 0.0),
                "{label}"
            );
        }
    }
    finish(Op::MoeExperts);
}

#[test]
fn the_models_128_experts_top_8() {
    for tokens in [1, 8, 9, 40, 150] {
        let case = Case {
            tokens,
            hidden: 64,
            width: 32,
            experts: 128,
            top_k: 8,
            shard: [0, 128],
            ..SMALL
        };
        case.check(&[View::Rows]);
    }
    finish(Op::MoeExperts);
}

#[test]
fn more_experts_than_the_kernel_takes() {
    let case = Case {
        experts: 1100,
        shard: [0, 1100],
        hidden: 4,
        width: 4,
        ..SMALL
    };
    check(Op::MoeExperts, "1100", View::Rows, TOLERANCE, |s, p| {
        case.run(s, p)
    });
    finish(Op::MoeExperts);
}

#[test]
fn long_grids_are_folded() {
    // Tiles, then rows of the sum, beyond 65 535 workgroups.
    for (tokens, hidden, width) in [(8 * 65_536 + 9, 4, 4), (281_000, 60, 4)] {
        let case = Case {
            tokens,
            hidden,
            width,
            experts: 2,
            top_k: 1,
            shard: [0, 2],
            ..SMALL
        };
        check(Op::MoeExperts, "folded", View::Rows, TOLERANCE, |s, p| {
            case.run(s, p)
        });
    }
    finish(Op::MoeExperts);
}
