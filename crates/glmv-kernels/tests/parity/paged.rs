//! The paged cache: writes, copies, attention through block tables, and that a sequence's result
//! does not depend on its company.

use crate::support::{Path, Source, View, check, devices, finish, read, reject};
use burn::tensor::{DType, Tensor};
use glmv_kernels::{
    KvFormat, KvStore, Op, attention_paged, attention_paged_reference, kv_copy, kv_copy_reference,
    kv_write, kv_write_reference, on_gpu_tiling,
};

const FORMATS: [KvFormat; 3] = [KvFormat::F32, KvFormat::F16, KvFormat::Q8];
const TOLERANCE: f32 = 1e-5;

/// What a store holds, exactly.
fn contents(store: KvStore) -> Vec<Vec<f32>> {
    match store {
        KvStore::Float { keys, values } => {
            vec![read(keys.cast(DType::F32)), read(values.cast(DType::F32))]
        }
        KvStore::Q8 {
            keys,
            values,
            scales,
        } => {
            // Halves of the words, which floats hold exactly.
            let half = |t: Tensor<3, burn::tensor::Int>, shift: i32| {
                let half = t
                    .bitwise_right_shift_scalar(shift)
                    .bitwise_and_scalar(0xffff);
                read(half.float().cast(DType::F32))
            };
            let mut all: Vec<Vec<f32>> = [(&keys, 0), (&keys, 16), (&values, 0), (&values, 16)]
                .map(|(t, shift)| half(t.clone(), shift))
                .to_vec();
            all.push(read(scales));
            all
        }
    }
}

/// Writes tokens twice over, then copies a few rows.
fn writes(
    source: &mut Source,
    path: Path,
    format: KvFormat,
    [tokens, heads, head_dim]: [usize; 3],
) -> Vec<Vec<f32>> {
    let rows = 3 * tokens + 8;
    let mut store = KvStore::zeros(format, [rows, heads, head_dim], &source.device);
    for round in 0..2 {
        let shape = [tokens, heads, head_dim];
        let (k, v) = (source.floats(shape), source.floats(shape));
        let slots = (0..tokens).map(|t| ((t * 2 + round * 3) % (2 * tokens + 3)) as i64);
        let slots = source.ints(slots.collect(), [tokens]);
        store = match path {
            Path::Routed => kv_write(store, k, v, slots),
            Path::Twin => kv_write_reference(store, k, v, slots),
        };
    }
    let (from, to) = (
        source.ints(vec![0, 3], [2]),
        source.ints(vec![rows as i64 - 1, 5], [2]),
    );
    contents(match path {
        Path::Routed => kv_copy(store, from, to),
        Path::Twin => kv_copy_reference(store, from, to),
    })
}

#[test]
fn writes_match_their_twin_exactly() {
    for format in FORMATS {
        for sizes in [[1, 1, 4], [3, 2, 12], [70, 2, 64], [5, 4, 128], [2, 1, 256]] {
            let views: &[View] = if sizes[0] < 6 {
                &View::ALL
            } else {
                &[View::Rows]
            };
            for view in views {
                let name = format!("{format:?} {sizes:?}");
                check(Op::KvWrite, &name, *view, 0.0, |s, p| {
                    writes(s, p, format, sizes)
                });
            }
        }
        reject(Op::KvWrite, 1, TOLERANCE, |s, p| {
            writes(s, p, format, [3, 2, 12])
        });
    }
    for format in [KvFormat::F32, KvFormat::F16] {
        check(Op::KvWrite, "odd widths", View::Rows, 0.0, |s, p| {
            writes(s, p, format, [4, 3, 7])
        });
    }
    finish(Op::KvWrite);
}

#[test]
fn a_write_leaves_other_handles_alone_and_skips_slots_outside() {
    for (label, device) in devices() {
        for format in FORMATS {
            let store = KvStore::zeros(format, [8, 1, 4], &device);
            let kept = store.clone();
            let ones = || Tensor::<3>::ones([3, 1, 4], &device);
            let slots = Tensor::from_data([2i64, -1, 8].as_slice(), &device);
            let store = kv_write(store, ones(), ones(), slots);
            let sum = |s: KvStore| contents(s).concat().iter().sum::<f32>();
            assert_eq!(
                sum(kept),
                0.0,
                "{label} {format:?}: a write changed a kept handle"
            );
            let want = match format {
                KvFormat::F32 | KvFormat::F16 => 8.0,
                KvFormat::Q8 => 4.0 * f32::from(0xffffu16) + 2.0 / 127.0,
            };
            let got = sum(store);
            assert!(
                (got - want).abs() < 0.1,
                "{label} {format:?}: {got}, not {want}"
            );
        }
    }
}

/// Sequences of a paged cache.
#[derive(Clone, Copy, Debug)]
struct Case {
    format: KvFormat,
    batch: usize,
    queries: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    block: usize,
    max_blocks: usize,
    range: fn(usize, usize) -> [i64; 2],
}

const PLAIN: Case = Case {
    format: KvFormat::F32,
    batch: 3,
    queries: 1,
    heads: 6,
    kv_heads: 2,
    head_dim: 16,
    block: 16,
    max_blocks: 3,
    range: |b, _| [0, 11 + 13 * b as i64],
};

