//! Attention over key ranges: segments, causal prefill with left padding, decode, empty ranges.

use crate::support::{Path, Source, View, check, finish, read, reject};
use glmv_kernels::{Op, attention, attention_reference};

pub const TOLERANCE: f32 = 1e-5;

/// Sizes and the range of keys of query (batch, i).
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub batch: usize,
    pub queries: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub keys: usize,
    pub range: fn(usize, usize) -> [i64; 2],
    pub half: bool,
}

pub const PLAIN: Case = Case {
    batch: 1,
    queries: 5,
    heads: 3,
    kv_heads: 3,
    head_dim: 16,
    keys: 11,
    range: |_, _| [0, 11],
    half: false,
};

impl Case {
    pub fn run(&self, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
        let c = self;
        // Scores of some spread, so that the softmax is neither flat nor one key.
        let q = source.floats([c.batch, c.queries, c.heads, c.head_dim]) * 3.0;
        let shape = [c.batch, c.keys, c.kv_heads, c.head_dim];
        let (k, v) = (source.weights(shape, c.half), source.weights(shape, c.half));
        let rows = (0..c.batch).flat_map(|b| (0..c.queries).map(move |i| (b, i)));
        let range = rows.flat_map(|(b, i)| (c.range)(b, i)).collect();
        let range = source.ints(range, [c.batch * c.queries, 2]);
        let scale = 1.0 / (c.head_dim as f32).sqrt();
        vec![read(match path {
            Path::Routed => attention(q, k, v, range, scale),
            Path::Twin => attention_reference(q, k, v, range, scale),
        })]
    }

    fn check(&self, views: &[View]) {
        for view in views {
            for half in [false, true] {
                let case = Case { half, ..*self };
                check(
                    Op::Attention,
                    &format!("{case:?}"),
                    *view,
                    TOLERANCE,
                    |s, p| case.run(s, p),
                );
            }
        }
    }
}

#[test]
fn attention_of_every_head_width() {
    for head_dim in [1, 7, 12, 16, 64, 80, 128, 256] {
        Case { head_dim, ..PLAIN }.check(&[View::Rows]);
    }
    for input in [0, 1, 2] {
        let factor_matters = Case {
            queries: 7,
            ..PLAIN
        };
        reject(Op::Attention, input, TOLERANCE, |s, p| {
            factor_matters.run(s, p)
        });
    }
    finish(Op::Attention);
}

#[test]
fn attention_wider_than_the_kernel_takes_the_twin() {
    for head_dim in [257, 512] {
        Case { head_dim, ..PLAIN }.check(&[View::Rows]);
    }
    finish(Op::Attention);
}

#[test]
fn attention_reads_views() {
    Case {
        batch: 2,
        queries: 9,
        ..PLAIN
    }
    .check(&View::ALL);
    Case {
        head_dim: 13,
        ..PLAIN
    }
    .check(&View::ALL);
    finish(Op::Attention);
}

#[test]
fn grouped_heads_with_causal_left_padding() {
    // Batch b starts with 3 b padding tokens, whose own range is empty.
    let range = |b: usize, i: usize| {
        if i < 3 * b {
            [0, 0]
        } else {
            [3 * b as i64, i as i64 + 1]
        }
    };
    for (heads, kv_heads) in [(3, 3), (6, 2), (16, 1), (96, 6)] {
        let base = Case {
            batch: 3,
            queries: 19,
            heads,
            kv_heads,
            keys: 19,
            range,
            ..PLAIN
        };
        base.check(&[View::Rows]);
    }
    Case {
        batch: 2,
        queries: 131,
        heads: 6,
        kv_heads: 2,
        head_dim: 64,
        keys: 131,
        range,
        ..PLAIN
    }
    .check(&[View::Rows]);
    finish(Op::Attention);
}

#[test]
fn decode_against_a_cache_with_spare_capacity() {
    for (heads, kv_heads, keys) in [(4, 4, 64), (32, 2, 300), (12, 1, 1100)] {
        let range = |b: usize, _: usize| [b as i64, 37 + 5 * b as i64];
        Case {
            batch: 2,
            queries: 1,
            heads,
            kv_heads,
            head_dim: 128,
            keys,
            range,
            ..PLAIN
        }
        .check(&[View::Rows]);
    }
    // Long ranges: a GPU splits their keys over workgroups and merges.
    let range = |b: usize, _: usize| if b == 2 { [5, 5] } else { [b as i64, 1090] };
    for head_dim in [64, 7] {
        Case {
            batch: 3,
            queries: 1,
            heads: 8,
            kv_heads: 2,
            head_dim,
            keys: 1100,
            range,
            ..PLAIN
        }
        .check(&[View::Rows]);
    }
    finish(Op::Attention);
}

