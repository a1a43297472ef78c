//! Curves and bars of characters.

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// A column that has a number which is none.
const NOT_FINITE: char = '×';

/// The last values in `width` columns, lowest to highest; means where several share a column.
pub(super) fn sparkline(values: &[f64], width: usize) -> String {
    let columns = columns(values, width);
    let finite = || columns.iter().copied().filter(|value| value.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let column = |value: &f64| {
        if !value.is_finite() {
            return NOT_FINITE;
        }
        let share = match high > low {
            true => (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
            false => 0.5,
        };
        LEVELS[((share * 7.0).round() as usize).min(7)]
    };
    columns.iter().map(column).collect()
}

/// Means of equal parts; a part with a number that is none is none.
fn columns(values: &[f64], width: usize) -> Vec<f64> {
    if values.len() <= width {
        return values.to_vec();
    }
    let mean = |index: usize| {
        let part = &values[index * values.len() / width..(index + 1) * values.len() / width];
        part.iter().sum::<f64>() / part.len() as f64
    };
    (0..width).map(mean).collect()
}

/// A bar of `width` columns, filled by `share` of it.
pub(super) fn bar(share: f64, width: usize) -> String {
    let filled = (share.clamp(0.0, 1.0) * width as f64).floor() as usize;
    let filled = filled.min(width);
    format!("{}{}", "━".repeat(filled), "┄".repeat(width - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_go_from_lowest_to_highest() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 7.0], 10), "▁▂▃█");
        assert_eq!(sparkline(&[3.0, 3.0], 10), "▅▅");
        assert_eq!(sparkline(&[0.0, f64::NAN, 1.0], 10), "▁×█");
        assert_eq!(sparkline(&[f64::NAN], 10), "×");
        assert_eq!(sparkline(&[0.0, 0.0, 1.0, 1.0], 2), "▁█");
        assert_eq!(sparkline(&[f64::MIN, f64::MAX], 2), "▁█");
        assert_eq!(sparkline(&[], 2), "");
    }

    #[test]
    fn bars_fill() {
        assert_eq!(bar(0.5, 4), "━━┄┄");
        assert_eq!(bar(2.0, 3), "━━━");
        assert_eq!(bar(f64::NAN, 2), "┄┄");
    }
}
