//! Which of many records are shown.

/// At most `max` of `total` indices, evenly spread, first and last among them, rising.
pub(super) fn spread(total: usize, max: usize) -> Vec<usize> {
    if total <= max {
        return (0..total).collect();
    }
    match max {
        0 => Vec::new(),
        1 => vec![total - 1],
        max => (0..max)
            .map(|index| index * (total - 1) / (max - 1))
            .collect(),
    }
}

/// Equal parts of `0..total`, at most `max` of them, none empty.
pub(super) fn parts(total: usize, max: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = total.min(max);
    (0..count).map(move |index| index * total / count..(index + 1) * total / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_last_are_among_them() {
        assert_eq!(spread(10, 4), [0, 3, 6, 9]);
        assert_eq!(spread(3, 4), [0, 1, 2]);
        assert_eq!((spread(3, 1), spread(3, 0)), (vec![2], vec![]));
        assert_eq!(parts(5, 2).collect::<Vec<_>>(), [0..2, 2..5]);
        assert_eq!(parts(0, 2).count(), 0);
    }
}
