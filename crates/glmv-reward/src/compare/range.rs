//! Spans of numbers: `5 to 9`, `5~9`, `5–9`.

use super::{number, words};

const SIGNS: [&str; 9] = [" to ", "~", "～", "–", "—", "至", "到", "..", "-"];

/// True for two numbers with a sign of a span between them; a hyphen is one only with `hyphen`.
pub fn is_span(text: &str, hyphen: bool) -> bool {
    let text = text.trim();
    let text = text.strip_prefix("from ").unwrap_or(text);
    let text = text.strip_prefix('从').unwrap_or(text);
    // twenty-one is one number.
    if text.len() > 80 || words::read(text).is_some() {
        return false;
    }
    SIGNS
        .iter()
        .filter(|sign| hyphen || **sign != "-")
        .any(|sign| {
            // A leading sign is that of a negative number.
            let parts = text.char_indices().nth(1).and_then(|(at, _)| {
                let cut = text[at..].find(sign)? + at;
                Some((&text[..cut], &text[cut + sign.len()..]))
            });
            let plain = |p: &str| number::decimal(p).is_some() || words::read(p).is_some();
            parts.is_some_and(|(low, high)| plain(low) && plain(high))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans() {
        for text in [
            "5 to 9",
            "from 5 to 9",
            "5~9",
            "5–9",
            "5至9",
            "three to five",
            "0.5 ~ 1.5",
        ] {
            assert!(is_span(text, false), "{text}");
        }
        assert!(is_span("5-9", true) && !is_span("5-9", false));
        for text in [
            "-5",
            "5",
            "",
            "-",
            "1e-5",
            "2020-01-02",
            "a-b",
            "中",
            "twenty-one",
        ] {
            assert!(!is_span(text, true), "{text}");
        }
    }

    proptest! {
        #[test]
        fn two_numbers_make_a_span(a in -99_i32..99, b in 0_i32..99) {
            let text = format!("{a}-{b}");
            prop_assert!(is_span(&text, true));
            prop_assert!(!is_span(&a.to_string(), true));
        }
    }
}
