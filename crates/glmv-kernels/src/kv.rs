//! The paged KV cache of one layer: physical rows of keys and values that new tokens are written
//! into in place, copied within, and attended to through block tables (`attention_paged.rs`).

use crate::backend_kv::KvOps;
use crate::route::{Op, Route, route};
use burn::backend::Dispatch;
use burn::tensor::{DType, Device, IndexingUpdateOp, Int, Tensor};

#[path = "kv_cube.rs"]
pub(crate) mod cube;
#[path = "kv_native.rs"]
pub(crate) mod native;

/// How a cache stores keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvFormat {
    F32,
    F16,
    /// One byte per value and one f32 scale per row, head and part: `(code - 128) * scale` with
    /// scale = max|x| / 127. The head width must be a multiple of 4.
    Q8,
}

impl KvFormat {
    /// Bytes of the keys and values of one row.
    pub fn row_bytes(self, kv_heads: usize, head_dim: usize) -> usize {
        let head = match self {
            KvFormat::F32 => 4 * head_dim,
            KvFormat::F16 => 2 * head_dim,
            KvFormat::Q8 => head_dim + 4,
        };
        2 * kv_heads * head
    }

    /// Bytes of one row in the largest of the tensors that hold it: what a buffer limit is held
    /// against.
    pub fn tensor_row_bytes(self, kv_heads: usize, head_dim: usize) -> usize {
        match self {
            KvFormat::F32 => 4 * kv_heads * head_dim,
            KvFormat::F16 => 2 * kv_heads * head_dim,
            KvFormat::Q8 => kv_heads * head_dim.max(8),
        }
    }
}

/// Keys and values of one layer by physical row.
#[expect(
    clippy::large_enum_variant,
    reason = "one per layer; the tensors are handles"
)]
#[derive(Clone, Debug)]
pub enum KvStore {
    /// `[rows, kv_heads, head_dim]` f32 or f16.
    Float { keys: Tensor<3>, values: Tensor<3> },
    /// Codes `[rows, kv_heads, head_dim / 4]` u32, four to a word, the first in the lowest byte;
    /// scales `[rows, kv_heads, 2]` f32, of the key and of the value.
    Q8 {
        keys: Tensor<3, Int>,
        values: Tensor<3, Int>,
        scales: Tensor<3>,
    },
}

impl KvStore {
    /// A store of `rows` zeros: rows that were never written are finite.
    ///
    /// # Panics
    /// For [`KvFormat::Q8`] with a head width that is no multiple of 4.
    pub fn zeros(
        format: KvFormat,
        [rows, kv_heads, head_dim]: [usize; 3],
        device: &Device,
    ) -> Self {
        let float = |dtype| Tensor::zeros([rows, kv_heads, head_dim], (device, dtype));
        let (keys, values) = match format {
            KvFormat::F32 => (float(DType::F32), float(DType::F32)),
            KvFormat::F16 => (float(DType::F16), float(DType::F16)),
            KvFormat::Q8 => {
                assert!(
                    head_dim.is_multiple_of(4),
                    "an 8-bit cache with heads of {head_dim}"
                );
                let codes = || Tensor::zeros([rows, kv_heads, head_dim / 4], (device, DType::U32));
                return KvStore::Q8 {
                    keys: codes(),
                    values: codes(),
                    scales: Tensor::zeros([rows, kv_heads, 2], (device, DType::F32)),
                };
            }
        };
        KvStore::Float { keys, values }
    }

    /// Physical rows.
    pub fn rows(&self) -> usize {
        match self {
            KvStore::Float { keys, .. } => keys.dims()[0],
            KvStore::Q8 { keys, .. } => keys.dims()[0],
        }
    }

    /// Heads and their width.
    pub fn head_dims(&self) -> [usize; 2] {
        match self {
            KvStore::Float { keys, .. } => [keys.dims()[1], keys.dims()[2]],
            KvStore::Q8 { keys, .. } => [keys.dims()[1], keys.dims()[2] * 4],
        }
    }

    /// The store with `more` rows of zeros behind its own; copies.
    pub fn grown(self, more: usize) -> Self {
        fn grow(t: Tensor<3>, more: usize) -> Tensor<3> {
            let [_, a, b] = t.dims();
            let room = Tensor::zeros([more, a, b], (&t.device(), t.dtype()));
            Tensor::cat(vec![t, room], 0)
        }
        fn grow_codes(t: Tensor<3, Int>, more: usize) -> Tensor<3, Int> {
            let [_, a, b] = t.dims();
            let room = Tensor::zeros([more, a, b], (&t.device(), t.dtype()));
            Tensor::cat(vec![t, room], 0)
        }
        match self {
            KvStore::Float { keys, values } => KvStore::Float {
                keys: grow(keys, more),
                values: grow(values, more),
            },
            KvStore::Q8 {
                keys,
                values,
                scales,
            } => KvStore::Q8 {
                keys: grow_codes(keys, more),
                values: grow_codes(values, more),
                scales: grow(scales, more),
            },
        }
    }

