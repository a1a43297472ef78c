//! The crate's error type.

/// Arguments that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A slice whose length does not follow from the shape.
    #[error("{what} has {found} elements, expected {expected} for the shape {shape:?}")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Elements given.
        found: usize,
        /// Elements that the shape asks for; `usize::MAX` if that is more than can exist.
        expected: usize,
        /// The shape.
        shape: Vec<usize>,
    },
    /// Two arguments of different size in a dimension they share.
    #[error("{what} is {found}, expected {expected}")]
    Dimension {
        /// Which dimension of which argument.
        what: &'static str,
        /// Size given.
        found: usize,
        /// Size expected.
        expected: usize,
    },
    /// Rows outside of a matrix.
    #[error("rows {start}..{end} are outside of a matrix of {rows} rows")]
    Rows {
        /// First row asked for.
        start: usize,
        /// One past the last row asked for.
        end: usize,
        /// Rows of the matrix.
        rows: usize,
    },
}

/// Checks the length of a slice against a shape.
pub(crate) fn check(what: &'static str, found: usize, shape: &[usize]) -> Result<(), Error> {
    let expected = shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .unwrap_or(usize::MAX);
    if found == expected {
        return Ok(());
    }
    Err(Error::Length {
        what,
        found,
        expected,
        shape: shape.to_vec(),
    })
}

/// Checks that two sizes agree.
pub(crate) fn same(what: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Dimension {
        what,
        found,
        expected,
    })
}
