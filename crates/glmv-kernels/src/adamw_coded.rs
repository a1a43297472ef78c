//! AdamW with its means in 8 bits: a quarter of the memory of f32 means, and a step in one launch.
//!
//! **Format.** Values go in blocks of [`MEANS_BLOCK`]. A block has 512 bytes of codes (first those of the
//! means, signed, then those of the roots of the squares, unsigned; four to a word, the lowest byte
//! first) and two f32 scales, its largest absolute mean and its largest root:
//!
//! `mean = scale₀ · q·|q|, q = code / 127` and `root = scale₁ · (code / 255)²`, `square = root²`.
//!
//! The square of the code follows the values over four (means) and nearly five (roots) orders of
//! magnitude; a linear code has two. A root above zero has at least code 1, so that no mean is ever
//! divided by nothing.
//!
//! **Rounding.** A mean changes by a few percent per step, less than a code where codes are small.
//! Rounded to the nearest it would never move. So a code is `⌊u + d⌋` with `d = ((97·place + 101·turn) mod
//! 256 + ½) / 256`, which takes every value once in 256 turns: what is lost in one turn is won in
//! another, and a run repeats bit by bit.
//!
//! Blocks and their scales are those of Dettmers et al., "8-bit optimizers via block-wise quantization"
//! (arXiv 2110.02861); their codes are of another map and rounded to the nearest.

use crate::adamw::{AdamWStep, OptimOps};
use crate::route::{Op, Route, route};
use crate::weight::fields;
use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Int, Tensor, TensorData, s};

/// Values of a block.
pub const MEANS_BLOCK: usize = 256;
/// Words of a block's codes.
const WORDS: usize = 2 * MEANS_BLOCK / 4;
/// Largest code of a mean, and of a root.
const MOST: [f32; 2] = [127.0, 255.0];

/// Both means of a flat tensor, as codes.
#[derive(Clone, Debug)]
pub struct CodedMeans {
    /// u32 `[blocks, 128]`.
    codes: Tensor<2, Int>,
    /// f32 `[blocks, 2]`.
    scales: Tensor<2>,
}

impl CodedMeans {
    /// Means of zero of `len` values.
    pub fn zeros(len: usize, device: &Device) -> Self {
        let blocks = len.div_ceil(MEANS_BLOCK);
        CodedMeans {
            codes: Tensor::zeros([blocks, WORDS], (device, DType::U32)),
            scales: Tensor::zeros([blocks, 2], (device, DType::F32)),
        }
    }

    /// Means from words and scales that were read from another, `[blocks * 128]` and `[blocks * 2]`.
    ///
    /// # Panics
    /// If their numbers are not those of the same blocks.
    pub fn from_parts(codes: Vec<u32>, scales: Vec<f32>, device: &Device) -> Self {
        let blocks = scales.len() / 2;
        assert_eq!(
            (codes.len(), scales.len()),
            (blocks * WORDS, blocks * 2),
            "words and scales of {blocks} blocks"
        );
        let codes = TensorData::new(codes, [blocks, WORDS]);
        let scales = TensorData::new(scales, [blocks, 2]);
        CodedMeans {
            codes: Tensor::from_data(codes, (device, DType::U32)),
            scales: Tensor::from_data(scales, (device, DType::F32)),
        }
    }

    /// Words of the codes, u32 `[blocks, 128]`.
    pub fn codes(&self) -> &Tensor<2, Int> {
        &self.codes
    }

    /// Scales, `[blocks, 2]`.
    pub fn scales(&self) -> &Tensor<2> {
        &self.scales
    }

    /// The means of the gradients and of their squares, `[len]` each.
    pub fn decode(&self, len: usize) -> [Tensor<1>; 2] {
        let [mean, square] = self.blocks();
        [mean, square].map(|t| {
            let all = t.dims()[0] * MEANS_BLOCK;
            t.reshape([all]).slice(s![0..len])
        })
    }

    /// The same, `[blocks, 256]` each.
    fn blocks(&self) -> [Tensor<2>; 2] {
        let codes = fields(self.codes.clone(), 4, 8);
        let scale = |i: usize| self.scales.clone().slice(s![.., i..i + 1]);
        let means = codes.clone().slice(s![.., 0..MEANS_BLOCK]);
        let negative = means.clone().greater_equal_elem(128.0);
        let q = means.clone().mask_where(negative, means - 256.0) / MOST[0];
        let share = codes.slice(s![.., MEANS_BLOCK..]) / MOST[1];
        let root = scale(1) * share.clone() * share;
        [scale(0) * q.clone() * q.abs(), root.clone() * root]
    }
}

