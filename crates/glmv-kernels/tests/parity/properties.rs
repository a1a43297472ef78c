//! Shapes nobody thought of.

use crate::support::{Path, Source, View, check, finish};
use crate::{attention, linear, moe};
use glmv_kernels::Op;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn linear_of_any_shape(m in 1usize..80, n in 1usize..150, k in 1usize..90, half: bool) {
        let run = |s: &mut Source, p: Path| linear::product(s, p, [m, n, k], half);
        check(Op::Linear, &format!("{m} {n} {k} {half}"), View::Rows, 3e-5, run);
        finish(Op::Linear);
    }

    #[test]
    fn attention_of_any_shape(
        batch in 1usize..4, queries in 1usize..40, kv_heads in 1usize..4, group in 1usize..5,
        head_dim in prop::sample::select(vec![3usize, 8, 20, 64]), keys in 1usize..90, half: bool,
    ) {
        let range = |b: usize, i: usize| {
            let low = (i * 3 % 7 + b) as i64;
            [low, low + (i * 13 % 60) as i64]
        };
        let heads = kv_heads * group;
        let case = attention::Case { batch, queries, heads, kv_heads, head_dim, keys, range, half };
        check(Op::Attention, &format!("{case:?}"), View::Rows, attention::TOLERANCE, |s, p| case.run(s, p));
        finish(Op::Attention);
    }

    #[test]
    fn experts_of_any_shape(
        tokens in 1usize..90, hidden in 1usize..40, width in 1usize..40, experts in 1usize..20,
        first in 0usize..20, half: bool,
    ) {
        let first = first % experts;
        let shard = [first, experts - first];
        let case = moe::Case { tokens, hidden, width, experts, top_k: 1, shard, half, ..moe::SMALL };
        check(Op::MoeExperts, &format!("{case:?}"), View::Rows, 3e-5, |s, p| case.run(s, p));
        finish(Op::MoeExperts);
    }
}
