//! Weights as the linear layers, experts and embeddings take them: floats, or 8-bit and 4-bit codes
//! with a scale per block of 32. Made by the loader; the definition of a code is [`Quantised::dequantise`].

use burn::tensor::{DType, Device, Int, Tensor, TensorData, s};
use glmv_quant::{BLOCK, Format};

/// A matrix or stack `[.., rows, inner]` of codes; the layout is that of `glmv-quant`.
#[derive(Clone, Debug)]
pub struct Quantised<const D: usize> {
    /// u32 `[.., rows, format.code_words(inner)]`.
    codes: Tensor<D, Int>,
    /// u32 `[.., rows, format.scale_words(inner)]`, two f16 each.
    scales: Tensor<D, Int>,
    format: Format,
    inner: usize,
}

impl Quantised<2> {
    /// The rows `index`.
    pub(crate) fn select(&self, index: Tensor<1, Int>) -> Self {
        Quantised {
            codes: self.codes.clone().select(0, index.clone()),
            scales: self.scales.clone().select(0, index),
            ..*self
        }
    }
}

impl<const D: usize> Quantised<D> {
    /// Joins codes and scales.
    ///
    /// # Panics
    /// If their shapes are not those of `format` for rows of `inner` values, or their type is not
    /// u32.
    pub fn new(
        codes: Tensor<D, Int>,
        scales: Tensor<D, Int>,
        format: Format,
        inner: usize,
    ) -> Self {
        let (c, s) = (codes.dims(), scales.dims());
        let words = [format.code_words(inner), format.scale_words(inner)];
        assert!(
            c[..D - 1] == s[..D - 1] && [c[D - 1], s[D - 1]] == words,
            "{} codes of {inner}: codes {c:?}, scales {s:?}, rows of {words:?} words expected",
            format.name()
        );
        assert!(
            codes.dtype() == DType::U32 && scales.dtype() == DType::U32,
            "codes {:?} and scales {:?} must be u32",
            codes.dtype(),
            scales.dtype()
        );
        Quantised {
            codes,
            scales,
            format,
            inner,
        }
    }

    /// Uploads the words of codes and scales that `glmv-quant` packed from a weight of shape `dims`.
    ///
    /// # Panics
    /// If their number is not that of `dims`.
    pub fn from_words(
        (codes, scales): (Vec<u32>, Vec<u32>),
        dims: [usize; D],
        format: Format,
        device: &Device,
    ) -> Self {
        let inner = dims[D - 1];
        let upload = |words: Vec<u32>, per_row: usize| {
            let mut shape = dims;
            shape[D - 1] = per_row;
            Tensor::from_data(TensorData::new(words, shape), (device, DType::U32))
        };
        let codes = upload(codes, format.code_words(inner));
        let scales = upload(scales, format.scale_words(inner));
        Self::new(codes, scales, format, inner)
    }

    /// The codes' words.
    pub fn codes(&self) -> &Tensor<D, Int> {
        &self.codes
    }

    /// The scales' words.
    pub fn scales(&self) -> &Tensor<D, Int> {
        &self.scales
    }

    /// Bits and layout of a code.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Shape of the weight that the codes stand for.
    pub fn dims(&self) -> [usize; D] {
        let mut dims = self.codes.dims();
        dims[D - 1] = self.inner;
        dims
    }

    /// Codes, scales and format.
    pub(crate) fn into_parts(self) -> (Tensor<D, Int>, Tensor<D, Int>, Format) {
        (self.codes, self.scales, self.format)
    }

    /// Entries `start..end` of the first axis.
    pub fn narrow(&self, start: usize, end: usize) -> Self {
        Quantised {
            codes: self.codes.clone().slice(s![start..end]),
            scales: self.scales.clone().slice(s![start..end]),
            ..*self
        }
    }

    /// The values, in tensor operations: `f32(code) * f32(scale)`.
    ///
    /// # Shapes
    /// → `[.., rows, inner]` f32.
    pub fn dequantise(&self) -> Tensor<D> {
        let dims = self.codes.dims();
        let rows: usize = dims[..D - 1].iter().product();
        let blocks = self.inner.div_ceil(BLOCK);
        let codes = self.codes.clone().reshape([rows, dims[D - 1]]);
        let bits = self.format.bits();
        let values = fields(codes, 32 / bits, bits);
        let zero = (1u32 << (bits - 1)) as f32;
        let values = match self.format {
            // Two's complement of a byte.
            Format::Q8 => {
                let negative = values.clone().greater_equal_elem(zero);
                values.clone().mask_where(negative, values - 2.0 * zero)
            }
            Format::Q4 => values - zero,
        };
        let scales = self.scales.clone();
        let scales = scales.reshape([rows, self.format.scale_words(self.inner)]);
        let scales = halves(scales).slice(s![.., 0..blocks]);
        let values = values.reshape([rows, blocks, BLOCK]) * scales.reshape([rows, blocks, 1]);
        let values = values
            .reshape([rows, blocks * BLOCK])
            .slice(s![.., 0..self.inner]);
        values.reshape(self.dims())
    }
}

