//! Bytes of a matrix in each form that weights and the KV cache may have.

use serde::Serialize;

/// Elements of one quantised block.
const BLOCK: u64 = 32;

/// How the large matrices are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightFormat {
    F32,
    F16,
    /// 8-bit codes in blocks of 32 with one f16 scale each.
    Q8,
    /// 4-bit codes, otherwise as [`WeightFormat::Q8`].
    Q4,
}

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheFormat {
    F32,
    F16,
    /// 8-bit codes in blocks of 32 lanes of a head with one f16 scale each.
    Q8,
}

impl From<crate::Precision> for WeightFormat {
    fn from(precision: crate::Precision) -> Self {
        match precision {
            crate::Precision::F32 => WeightFormat::F32,
            crate::Precision::F16 => WeightFormat::F16,
            crate::Precision::Q8 => WeightFormat::Q8,
            crate::Precision::Q4 => WeightFormat::Q4,
        }
    }
}

impl WeightFormat {
    /// All formats, widest first.
    pub const ALL: [WeightFormat; 4] = [
        WeightFormat::F32,
        WeightFormat::F16,
        WeightFormat::Q8,
        WeightFormat::Q4,
    ];

    /// Name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            WeightFormat::F32 => "f32",
            WeightFormat::F16 => "f16",
            WeightFormat::Q8 => "q8",
            WeightFormat::Q4 => "q4",
        }
    }

    /// Bytes of one row of `cols` elements, as the buffers it lies in: values, or codes and scales.
    /// The last block of a quantised row may be short but takes its whole words.
    pub fn row_buffers(self, cols: u64) -> Vec<u64> {
        let blocks = cols.div_ceil(BLOCK);
        // Two f16 scales to a word.
        let scales = blocks.div_ceil(2) * 4;
        match self {
            WeightFormat::F32 => vec![cols * 4],
            WeightFormat::F16 => vec![cols * 2],
            WeightFormat::Q8 => vec![blocks * BLOCK, scales],
            WeightFormat::Q4 => vec![blocks * BLOCK / 2, scales],
        }
    }
}

impl CacheFormat {
    /// All formats, widest first.
    pub const ALL: [CacheFormat; 3] = [CacheFormat::F32, CacheFormat::F16, CacheFormat::Q8];

    /// Name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            CacheFormat::F32 => "f32",
            CacheFormat::F16 => "f16",
            CacheFormat::Q8 => "q8",
        }
    }

    /// Bytes of the keys, or the values, of one token in one layer.
    pub fn token_bytes(self, kv_heads: u64, head_dim: u64) -> u64 {
        let head: u64 = match self {
            CacheFormat::F32 => head_dim * 4,
            CacheFormat::F16 => head_dim * 2,
            CacheFormat::Q8 => WeightFormat::Q8.row_buffers(head_dim).iter().sum(),
        };
        kv_heads * head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_whole_blocks() {
        assert_eq!(WeightFormat::F16.row_buffers(33), [66]);
        assert_eq!(WeightFormat::Q8.row_buffers(33), [64, 4]);
        assert_eq!(WeightFormat::Q4.row_buffers(4096), [2048, 256]);
        assert_eq!(WeightFormat::Q4.row_buffers(96), [48, 8]);
        // 4.5 bits per element where the blocks come in pairs.
        let bits: u64 = WeightFormat::Q4.row_buffers(64).iter().sum::<u64>() * 8;
        assert_eq!(bits, 64 * 9 / 2);
    }

    #[test]
    fn cache_rows_follow_the_head() {
        assert_eq!(CacheFormat::F16.token_bytes(8, 128), 2048);
        assert_eq!(CacheFormat::Q8.token_bytes(2, 128), 2 * (128 + 8));
    }
}