/// [`crate::adamw`] with coded means; `turn` is the number of the step, which rounding follows.
///
/// # Shapes
/// `value` and `grad` `[n]`, f32, outside of any graph; means of n values.
///
/// # Panics
/// If the lengths differ.
///
/// Source: Loshchilov and Hutter, "Decoupled weight decay regularization"; the module's format.
pub fn adamw_coded(
    value: Tensor<1>,
    grad: Tensor<1>,
    means: CodedMeans,
    step: AdamWStep,
    turn: u64,
) -> (Tensor<1>, CodedMeans) {
    let [n] = value.dims();
    let blocks = [means.codes.dims()[0], means.scales.dims()[0]];
    assert!(
        grad.dims() == [n] && blocks == [n.div_ceil(MEANS_BLOCK); 2],
        "{n} values, {:?} gradients, {blocks:?} blocks",
        grad.dims()
    );
    let all_f32 = value.dtype() == DType::F32 && grad.dtype() == DType::F32;
    if route(Op::AdamW, &value.device()) == Route::Twin || !all_f32 || n == 0 {
        return adamw_coded_reference(value, grad, means, step, turn);
    }
    let (value, codes, scales) = <Dispatch as OptimOps>::adamw_coded(
        value.into_dispatch(),
        grad.into_dispatch(),
        means.codes.into_dispatch(),
        means.scales.into_dispatch(),
        (step, (turn % 256) as u32),
    );
    let means = CodedMeans {
        codes: Tensor::from_dispatch(codes),
        scales: Tensor::from_dispatch(scales),
    };
    (Tensor::from_dispatch(value), means)
}

/// Definition of [`adamw_coded`] in tensor operations.
pub fn adamw_coded_reference(
    value: Tensor<1>,
    grad: Tensor<1>,
    means: CodedMeans,
    step: AdamWStep,
    turn: u64,
) -> (Tensor<1>, CodedMeans) {
    let (device, [n]) = (value.device(), value.dims());
    let decoded = means.decode(n);
    let (value, [mean, square]) = crate::adamw_reference(value, grad, decoded, step);
    let blocks = n.div_ceil(MEANS_BLOCK);
    let rows = |t: Tensor<1>| -> Tensor<2> {
        let rest = Tensor::zeros([blocks * MEANS_BLOCK - n], &device);
        Tensor::cat(vec![t, rest], 0).reshape([blocks, MEANS_BLOCK])
    };
    let (mean, root) = (rows(mean), rows(square.sqrt()));
    let d: Vec<f32> = (0..MEANS_BLOCK).map(|i| dither(i, turn)).collect();
    let d = Tensor::<1>::from_data(d.as_slice(), &device).reshape([1, MEANS_BLOCK]);
    let code = |size: Tensor<2>, most: f32| -> (Tensor<2>, Tensor<2>) {
        let top = size.clone().max_dim(1);
        // A block of zeros has a scale of 0 and codes of 0.
        let share = size / top.clone().clamp_min(f32::MIN_POSITIVE);
        let code = (share.sqrt() * most + d.clone()).floor().clamp_max(most);
        let none = top.clone().equal_elem(0.0).expand([blocks, MEANS_BLOCK]);
        (code.mask_fill(none, 0.0), top)
    };
    let (first, top) = code(mean.clone().abs(), MOST[0]);
    let negative = mean
        .lower_elem(0.0)
        .bool_and(first.clone().greater_elem(0.0));
    let first = first.clone().mask_where(negative, first.neg() + 256.0);
    let (second, root_top) = code(root.clone(), MOST[1]);
    let least = root.greater_elem(0.0).float();
    let bytes = Tensor::cat(vec![first, second.max_pair(least)], 1);
    let codes = CodedMeans {
        codes: words(bytes.int()),
        scales: Tensor::cat(vec![top, root_top], 1),
    };
    (value, codes)
}

/// Four bytes to a word, the lowest first: `[rows, 4 n]` → u32 `[rows, n]`.
fn words(bytes: Tensor<2, Int>) -> Tensor<2, Int> {
    let [rows, len] = bytes.dims();
    let bytes = bytes.cast(DType::U32).reshape([rows, len / 4, 4]);
    let byte = |k: usize| {
        let one: Tensor<3, Int> = bytes.clone().slice(s![.., .., k..k + 1]);
        one.reshape([rows, len / 4])
            .bitwise_left_shift_scalar((8 * k) as u32)
    };
    (1..4).fold(byte(0), |word, k| word.bitwise_or(byte(k)))
}

/// What is added before a code is rounded down.
fn dither(place: usize, turn: u64) -> f32 {
    let at = (place as u64 * 97 + turn % 256 * 101) % 256;
    (at as f32 + 0.5) / 256.0
}

pub(crate) mod cube {
    //! WGSL launch.
    use super::{AdamWStep, MEANS_BLOCK};
    use crate::kv::cube::writable;
    use crate::launch::{f32_rows, fold, launch, on_cpu_adapter};
    use burn::backend::TensorMetadata;
    use burn_cubecl::tensor::CubeTensor;