/// The bit fields of each word, lowest first: `[rows, words]` → `[rows, words * count]`, exact.
pub(crate) fn fields(words: Tensor<2, Int>, count: usize, bits: usize) -> Tensor<2> {
    let [rows, len] = words.dims();
    let parts: Vec<Tensor<3>> = (0..count)
        .map(|i| {
            let field = words
                .clone()
                .bitwise_right_shift_scalar((i * bits) as u32)
                .bitwise_and_scalar((1u32 << bits) - 1);
            field.float().cast(DType::F32).reshape([rows, len, 1])
        })
        .collect();
    Tensor::cat(parts, 2).reshape([rows, len * count])
}

/// The two halves of each word as f32: `[rows, words]` → `[rows, 2 * words]`, exact for finite ones.
fn halves(words: Tensor<2, Int>) -> Tensor<2> {
    let [rows, len] = words.dims();
    let parts: Vec<Tensor<3>> = (0..2u32)
        .map(|half| {
            let bit = |at: u32, count: u32| {
                words
                    .clone()
                    .bitwise_right_shift_scalar(16 * half + at)
                    .bitwise_and_scalar((1u32 << count) - 1)
                    .float()
                    .cast(DType::F32)
            };
            let (mantissa, exponent) = (bit(0, 10), bit(10, 5));
            let subnormal = exponent.clone().equal_elem(0.0);
            // 2^exponent as a product of one factor per bit: no rounding, unlike a power function.
            let power = (0..5).fold(Tensor::ones_like(&exponent), |power, i| {
                let factor = ((1u64 << (1u32 << i)) - 1) as f32;
                power * (bit(10 + i, 1) * factor + 1.0)
            });
            let normal = (mantissa.clone() + 1024.0) * power * (-25f32).exp2();
            let value = normal.mask_where(subnormal, mantissa * (-24f32).exp2());
            let sign = bit(15, 1) * -2.0 + 1.0;
            (value * sign).reshape([rows, len, 1])
        })
        .collect();
    Tensor::cat(parts, 2).reshape([rows, 2 * len])
}

/// A weight of a linear layer, an embedding or a stack of experts.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "handles, passed on at once and never stored in numbers"
)]
pub enum Weight<const D: usize> {
    /// f32 or f16 `[.., rows, inner]`.
    Float(Tensor<D>),
    /// Codes.
    Quantised(Quantised<D>),
}

impl<const D: usize> Weight<D> {
    /// Shape of the values: `[.., rows, inner]`.
    pub fn dims(&self) -> [usize; D] {
        match self {
            Weight::Float(t) => t.dims(),
            Weight::Quantised(q) => q.dims(),
        }
    }

    /// Where the weight is.
    pub fn device(&self) -> Device {
        match self {
            Weight::Float(t) => t.device(),
            Weight::Quantised(q) => q.codes.device(),
        }
    }

    /// The values in f32.
    ///
    /// # Shapes
    /// → `[.., rows, inner]`.
    pub fn dequantise(self) -> Tensor<D> {
        match self {
            Weight::Float(t) if t.dtype() == DType::F32 => t,
            Weight::Float(t) => t.cast(DType::F32),
            Weight::Quantised(q) => q.dequantise(),
        }
    }

    /// The float tensor itself, or the values of the codes in f32.
    pub(crate) fn into_float(self) -> Tensor<D> {
        match self {
            Weight::Float(t) => t,
            Weight::Quantised(q) => q.dequantise(),
        }
    }

    /// Entries `start..end` of the first axis.
    pub fn narrow(self, start: usize, end: usize) -> Self {
        match self {
            Weight::Float(t) => Weight::Float(t.slice(s![start..end])),
            Weight::Quantised(q) => Weight::Quantised(q.narrow(start, end)),
        }
    }
}

impl<const D: usize> From<Tensor<D>> for Weight<D> {
    fn from(t: Tensor<D>) -> Self {
        Weight::Float(t)
    }
}

impl<const D: usize> From<Quantised<D>> for Weight<D> {
    fn from(q: Quantised<D>) -> Self {
        Weight::Quantised(q)
    }
}
