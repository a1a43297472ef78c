//! How weights are stored on the device.

use burn::tensor::DType;
use glmv_quant::Format;

/// Storage of the large matrices on the device. Activations, sums, norms, biases and the router are
/// f32 in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    F16,
    /// Codes of 8 bits with an f16 scale per block of 32 for the decoder's matrices, experts,
    /// embedding and head; f16 for the vision tower and the KV cache.
    Q8,
    /// As [`Precision::Q8`] with codes of 4 bits.
    Q4,
}

impl Precision {
    /// All of them, the finest first.
    pub const ALL: [Precision; 4] = [Precision::F32, Precision::F16, Precision::Q8, Precision::Q4];

    /// Name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
            Precision::Q8 => "q8",
            Precision::Q4 => "q4",
        }
    }

    /// Format of the codes; `None` for floats.
    pub fn format(self) -> Option<Format> {
        match self {
            Precision::F32 | Precision::F16 => None,
            Precision::Q8 => Some(Format::Q8),
            Precision::Q4 => Some(Format::Q4),
        }
    }

    /// What is stored as floats beside the codes: f16, or f32 in an f32 model.
    pub fn float(self) -> Precision {
        match self {
            Precision::F32 => Precision::F32,
            Precision::F16 | Precision::Q8 | Precision::Q4 => Precision::F16,
        }
    }

    /// Bytes of one number of [`Precision::float`].
    pub fn bytes(self) -> usize {
        match self.float() {
            Precision::F32 => 4,
            _ => 2,
        }
    }

    /// The Burn dtype of [`Precision::float`].
    pub fn dtype(self) -> DType {
        match self.float() {
            Precision::F32 => DType::F32,
            _ => DType::F16,
        }
    }

    /// Bytes of a matrix of `rows` rows of `cols` weights, scales included.
    pub fn matrix_bytes(self, rows: usize, cols: usize) -> usize {
        match self.format() {
            Some(format) => format.bytes(rows, cols),
            None => rows * cols * self.bytes(),
        }
    }

    /// Bytes of one row of `cols` weights in the largest buffer that holds it.
    pub(crate) fn row_bytes(self, cols: usize) -> usize {
        match self.format() {
            Some(format) => 4 * format.code_words(cols),
            None => cols * self.bytes(),
        }
    }
}

impl From<Format> for Precision {
    fn from(format: Format) -> Self {
        match format {
            Format::Q8 => Precision::Q8,
            Format::Q4 => Precision::Q4,
        }
    }
}
