//! The crate's error type.

use crate::Format;

/// What can go wrong between f32 weights and packed ones.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A weight that is NaN or infinite.
    #[error("weight at row {row}, column {col} is {value}: only finite weights can be quantised")]
    NonFinite {
        /// Row of the matrix.
        row: usize,
        /// Column of the matrix.
        col: usize,
        /// The value found.
        value: f32,
    },
    /// A block so large that its scale does not fit f16.
    #[error(
        "weight {value} at row {row}, column {col} needs a {format} scale beyond f16: the largest \
         weight is {limit}"
    )]
    ScaleOverflow {
        /// Row of the block.
        row: usize,
        /// Column of the block's largest weight.
        col: usize,
        /// The block's largest weight.
        value: f32,
        /// The format.
        format: Format,
        /// Largest magnitude the format can hold.
        limit: f32,
    },
    /// A column weight that is negative, NaN or infinite.
    #[error("importance of column {col} is {value}: it must be finite and not negative")]
    Importance {
        /// The column.
        col: usize,
        /// The value found.
        value: f32,
    },
    /// A slice whose length does not follow from the matrix.
    #[error(
        "{what} of a {format} matrix [{rows}, {cols}] has {found} elements, expected {expected}"
    )]
    Length {
        /// Which slice.
        what: &'static str,
        /// The format.
        format: Format,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
        /// Elements given.
        found: usize,
        /// Elements that the shape asks for.
        expected: usize,
    },
    /// Rows outside of the matrix.
    #[error("rows {start}..{end} are outside of a matrix of {rows} rows")]
    Rows {
        /// First row asked for.
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// Rows of the matrix.
        rows: usize,
    },
    /// A matrix larger than memory can be addressed.
    #[error("a {format} matrix [{rows}, {cols}] is larger than this machine can address")]
    TooLarge {
        /// The format.
        format: Format,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
    },
    /// A name that is no format.
    #[error("unknown weight format {name:?}: expected q8 or q4")]
    UnknownFormat {
        /// The name given.
        name: String,
    },
}