impl Case {
    fn store(&self, source: &mut Source) -> KvStore {
        let rows = self.batch * self.max_blocks * self.block;
        let shape = [rows, self.kv_heads, self.head_dim];
        let view = std::mem::replace(&mut source.view, View::Rows);
        let (k, v) = (source.floats(shape), source.floats(shape));
        source.view = view;
        let slots = source.ints((0..rows as i64).collect(), [rows]);
        kv_write_reference(
            KvStore::zeros(self.format, shape, &source.device),
            k,
            v,
            slots,
        )
    }

    /// Blocks of the sequences, interleaved.
    fn table(&self, b: usize, max_blocks: usize) -> Vec<i64> {
        let blocks = (0..max_blocks).map(|j| (j % self.max_blocks * self.batch + b) as i64);
        blocks.collect()
    }

    fn run(&self, source: &mut Source, path: Path) -> Vec<Vec<f32>> {
        let c = self;
        let q = source.floats([c.batch, c.queries, c.heads, c.head_dim]) * 3.0;
        let store = c.store(source);
        let table = (0..c.batch)
            .flat_map(|b| c.table(b, c.max_blocks))
            .collect();
        let table = source.ints(table, [c.batch, c.max_blocks]);
        let rows = (0..c.batch).flat_map(|b| (0..c.queries).map(move |i| (b, i)));
        let range = rows.flat_map(|(b, i)| (c.range)(b, i)).collect();
        let range = source.ints(range, [c.batch * c.queries, 2]);
        let scale = 1.0 / (c.head_dim as f32).sqrt();
        vec![read(match path {
            Path::Routed => attention_paged(q, &store, table, range, scale, c.block),
            Path::Twin => attention_paged_reference(q, &store, table, range, scale, c.block),
        })]
    }

    fn check(&self, views: &[View]) {
        for view in views {
            for format in FORMATS {
                if format == KvFormat::Q8 && !self.head_dim.is_multiple_of(4) {
                    continue; // refused: see KvStore::zeros
                }
                let case = Case { format, ..*self };
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
fn paged_decode_of_every_head_width() {
    for head_dim in [4, 7, 12, 64, 128, 256] {
        Case { head_dim, ..PLAIN }.check(&[View::Rows]);
    }
    Case {
        block: 32,
        max_blocks: 2,
        ..PLAIN
    }
    .check(&View::ALL);
    for input in 0..3 {
        reject(Op::Attention, input, TOLERANCE, |s, p| PLAIN.run(s, p));
    }
    finish(Op::Attention);
}

#[test]
fn paged_prefill_of_a_chunk_behind_cached_tokens() {
    // Chunks begin at 21, 22, .. tokens; sequences with left padding and without any key too.
    let range = |b: usize, i: usize| match b {
        2 => [5, 5],
        b => [3 * b as i64, (21 + b + i + 1) as i64],
    };
    for (queries, heads, kv_heads) in [(19, 6, 2), (40, 12, 1), (2, 4, 4)] {
        let case = Case {
            queries,
            heads,
            kv_heads,
            head_dim: 32,
            max_blocks: 4,
            range,
            ..PLAIN
        };
        case.check(&[View::Rows]);
    }
    finish(Op::Attention);
}

#[test]
fn paged_decode_of_long_ranges() {
    // A GPU splits these over workgroups and merges; one sequence is short, one empty.
    let range = |b: usize, _: usize| [[0, 2040], [0, 5], [7, 7]][b];
    for head_dim in [64, 13] {
        let case = Case {
            head_dim,
            max_blocks: 128,
            heads: 8,
            range,
            ..PLAIN
        };
        case.check(&[View::Rows]);
    }
    finish(Op::Attention);
}

#[test]
fn a_sequence_does_not_depend_on_its_company() {
    let range = |b: usize, _: usize| [0, [1000i64, 37, 131, 260, 129][b]];
    for format in FORMATS {
        for heads in [2, 6, 24] {
            let case = Case {
                format,
                heads,
                range,
                batch: 5,
                head_dim: 64,
                max_blocks: 64,
                ..PLAIN
            };
            for (label, device) in devices() {
                on_gpu_tiling(|| case.alone(label, &device));
                case.alone(label, &device);
            }
        }
    }
}

impl Case {
    /// Each sequence alone, with a table of its own blocks only, gives the bits of the batch.
    fn alone(&self, label: &str, device: &burn::tensor::Device) {
        let together = self.run(&mut Source::new(device, View::Rows), Path::Routed);
        let width = self.heads * self.head_dim;
        for b in 0..self.batch {
            let mut source = Source::new(device, View::Rows);
            let shape = [self.batch, 1, self.heads, self.head_dim];
            let q = (source.floats(shape) * 3.0).narrow(0, b, 1);
            let store = self.store(&mut source);
            let [lo, hi] = (self.range)(b, 0);
            let blocks = (hi as usize).div_ceil(self.block);
            let table = source.ints(self.table(b, blocks), [1, blocks]);
            let range = source.ints(vec![lo, hi], [1, 2]);
            let scale = 1.0 / (self.head_dim as f32).sqrt();
            let alone = read(attention_paged(q, &store, table, range, scale, self.block));
            let want = &together[0][b * width..(b + 1) * width];
            assert_eq!(alone, want, "{label}: sequence {b} of {self:?}");
        }
    }
}