    fn device(&self) -> Device {
        match self {
            KvStore::Float { keys, .. } => keys.device(),
            KvStore::Q8 { keys, .. } => keys.device(),
        }
    }
}

/// Writes the keys and values of new tokens: row `slots[t]` becomes token t's. The write happens
/// in place where the store's tensors have no other handle (keep none), else on a copy. A slot
/// outside of the store is skipped on a device and must not occur twice.
///
/// # Shapes
/// `k`, `v` `[tokens, kv_heads, head_dim]` f32, `slots` `[tokens]`.
///
/// # Panics
/// If shapes disagree.
pub fn kv_write(store: KvStore, k: Tensor<3>, v: Tensor<3>, slots: Tensor<1, Int>) -> KvStore {
    let [tokens, kv_heads, head_dim] = k.dims();
    assert_eq!(k.dims(), v.dims(), "kv_write: k and v differ in shape");
    assert_eq!([kv_heads, head_dim], store.head_dims(), "kv_write: heads");
    assert_eq!(slots.dims(), [tokens], "kv_write: one slot per token");
    if route(Op::KvWrite, &store.device()) == Route::Twin {
        return kv_write_reference(store, k, v, slots);
    }
    let (k, v, slots) = (k.into_dispatch(), v.into_dispatch(), slots.into_dispatch());
    match store {
        KvStore::Float { keys, values } => {
            let (keys, values) = (keys.into_dispatch(), values.into_dispatch());
            let (keys, values) = Dispatch::kv_write(keys, values, k, v, slots);
            KvStore::Float {
                keys: Tensor::from_dispatch(keys),
                values: Tensor::from_dispatch(values),
            }
        }
        KvStore::Q8 {
            keys,
            values,
            scales,
        } => {
            let (keys, values) = (keys.into_dispatch(), values.into_dispatch());
            let scales = scales.into_dispatch();
            let (keys, values, scales) = Dispatch::kv_write_q8(keys, values, scales, k, v, slots);
            KvStore::Q8 {
                keys: Tensor::from_dispatch(keys),
                values: Tensor::from_dispatch(values),
                scales: Tensor::from_dispatch(scales),
            }
        }
    }
}

/// Copies rows within the store, in place as [`kv_write`]: row `to[i]` becomes row `from[i]`. No
/// row may be both read and written.
///
/// # Shapes
/// `from`, `to` `[n]`.
pub fn kv_copy(store: KvStore, from: Tensor<1, Int>, to: Tensor<1, Int>) -> KvStore {
    assert_eq!(from.dims(), to.dims(), "kv_copy: one target per source");
    if route(Op::KvWrite, &store.device()) == Route::Twin {
        return kv_copy_reference(store, from, to);
    }
    let float = |t: Tensor<3>| {
        let (from, to) = (from.clone().into_dispatch(), to.clone().into_dispatch());
        Tensor::from_dispatch(Dispatch::kv_copy(t.into_dispatch(), from, to))
    };
    let codes = |t: Tensor<3, Int>| {
        let (from, to) = (from.clone().into_dispatch(), to.clone().into_dispatch());
        Tensor::from_dispatch(Dispatch::kv_copy_codes(t.into_dispatch(), from, to))
    };
    map(store, float, codes)
}

/// Definition of [`kv_copy`] in tensor operations.
pub fn kv_copy_reference(store: KvStore, from: Tensor<1, Int>, to: Tensor<1, Int>) -> KvStore {
    map(
        store,
        |t| {
            let rows = t.clone().select(0, from.clone());
            assign(t, rows, &to)
        },
        |t| {
            let rows = t.clone().select(0, from.clone());
            assign_codes(t, rows, &to)
        },
    )
}

fn map(
    store: KvStore,
    float: impl Fn(Tensor<3>) -> Tensor<3>,
    codes: impl Fn(Tensor<3, Int>) -> Tensor<3, Int>,
) -> KvStore {
    match store {
        KvStore::Float { keys, values } => KvStore::Float {
            keys: float(keys),
            values: float(values),
        },
        KvStore::Q8 {
            keys,
            values,
            scales,
        } => KvStore::Q8 {
            keys: codes(keys),
            values: codes(values),
            scales: float(scales),
        },
    }
}

