//! The two formats and their sizes: which words a matrix takes.

use crate::Error;
use half::f16;
use std::fmt;
use std::str::FromStr;

/// Weights that share one scale.
pub const BLOCK: usize = 32;

/// Smallest scale that is stored for a block that is not all zero, 2⁻¹⁴: the smallest normal f16.
pub const MIN_SCALE: f32 = 6.103_515_6e-5;

/// How many bits a weight's code has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Signed bytes, `code · scale`.
    Q8,
    /// Nibbles, `(nibble − 8) · scale`.
    Q4,
}

impl Format {
    /// Both formats, the finer first.
    pub const ALL: [Format; 2] = [Format::Q8, Format::Q4];

    /// Bits of one code, without its share of the scale (half a bit more).
    pub const fn bits(self) -> usize {
        match self {
            Format::Q8 => 8,
            Format::Q4 => 4,
        }
    }

    /// Name on the command line and in files.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Q8 => "q8",
            Format::Q4 => "q4",
        }
    }

    /// Blocks of a row of `cols` weights.
    pub const fn blocks(cols: usize) -> usize {
        cols.div_ceil(BLOCK)
    }

    /// u32 words of the codes of one block: 8 or 4.
    pub const fn block_words(self) -> usize {
        BLOCK * self.bits() / 32
    }

    /// u32 words of the codes of a row of `cols` weights.
    pub const fn code_words(self, cols: usize) -> usize {
        Self::blocks(cols) * self.block_words()
    }

    /// u32 words of the scales of a row of `cols` weights.
    pub const fn scale_words(self, cols: usize) -> usize {
        Self::blocks(cols).div_ceil(2)
    }

    /// Bytes of a whole matrix, codes and scales; `usize::MAX` if that is more than fits.
    pub const fn bytes(self, rows: usize, cols: usize) -> usize {
        rows.saturating_mul(4 * (self.code_words(cols) + self.scale_words(cols)))
    }

    /// Word of a block of zeros.
    pub(crate) const fn zero_word(self) -> u32 {
        match self {
            Format::Q8 => 0,
            Format::Q4 => 0x8888_8888,
        }
    }

    /// Largest magnitude that the format can hold.
    pub fn limit(self) -> f32 {
        f16::MAX.to_f32() * self.top()
    }

    /// Largest magnitude of a code.
    pub(crate) const fn top(self) -> f32 {
        match self {
            Format::Q8 => 127.0,
            Format::Q4 => 8.0,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Format::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| Error::UnknownFormat {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_the_layout() {
        assert_eq!(
            (Format::Q8.code_words(33), Format::Q4.code_words(33)),
            (16, 8)
        );
        assert_eq!(
            (Format::Q8.scale_words(32), Format::Q8.scale_words(97)),
            (1, 2)
        );
        assert_eq!(Format::Q4.bytes(2, 64), 2 * 4 * (8 + 1));
        assert_eq!(Format::Q8.bytes(5, 0), 0);
        assert_eq!(Format::Q8.bytes(usize::MAX, 64), usize::MAX);
        assert_eq!(MIN_SCALE, f16::MIN_POSITIVE.to_f32());
    }

    #[test]
    fn names_parse_back() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!(
            "q5".parse::<Format>(),
            Err(Error::UnknownFormat { name: "q5".into() })
        );
    }
}