#[test]
fn vision_segments_and_empty_ranges() {
    // Segments of 13 patches, every 17th query without keys.
    let range = |_: usize, i: usize| {
        let start = (i / 13 * 13) as i64;
        if i % 17 == 16 {
            [start, start]
        } else {
            [start, (start + 13).min(150)]
        }
    };
    Case {
        queries: 150,
        heads: 2,
        kv_heads: 2,
        head_dim: 12,
        keys: 150,
        range,
        ..PLAIN
    }
    .check(&[View::Rows]);
    // Nothing to attend to at all; a range written backwards is empty.
    Case {
        range: |_, i| [i as i64 + 1, i as i64],
        ..PLAIN
    }
    .check_zero();
    Case {
        range: |_, _| [0, 0],
        batch: 2,
        ..PLAIN
    }
    .check_zero();
    finish(Op::Attention);
}

impl Case {
    /// Every output is exactly zero, in every way to compute it.
    fn check_zero(&self) {
        for (label, device) in crate::support::devices() {
            for path in [Path::Routed, Path::Twin] {
                let zero = |values: Vec<Vec<f32>>| values.concat().iter().all(|v| *v == 0.0);
                let run = || self.run(&mut Source::new(&device, View::Rows), path);
                assert!(zero(run()), "{label} {path:?}");
                assert!(
                    zero(glmv_kernels::on_gpu_tiling(run)),
                    "{label} {path:?}, GPU tiles"
                );
            }
        }
    }
}

#[test]
fn attention_folds_long_grids() {
    let case = Case {
        batch: 65_600,
        queries: 1,
        heads: 1,
        kv_heads: 1,
        head_dim: 4,
        keys: 2,
        range: |b, _| [0, 1 + (b % 2) as i64],
        half: false,
    };
    check(Op::Attention, "folded", View::Rows, TOLERANCE, |s, p| {
        case.run(s, p)
    });
    finish(Op::Attention);
}

#[test]
fn large_scores_stay_finite() {
    check(
        Op::Attention,
        "scores of 3e4",
        View::Rows,
        TOLERANCE,
        |source, path| {
            let q = source.floats([1, 4, 2, 16]) * 1.0e4;
            let (k, v) = (
                source.floats([1, 9, 2, 16]) * 4.0,
                source.floats([1, 9, 2, 16]),
            );
            let range = source.ints([0i64, 9].repeat(4), [4, 2]);
            vec![read(match path {
                Path::Routed => attention(q, k, v, range, 0.25),
                Path::Twin => attention_reference(q, k, v, range, 0.25),
            })]
        },
    );
    finish(Op::Attention);
}

/// Some of a sequence's queries give the bits that all of them give: on adapters with subgroups of
/// eight in every height of a tile.
#[test]
fn a_query_does_not_depend_on_the_others() {
    for (label, device) in crate::support::devices() {
        if label != "wgpu" {
            continue;
        }
        let mut source = Source::new(&device, View::Rows);
        let (queries, heads, kv_heads, head_dim) = (70, 4, 2, 36);
        let q = source.floats([1, queries, heads, head_dim]) * 3.0;
        let k = source.floats([1, queries, kv_heads, head_dim]);
        let v = source.floats([1, queries, kv_heads, head_dim]);
        let run = |from: usize| {
            let bounds = (from..queries).flat_map(|i| [2, (i as i64 + 1).max(2)]);
            let range = source.ints(bounds.collect(), [queries - from, 2]);
            let q = q.clone().narrow(1, from, queries - from);
            read(attention(q, k.clone(), v.clone(), range, 0.2))
        };
        let all = run(0);
        for rows in [1, 2, 3, 5, 8, 20, 33] {
            let from = queries - rows;
            assert_eq!(run(from), all[from * heads * head_dim..], "{rows} rows");
        }
    }
}
