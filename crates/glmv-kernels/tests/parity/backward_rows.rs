//! Hand-written backward of look-ups, the splice and the router against automatic differentiation of
//! the twins.

use crate::backward::gradients;
use crate::router::config;
use crate::support::{Path, Source, View, check, finish, read, reject};
use glmv_kernels::{
    Op, embed, embed_reference, moe_router, moe_router_reference, pos_embed, pos_embed_reference,
    splice, splice_reference,
};

/// A table of two shards; some ids repeat, some rows are never named.
fn embed_grad(
    [n, rows, d]: [usize; 3],
    half: bool,
    source: &mut Source,
    path: Path,
) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let shards = [rows, rows + 3].map(|rows| source.weights([rows, d], half).require_grad());
    let ids = (0..n).map(|i| (i * i % (2 * rows + 3)) as i64).collect();
    let ids = source.ints(ids, [n]);
    let call = match path {
        Path::Routed => embed,
        Path::Twin => embed_reference,
    };
    let [first, second] = &shards;
    let y = call(first.clone(), ids.clone(), 0) + call(second.clone(), ids, rows);
    let grads = gradients(y, source);
    let of = shards.each_ref().map(|t| t.grad(&grads));
    of.map(|t| read(t.expect("reached"))).into()
}

#[test]
fn embed_backward_matches_autodiff() {
    for sizes in [
        [1, 1, 4],
        [9, 5, 13],
        [70, 3, 64],
        [600, 700, 8],
        [300, 40, 20],
    ] {
        for half in [false, true] {
            // A gradient of an f16 table is f16.
            let tolerance = if half { 2e-3 } else { 1e-5 };
            check(
                Op::Embed,
                &format!("backward {sizes:?}, f16 {half}"),
                View::Rows,
                tolerance,
                |s, p| embed_grad(sizes, half, s, p),
            );
        }
    }
    finish(Op::Embed);
}

fn adapt_grad([n, d, rows]: [usize; 3], source: &mut Source, path: Path) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let x = source.floats([n, d]).require_grad();
    let table = source.floats([rows, d]).require_grad();
    let index = (0..n * 16).map(|i| (i * 31 % rows) as i64).collect();
    let (index, weight) = (source.ints(index, [n, 16]), source.floats([n, 16]));
    let call = match path {
        Path::Routed => pos_embed,
        Path::Twin => pos_embed_reference,
    };
    let grads = gradients(call(x.clone(), table.clone(), index, weight), source);
    let of = [x, table].map(|t| t.grad(&grads));
    of.map(|t| read(t.expect("reached"))).into()
}

#[test]
fn pos_embed_backward_matches_autodiff() {
    for sizes in [[1, 4, 7], [16, 64, 576], [37, 13, 49]] {
        for view in View::ALL {
            check(
                Op::PosEmbed,
                &format!("backward {sizes:?}"),
                view,
                1e-5,
                |s, p| adapt_grad(sizes, s, p),
            );
        }
    }
    // The weights of the taps.
    reject(Op::PosEmbed, 2, 1e-5, |s, p| adapt_grad([5, 16, 9], s, p));
    finish(Op::PosEmbed);
}

fn place_grad([tokens, d, n]: [usize; 3], source: &mut Source, path: Path) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let embeds = source.floats([tokens, d]).require_grad();
    let features = source.floats([n, d]).require_grad();
    // Some features twice, some never.
    let from = |i: usize| if i % 3 == 1 { (i * 5 % n) as i64 } else { -1 };
    let from = source.ints((0..tokens).map(from).collect(), [tokens]);
    let call = match path {
        Path::Routed => splice,
        Path::Twin => splice_reference,
    };
    let grads = gradients(call(embeds.clone(), features.clone(), from), source);
    let of = [embeds, features].map(|t| t.grad(&grads));
    of.map(|t| read(t.expect("reached"))).into()
}

#[test]
fn splice_backward_matches_autodiff() {
    for sizes in [[1, 1, 1], [2, 4, 1], [37, 13, 4], [100, 64, 40]] {
        check(
            Op::Splice,
            &format!("backward {sizes:?}"),
            View::Rows,
            1e-6,
            |s, p| place_grad(sizes, s, p),
        );
    }
    finish(Op::Splice);
}

fn router_grad(
    [tokens, experts]: [usize; 2],
    (sizes, normalise): ([usize; 3], bool),
    source: &mut Source,
    path: Path,
) -> Vec<Vec<f32>> {
    source.device = source.device.clone().autodiff();
    let logits = (source.floats([tokens, experts]) * 4.0).require_grad();
    let bias = source.floats([experts]) * 0.2;
    let call = match path {
        Path::Routed => moe_router,
        Path::Twin => moe_router_reference,
    };
    let (_, weights) = call(logits.clone(), bias, config(sizes, normalise));
    let grads = gradients(weights, source);
    vec![read(logits.grad(&grads).expect("reached"))]
}

#[test]
fn router_backward_matches_autodiff() {
    let cases = [
        ([1, 4], [1, 1, 1]),
        ([7, 4], [4, 1, 1]),
        ([13, 8], [2, 4, 2]),
        ([33, 128], [8, 1, 1]),
        ([4, 160], [8, 4, 2]),
    ];
    for (size, groups) in cases {
        for normalise in [true, false] {
            // One chosen expert's normalised weight is always 1: its gradient is rounding.
            let name = format!("backward {size:?} {groups:?}, normalised {normalise}");
            let gradient = |s: &mut Source, p| router_grad(size, (groups, normalise), s, p);
            if normalise && groups[0] == 1 {
                continue;
            }
            check(Op::MoeRouter, &name, View::Rows, 1e-5, gradient);
        }
    }
    reject(Op::MoeRouter, 0, 1e-5, |s, p| {
        router_grad([5, 8], ([2, 1, 1], false), s, p)
    });
    finish(Op::MoeRouter);
}

#[test]
fn the_only_chosen_expert_of_normalised_weights_has_no_slope() {
    for (label, device) in crate::support::devices() {
        let mut source = Source::new(&device, View::Rows);
        let gradient = router_grad([3, 4], ([1, 1, 1], true), &mut source, Path::Routed);
        let worst = gradient[0].iter().fold(0f32, |worst, v| worst.max(v.abs()));
        assert!(worst < 1e-5, "{label}: {worst}");
    }
    finish(Op::MoeRouter);
}
