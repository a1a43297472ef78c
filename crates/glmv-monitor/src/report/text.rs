//! Numbers, times and long texts for people.

use std::fmt::Write as _;

use super::escape::Text;

/// Characters of a text that are shown.
const MAX_CHARS: usize = 20_000;

/// A number in about four digits.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => format!("{value}"),
        size if !(1e-3..1e9).contains(&size) => format!("{value:.3e}"),
        size if size < 10.0 => trim(&format!("{value:.4}")).to_owned(),
        size if size < 1000.0 => trim(&format!("{value:.2}")).to_owned(),
        _ => format!("{value:.0}"),
    }
}

/// A decimal without zeros at its end.
pub(super) fn trim(decimal: &str) -> &str {
    decimal.trim_end_matches('0').trim_end_matches('.')
}

/// Hours and minutes, or less.
pub(super) fn duration(secs: f64) -> String {
    if !(0.0..1e12).contains(&secs) {
        return "?".to_owned();
    }
    let secs = secs.round() as u64;
    match (secs / 3600, secs / 60 % 60, secs % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// Date and time in UTC of seconds since 1970, in the proleptic Gregorian calendar.
pub(super) fn date(unix_secs: f64) -> String {
    if !(0.0..1e11).contains(&unix_secs) {
        return "?".to_owned();
    }
    let secs = unix_secs as u64;
    let (mut days, secs) = (secs / 86_400, secs % 86_400);
    let mut year = 1970;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    loop {
        let len = 365 + u64::from(is_leap(year));
        if days < len {
            break;
        }
        days -= len;
        year += 1;
    }
    let lens = [
        31,
        28 + u64::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for len in lens {
        if days < len {
            break;
        }
        days -= len;
        month += 1;
    }
    let (hour, minute) = (secs / 3600, secs / 60 % 60);
    format!(
        "{year}-{month:02}-{:02} {hour:02}:{minute:02} UTC",
        days + 1
    )
}

/// A text that may be long, escaped; says how much is left out.
pub(super) fn long(text: &str) -> String {
    let Some((end, _)) = text.char_indices().nth(MAX_CHARS) else {
        return Text(text).to_string();
    };
    let mut shown = Text(&text[..end]).to_string();
    let left = text[end..].chars().count();
    let _ = write!(shown, "\n[… {left} characters more]");
    shown
}

/// The start of a text in one line, escaped.
pub(super) fn excerpt(text: &str, max_chars: usize) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(max_chars) {
        None => Text(&line).to_string(),
        Some((end, _)) => format!("{}…", Text(&line[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0.0), "1970-01-01 00:00 UTC");
        assert_eq!(date(951_782_399.0), "2000-02-28 23:59 UTC");
        assert_eq!(date(951_782_400.0), "2000-02-29 00:00 UTC");
        assert_eq!(date(4_107_542_400.0), "2100-03-01 00:00 UTC");
        assert_eq!(date(f64::NAN), "?");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [1.0, -0.5, 12.345, 1e-5, 250_000.4, -0.0].map(number);
        assert_eq!(shown, ["1", "-0.5", "12.35", "1.000e-5", "250000", "0"]);
        assert_eq!(
            [5.0, 125.0, 7322.0].map(duration),
            ["5 s", "2 min 5 s", "2 h 2 min"]
        );
    }

    #[test]
    fn long_texts_say_what_is_left_out() {
        let text = "é".repeat(MAX_CHARS + 5);
        assert!(long(&text).ends_with("é\n[… 5 characters more]"));
        assert_eq!(long("<a>"), "&lt;a&gt;");
        assert_eq!(excerpt("a\n b  <c>d", 5), "a b &lt;…");
    }
}