    pub(crate) fn step(
        [value, grad, scales]: [CubeTensor; 3],
        codes: CubeTensor,
        (step, turn): (AdamWStep, u32),
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let (value, codes, scales) = (writable(value), writable(codes), writable(scales));
        let grad = f32_rows(grad);
        let n = value.shape().num_elements();
        let blocks = n.div_ceil(MEANS_BLOCK);
        // Lanes that share a block read it in order; on a CPU adapter their barriers cost more.
        let lanes = if on_cpu_adapter(&value) { 1 } else { 64 };
        let mut info = vec![n as u32, blocks as u32, turn];
        info.extend(step.list().map(f32::to_bits));
        let params = vec![("LANES", format!("{lanes}u"))];
        let grid = fold((blocks * lanes).div_ceil(64));
        let buffers = [&value, &grad, &codes, &scales];
        launch("adamw_coded", params, grid, &buffers, &info);
        (value, codes, scales)
    }
}

pub(crate) mod native {
    //! Rust loops for the CPU device, parallel over blocks.
    use super::{AdamWStep, MEANS_BLOCK, MOST, WORDS, dither};
    use crate::flex::{f32_rows, floats, writable};
    use burn_flex::FlexTensor;
    use rayon::prelude::*;

    /// Blocks that one thread takes at a time.
    const RUN: usize = 64;

    pub(crate) fn step(
        [value, grad, scales]: [FlexTensor; 3],
        codes: FlexTensor,
        (step, turn): (AdamWStep, u32),
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let grad = f32_rows(grad);
        let (mut value, mut codes, mut scales) =
            (writable(value), writable(codes), writable(scales));
        let values = value.storage_mut::<f32>().par_chunks_mut(RUN * MEANS_BLOCK);
        let grads = floats(&grad).par_chunks(RUN * MEANS_BLOCK);
        let words = codes.storage_mut::<u32>().par_chunks_mut(RUN * WORDS);
        let tops = scales.storage_mut::<f32>().par_chunks_mut(RUN * 2);
        values.zip(grads).zip(words.zip(tops)).for_each(|(a, b)| {
            let ((values, grads), (words, tops)) = (a, b);
            let blocks = values
                .chunks_mut(MEANS_BLOCK)
                .zip(grads.chunks(MEANS_BLOCK));
            let states = words.chunks_mut(WORDS).zip(tops.chunks_mut(2));
            for ((values, grads), (words, tops)) in blocks.zip(states) {
                block((values, grads), (words, tops), step, turn);
            }
        });
        (value, codes, scales)
    }

    fn byte(words: &[u32], at: usize) -> u32 {
        (words[at / 4] >> (8 * (at % 4))) & 255
    }

    fn block(
        (values, grads): (&mut [f32], &[f32]),
        (words, tops): (&mut [u32], &mut [f32]),
        step: AdamWStep,
        turn: u32,
    ) {
        let [clip, beta1, beta2, eps, rate, correct, keep] = step.list();
        let (mut means, mut roots) = ([0f32; MEANS_BLOCK], [0f32; MEANS_BLOCK]);
        let mut new = [0f32; 2];
        for (at, (value, grad)) in values.iter_mut().zip(grads).enumerate() {
            let (first, second) = (byte(words, at), byte(words, MEANS_BLOCK + at));
            let q = f32::from(first as u8 as i8) / MOST[0];
            let share = second as f32 / MOST[1];
            let (root, g) = (tops[1] * share * share, clip * grad);
            let mean = beta1 * (tops[0] * q * q.abs()) + (1.0 - beta1) * g;
            let root = (beta2 * (root * root) + (1.0 - beta2) * g * g).sqrt();
            *value = keep * *value - rate * mean / (root * correct + eps);
            (means[at], roots[at]) = (mean, root);
            new = [new[0].max(mean.abs()), new[1].max(root)];
        }
        words.fill(0);
        let code = |size: f32, which: usize, d: f32| match new[which] > 0.0 {
            true => ((size / new[which]).sqrt() * MOST[which] + d)
                .floor()
                .min(MOST[which]),
            false => 0.0,
        };
        for at in 0..values.len() {
            let d = dither(at, u64::from(turn));
            let size = code(means[at].abs(), 0, d) as i8;
            let first = if means[at] < 0.0 { -size } else { size } as u8;
            let second = code(roots[at], 1, d) as u8;
            let second = second.max(u8::from(roots[at] > 0.0));
            for (at, byte) in [(at, first), (MEANS_BLOCK + at, second)] {
                words[at / 4] |= u32::from(byte) << (8 * (at % 4));
            }
        }
        tops.copy_from_slice(&new);
    }
}
