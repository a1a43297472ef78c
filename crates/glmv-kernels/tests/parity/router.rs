//! MoE router: groups, ties of sizes, order of the chosen experts.

use crate::support::{Path, Source, View, check, finish, read, reject};
use glmv_kernels::{Op, RouterConfig, device, moe_router, moe_router_reference};

const TOLERANCE: f32 = 1e-5;

fn route(
    source: &mut Source,
    path: Path,
    tokens: usize,
    experts: usize,
    config: RouterConfig,
) -> Vec<Vec<f32>> {
    let logits = source.floats([tokens, experts]) * 4.0;
    let bias = source.floats([experts]) * 0.2;
    let (ids, weights) = match path {
        Path::Routed => moe_router(logits, bias, config),
        Path::Twin => moe_router_reference(logits, bias, config),
    };
    let ids = device::read_int(ids).expect("readable ids");
    vec![ids.into_iter().map(|id| id as f32).collect(), read(weights)]
}

pub fn config([top_k, n_group, topk_group]: [usize; 3], normalise: bool) -> RouterConfig {
    RouterConfig {
        top_k,
        n_group,
        topk_group,
        normalise,
        scale: if normalise { 1.0 } else { 2.5 },
        shared: if normalise { top_k % 3 } else { 0 },
    }
}

#[test]
fn moe_router_matches_its_twin() {
    let cases = [
        (1, 4, [1, 1, 1]),
        (7, 4, [4, 1, 1]),
        (13, 8, [2, 4, 2]),
        (5, 6, [3, 3, 2]),
        (3, 5, [2, 5, 3]),
        (33, 128, [8, 1, 1]),
        (9, 128, [8, 8, 3]),
        (4, 160, [32, 1, 1]),
        (2, 1021, [8, 1, 1]),
        (3, 7, [7, 1, 1]),
    ];
    for (tokens, experts, sizes) in cases {
        for normalise in [true, false] {
            for view in View::ALL {
                let name = format!("{tokens}x{experts} {sizes:?}");
                let config = config(sizes, normalise);
                check(Op::MoeRouter, &name, view, TOLERANCE, |s, p| {
                    route(s, p, tokens, experts, config)
                });
            }
        }
    }
    reject(Op::MoeRouter, 0, TOLERANCE, |s, p| {
        route(s, p, 5, 16, config([4, 1, 1], true))
    });
    finish(Op::MoeRouter);
}

#[test]
fn moe_router_beyond_the_kernels_sizes_takes_the_twin() {
    for (experts, top_k) in [(1500, 8), (64, 40), (64, 31)] {
        let config = config([top_k, 1, 1], true);
        check(Op::MoeRouter, "large", View::Rows, TOLERANCE, |s, p| {
            route(s, p, 3, experts, config)
        });
    }
    finish(Op::MoeRouter);
}

#[test]
fn moe_router_folds_long_grids() {
    let config = config([2, 1, 1], true);
    check(Op::MoeRouter, "folded", View::Rows, TOLERANCE, |s, p| {
        route(s, p, 65_541, 4, config)
    });
    finish(Op::MoeRouter);
}

#[test]
fn equal_scores_choose_the_lower_expert() {
    for (label, device) in crate::support::devices() {
        let source = Source::new(&device, View::Rows);
        let logits = burn::tensor::Tensor::<2>::zeros([3, 16], &source.device);
        let bias = burn::tensor::Tensor::<1>::zeros([16], &source.device);
        let (ids, weights) = moe_router(logits, bias, config([4, 1, 1], true));
        assert_eq!(
            device::read_int(ids).expect("ids"),
            [0, 1, 2, 3, 16].repeat(3),
            "{label}"
        );
        let want = [0.25, 0.25, 0.25, 0.25, 1.0].repeat(3);
        let close = |(got, want): (&f32, &f32)| (got - want).abs() < 1e-6;
        assert!(read(weights).iter().zip(&want).all(close), "{label}");
    }
    finish(Op::MoeRouter);
}
