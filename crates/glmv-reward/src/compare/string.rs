//! Text equality: as it stands, or without regard to what carries no meaning.

/// Folds full-width characters to ASCII, drops case, LaTeX and Markdown wrapping, outer punctuation
/// and repeated white space.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for c in unwrap(text).chars() {
        let c = half_width(c);
        if c.is_whitespace() {
            gap = !out.is_empty();
            continue;
        }
        if std::mem::take(&mut gap) {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    let end = |c: char| ".,;:!。，；：！\"'“”‘’".contains(c);
    let trimmed = out
        .trim_end_matches(end)
        .trim_start_matches(['"', '\'', '“', '‘']);
    // Text of nothing but punctuation stands for itself.
    if trimmed.is_empty() {
        out
    } else {
        trimmed.trim_end().to_owned()
    }
}

/// Full-width forms and typographic signs to ASCII.
pub fn half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' | '\u{a0}' | '\u{2009}' | '\u{202f}' => ' ',
        '−' | '‐' | '‑' => '-',
        '’' | '‘' => '\'',
        '“' | '”' => '"',
        _ => c,
    }
}

/// Takes off `$…$`, `\text{…}`, `\boxed{…}`, `**…**` and backquotes around the whole text.
pub fn unwrap(text: &str) -> &str {
    let mut text = text.trim();
    for _ in 0..6 {
        let inner = strip_once(text).map(str::trim);
        match inner {
            Some(inner) if !inner.is_empty() => text = inner,
            _ => break,
        }
    }
    text
}

fn strip_once(text: &str) -> Option<&str> {
    for (open, close) in [
        ("$$", "$$"),
        ("$", "$"),
        ("**", "**"),
        ("`", "`"),
        ("\\(", "\\)"),
        ("\\[", "\\]"),
    ] {
        if let Some(inner) = text.strip_prefix(open).and_then(|t| t.strip_suffix(close))
            && !inner.contains(open)
        {
            return Some(inner);
        }
    }
    let body = ["\\text{", "\\boxed{", "\\mathrm{", "\\textbf{", "\\mathbf{"]
        .iter()
        .find_map(|open| text.strip_prefix(open))?
        .strip_suffix('}')?;
    let mut depth = 0_i32;
    for c in body.chars() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth < 0 {
            return None;
        }
    }
    (depth == 0).then_some(body)
}

/// True where both are the same but for case, width, wrapping, outer punctuation and white space.
pub fn same_folded(answer: &str, truth: &str) -> bool {
    let folded = fold(answer);
    !folded.is_empty() && folded == fold(truth)
}

/// Removes spaces, tabs and line ends.
pub fn without_space(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, ' ' | '\n' | '\r' | '\t' | '\u{3000}'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_carries_no_meaning_is_folded() {
        for (a, b) in [
            ("Cat", "cat"),
            ("  the  cat. ", "The cat"),
            (r"\text{Blue}", "blue"),
            ("**Paris**", "Paris"),
            ("ＡＢＣ", "abc"),
            ("$x$", "x"),
            (r"\boxed{42}", "42"),
            ("北京。", "北京"),
        ] {
            assert!(same_folded(a, b), "{a} = {b}");
        }
        for (a, b) in [
            ("cat", "cats"),
            ("", ""),
            ("e-mail", "email"),
            ("-3", "3"),
            ("A", "B"),
        ] {
            assert!(!same_folded(a, b), "{a} ≠ {b}");
        }
        assert_eq!(unwrap(r"\text{a} and \text{b}"), r"\text{a} and \text{b}");
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing_more(text in "\\PC{0,30}") {
            let once = fold(&text);
            prop_assert!(once.chars().count() <= text.chars().count() * 3);
            if !once.is_empty() {
                prop_assert!(same_folded(&text, &text));
            }
            let spaced = format!("  {text} ");
            prop_assert_eq!(same_folded(&spaced, &text), !once.is_empty());
        }
    }
}
