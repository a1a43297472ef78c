//! Rectangles of stored matrices: how parts of several hub tensors become one parameter.

use std::ops::Range;

/// Rows `rows`, columns `cols` of the stored tensor `name`, all but its last axis taken as rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// Name on the hub.
    pub name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
    pub rows: Range<usize>,
    pub cols: Range<usize>,
}

impl Piece {
    /// The whole of a stored `[rows, cols]`.
    pub fn whole(name: String, [rows, cols]: [usize; 2]) -> Self {
        Piece {
            name,
            shape: vec![rows, cols],
            rows: 0..rows,
            cols: 0..cols,
        }
    }

    /// Only the given rows.
    pub fn rows(self, rows: Range<usize>) -> Self {
        Piece { rows, ..self }
    }

    /// Only the given columns.
    pub fn cols(self, cols: Range<usize>) -> Self {
        Piece { cols, ..self }
    }
}

/// The parts of `pieces`, laid one below the other, that fall into rows `range` of the whole.
pub(crate) fn within(pieces: &[Piece], range: Range<usize>) -> impl Iterator<Item = Piece> {
    let mut top = 0;
    pieces.iter().filter_map(move |piece| {
        let first = top;
        top += piece.rows.len();
        let (start, end) = (range.start.max(first), range.end.min(top));
        (start < end).then(|| {
            let offset = piece.rows.start;
            piece
                .clone()
                .rows(offset + start - first..offset + end - first)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_rows_cuts_pieces_where_they_meet() {
        let piece = |name: &str, rows| Piece::whole(name.to_string(), [rows, 2]);
        let pieces = [piece("a", 3), piece("b", 4).rows(1..4), piece("c", 1)];
        let cut = |range| -> Vec<(String, Range<usize>)> {
            within(&pieces, range).map(|p| (p.name, p.rows)).collect()
        };
        let named = |name: &str, rows| (name.to_string(), rows);
        assert_eq!(cut(1..4), [named("a", 1..3), named("b", 1..2)]);
        assert_eq!(cut(4..7), [named("b", 2..4), named("c", 0..1)]);
        assert_eq!(cut(3..3), []);
    }
}
