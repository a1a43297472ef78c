//! Texts and numbers for one line of a terminal.

use std::borrow::Cow;

use console::{measure_text_width, truncate_str};

/// The text without what would move the cursor or change colours: a model may write anything.
pub(super) fn clean(text: &str) -> String {
    let visible = |char: char| match char {
        '\n' | '\r' | '\t' => ' ',
        char if char.is_control() || is_format(char) => '\u{fffd}',
        char => char,
    };
    text.chars().map(visible).collect()
}

/// Characters that change direction or are not seen.
fn is_format(char: char) -> bool {
    matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text cut to `width` columns.
pub(super) fn fit(text: &str, width: usize) -> Cow<'_, str> {
    truncate_str(text, width, "…")
}

/// The text over at most `rows` rows of `width` columns, cut where it does not fit.
pub(super) fn wrap(text: &str, width: usize, rows: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut column = 0;
    let mut char_text = [0; 4];
    for char in text.chars() {
        let char_width = measure_text_width(char.encode_utf8(&mut char_text));
        if column + char_width > width {
            if lines.len() == rows {
                break;
            }
            lines.push(String::new());
            column = 0;
        }
        column += char_width;
        if let Some(line) = lines.last_mut() {
            line.push(char);
        }
    }
    lines.truncate(rows);
    lines
}

/// A number in at most five digits.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    match value.abs() {
        size if !size.is_finite() => format!("{value}"),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.2e}"),
        size if size < 1.0 => format!("{value:.4}"),
        size if size < 100.0 => format!("{value:.3}"),
        _ => format!("{value:.0}"),
    }
}

/// Bytes in a unit of their size.
pub(super) fn bytes(value: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = value;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

/// Seconds as hours, minutes and seconds; `?` for what is no time.
pub(super) fn duration(secs: f64) -> String {
    if !(0.0..1e9).contains(&secs) {
        return "?".to_owned();
    }
    let secs = secs.round() as u64;
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_are_harmless() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb c\u{fffd}d");
        assert!(
            clean("\u{9b}31m\x07\x7f")
                .chars()
                .filter(|c| c.is_control())
                .count()
                == 0
        );
    }

    #[test]
    fn wide_characters_are_counted_as_two() {
        assert_eq!(wrap("日本語日本", 5, 2), ["日本", "語日"]);
        assert_eq!(wrap("abc", 5, 2), ["abc"]);
        assert_eq!(fit("abcdef", 4), "abc…");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.51234, 12.3456, 1234.5, 1e-7, f64::NAN].map(number);
        assert_eq!(shown, ["0", "0.5123", "12.346", "1234", "1.00e-7", "NaN"]);
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(
            [5.0, 125.0, 7322.0, f64::NAN, -1.0].map(duration),
            ["5s", "2m05s", "2h02m", "?", "?"]
        );
    }
}