/// Definition of [`kv_write`] in tensor operations; every slot must lie inside of the store.
pub fn kv_write_reference(
    store: KvStore,
    k: Tensor<3>,
    v: Tensor<3>,
    slots: Tensor<1, Int>,
) -> KvStore {
    match store {
        KvStore::Float { keys, values } => {
            let dtype = keys.dtype();
            KvStore::Float {
                keys: assign(keys, k.cast(dtype), &slots),
                values: assign(values, v.cast(dtype), &slots),
            }
        }
        KvStore::Q8 {
            keys,
            values,
            scales,
        } => {
            let ((k, ks), (v, vs)) = (encode(k), encode(v));
            KvStore::Q8 {
                keys: assign_codes(keys, k, &slots),
                values: assign_codes(values, v, &slots),
                scales: assign(scales, Tensor::cat(vec![ks, vs], 2), &slots),
            }
        }
    }
}

/// Codes `[tokens, kv_heads, head_dim / 4]` and scales `[tokens, kv_heads, 1]` of `x`.
fn encode(x: Tensor<3>) -> (Tensor<3, Int>, Tensor<3>) {
    let [tokens, heads, width] = x.dims();
    let absmax = x.clone().abs().max_dim(2);
    let inverse = absmax.full_like(127.0) / absmax.clone().clamp_min(1e-30);
    let zero = absmax.clone().lower_equal_elem(1e-30);
    let inverse = inverse.mask_fill(zero, 0.0);
    let codes = (x * inverse + 0.5).floor().clamp(-127.0, 127.0) + 128.0;
    let bytes = codes.int().reshape([tokens, heads, width / 4, 4]);
    let byte = |i: usize| {
        bytes
            .clone()
            .narrow(3, i, 1)
            .bitwise_left_shift_scalar(8 * i as i32)
    };
    let word = byte(0)
        .bitwise_or(byte(1))
        .bitwise_or(byte(2))
        .bitwise_or(byte(3));
    let word = word.reshape([tokens, heads, width / 4]).cast(DType::U32);
    (word, absmax / 127.0)
}

/// Values of codes `[rows, kv_heads, words]` with scales `[rows, kv_heads, 1]`, f32.
pub(crate) fn decode(codes: Tensor<3, Int>, scales: Tensor<3>) -> Tensor<3> {
    let [rows, heads, words] = codes.dims();
    let codes = codes.reshape([rows, heads, words, 1]);
    let byte = |i: usize| {
        let shifted = codes.clone().bitwise_right_shift_scalar(8 * i as i32);
        shifted.bitwise_and_scalar(255)
    };
    let bytes = Tensor::cat((0..4).map(byte).collect(), 3).float();
    let bytes = bytes.cast(DType::F32).reshape([rows, heads, words * 4]);
    (bytes - 128.0) * scales
}

/// True `[rows, 1, 1]` at the rows in `slots`.
fn hit(rows: usize, slots: &Tensor<1, Int>) -> Tensor<3> {
    let device = slots.device();
    let ones = Tensor::<3>::ones([slots.dims()[0], 1, 1], &device);
    Tensor::zeros([rows, 1, 1], &device).select_assign(
        0,
        slots.clone(),
        ones,
        IndexingUpdateOp::Add,
    )
}

fn assign(t: Tensor<3>, rows: Tensor<3>, slots: &Tensor<1, Int>) -> Tensor<3> {
    let dims = t.dims();
    let mask = hit(dims[0], slots).greater_elem(0.0).expand(dims);
    // Added to zero a value stays what it is; f32 holds every f16.
    let placed = Tensor::zeros(dims, (&t.device(), DType::F32)).select_assign(
        0,
        slots.clone(),
        rows.cast(DType::F32),
        IndexingUpdateOp::Add,
    );
    let dtype = t.dtype();
    t.mask_where(mask, placed.cast(dtype))
}

fn assign_codes(t: Tensor<3, Int>, rows: Tensor<3, Int>, slots: &Tensor<1, Int>) -> Tensor<3, Int> {
    let dims = t.dims();
    let mask = hit(dims[0], slots).greater_elem(0.0).expand(dims);
    let placed = t
        .zeros_like()
        .select_assign(0, slots.clone(), rows, IndexingUpdateOp::Add);
    t.mask_where(mask, placed)
}
