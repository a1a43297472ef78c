//! Attention whose keys and values lie in the blocks of a [`KvStore`], found through block tables.

use crate::attention::{MAX_HEAD_DIM, attention_reference};
use crate::backend_kv::KvOps;
use crate::kv::{KvStore, decode};
use crate::route::{Op, Route, perhaps_broken, route};
use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor, s};

/// [`attention`](crate::attention()) over a paged cache: key j of sequence b is the store's row
/// `table[b, j / block] * block + j % block`. What a sequence gets does not depend on the others
/// nor on the width of the table: where its keys are split follows from its own range.
///
/// # Shapes
/// `q` `[batch, queries, heads, head_dim]` f32, `table` `[batch, max_blocks]` physical blocks (any
/// valid block where a range does not reach), `range` `[batch * queries, 2]` in keys of the
/// sequence → `[batch, queries, heads, head_dim]` f32.
///
/// # Panics
/// If shapes disagree or `block` is no multiple of 4.
///
/// Source: PagedAttention (Kwon et al., arXiv 2309.06180).
pub fn attention_paged(
    q: Tensor<4>,
    store: &KvStore,
    table: Tensor<2, Int>,
    range: Tensor<2, Int>,
    scale: f32,
    block: usize,
) -> Tensor<4> {
    let [batch, queries, heads, head_dim] = q.dims();
    let [kv_heads, kd] = store.head_dims();
    assert_eq!(head_dim, kd, "attention_paged: head widths");
    assert!(
        heads.is_multiple_of(kv_heads),
        "{heads} query heads over {kv_heads} key heads"
    );
    assert_eq!(table.dims()[0], batch, "attention_paged: one table per row");
    assert_eq!(
        range.dims(),
        [batch * queries, 2],
        "attention_paged: one range per query"
    );
    assert!(
        block.is_multiple_of(4) && store.rows().is_multiple_of(block) && store.rows() > 0,
        "attention_paged: blocks of {block} in {} rows",
        store.rows()
    );
    // The cache is for inference: its kernels have no backward.
    let twin = route(Op::Attention, &q.device()) == Route::Twin || q.device().is_autodiff();
    if twin || head_dim > MAX_HEAD_DIM {
        return attention_paged_reference(q, store, table, range, scale, block);
    }
    let (q, table, range) = (
        q.into_dispatch(),
        table.into_dispatch(),
        range.into_dispatch(),
    );
    let out = Tensor::from_dispatch(match store.clone() {
        KvStore::Float { keys, values } => {
            let (keys, values) = (keys.into_dispatch(), values.into_dispatch());
            Dispatch::attention_paged(q, keys, values, table, range, scale, block)
        }
        KvStore::Q8 {
            keys,
            values,
            scales,
        } => {
            let (keys, values) = (keys.into_dispatch(), values.into_dispatch());
            let scales = scales.into_dispatch();
            Dispatch::attention_paged_q8(q, keys, values, scales, table, range, scale, block)
        }
    });
    perhaps_broken(Op::Attention, out)
}

/// Definition of [`attention_paged`] in tensor operations: gathers the rows of all tables.
pub fn attention_paged_reference(
    q: Tensor<4>,
    store: &KvStore,
    table: Tensor<2, Int>,
    range: Tensor<2, Int>,
    scale: f32,
    block: usize,
) -> Tensor<4> {
    let [batch, blocks] = table.dims();
    let [kv_heads, head_dim] = store.head_dims();
    let keys = blocks * block;
    let inner = Tensor::<1, Int>::arange(0..block as i64, &q.device()).reshape([1, 1, block]);
    let rows = table.reshape([batch, blocks, 1]).mul_scalar(block as i64);
    let rows = rows.expand([batch, blocks, block]) + inner.expand([batch, blocks, block]);
    let rows = rows.reshape([batch * keys]);
    let shape = [batch, keys, kv_heads, head_dim];
    let (k, v) = match store.clone() {
        KvStore::Float { keys, values } => (keys.select(0, rows.clone()), values.select(0, rows)),
        KvStore::Q8 {
            keys,
            values,
            scales,
        } => {
            let scales = scales.select(0, rows.clone());
            let part = |i: usize| scales.clone().slice(s![.., .., i..i + 1]);
            (
                decode(keys.select(0, rows.clone()), part(0)),
                decode(values.select(0, rows), part(1)),
            )
        }
    };
    attention_reference(q, k.reshape(shape), v.reshape(shape), range, scale)
}
