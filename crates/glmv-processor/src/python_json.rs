//! JSON text as Python's `json.dumps` writes it, for the template filter `tojson`: `", "` and `":
//! "` separators, Python's float spelling, optional indentation, optional `\uXXXX` escapes. Called
//! by the template.

use serde_json::Value;

/// How to write: the keyword arguments of `json.dumps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Style {
    pub ensure_ascii: bool,
    /// Text of one indentation level.
    pub indent: Option<String>,
    pub item_separator: String,
    pub key_separator: String,
    pub sort_keys: bool,
}

/// `value` as JSON text in Python's formatting.
pub(crate) fn dumps(value: &Value, style: &Style) -> String {
    let mut out = String::new();
    write(&mut out, value, style, 0);
    out
}

fn write(out: &mut String, value: &Value, style: &Style, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(&number(n)),
        Value::String(s) => string(out, s, style.ensure_ascii),
        Value::Array(items) => {
            wrap(out, ('[', ']'), items.iter(), style, level, |out, item| {
                write(out, item, style, level + 1)
            });
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            if style.sort_keys {
                entries.sort_by(|a, b| a.0.cmp(b.0));
            }
            wrap(
                out,
                ('{', '}'),
                entries.into_iter(),
                style,
                level,
                |out, (key, item)| {
                    string(out, key, style.ensure_ascii);
                    out.push_str(&style.key_separator);
                    write(out, item, style, level + 1);
                },
            );
        }
    }
}

fn wrap<T>(
    out: &mut String,
    brackets: (char, char),
    items: impl ExactSizeIterator<Item = T>,
    style: &Style,
    level: usize,
    mut each: impl FnMut(&mut String, T),
) {
    let empty = items.len() == 0;
    let new_line = |out: &mut String, level: usize| {
        if let (Some(indent), false) = (&style.indent, empty) {
            out.push('\n');
            out.push_str(&indent.repeat(level));
        }
    };
    out.push(brackets.0);
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push_str(&style.item_separator);
        }
        new_line(out, level + 1);
        each(out, item);
    }
    new_line(out, level);
    out.push(brackets.1);
}

fn string(out: &mut String, text: &str, ensure_ascii: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || (ensure_ascii && !(' '..='~').contains(&c)) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A number as Python prints it: integers as they are, floats as `float.__repr__`.
fn number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => float_repr(value),
        _ => number.to_string(),
    }
}

/// Python's `repr` of a finite float: shortest digits that round-trip; exponent form below 1e-4 and
/// from 1e16 on.
fn float_repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(e) if value != 0.0 && !(-4..16).contains(&e) => {
            format!("{mantissa}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style() -> Style {
        Style {
            ensure_ascii: false,
            indent: None,
            item_separator: ", ".to_owned(),
            key_separator: ": ".to_owned(),
            sort_keys: false,
        }
    }

    #[test]
    fn matches_python() {
        let value: Value = serde_json::from_str(
            r#"{"b": [1, 2.0, -0.0, 1e16, 1e-5, 0.0001, 123456789012345680.0], "a": "ü\u0001\u007f\"\\\n🙂", "e": [], "o": {}}"#,
        )
        .expect("literal");
        assert_eq!(
            dumps(&value, &style()),
            "{\"b\": [1, 2.0, -0.0, 1e+16, 1e-05, 0.0001, 1.2345678901234568e+17], \
             \"a\": \"ü\\u0001\u{7f}\\\"\\\\\\n🙂\", \"e\": [], \"o\": {}}"
        );
        let ascii = Style {
            ensure_ascii: true,
            sort_keys: true,
            ..style()
        };
        assert!(
            dumps(&value, &ascii)
                .starts_with("{\"a\": \"\\u00fc\\u0001\\u007f\\\"\\\\\\n\\ud83d\\ude42\", \"b\"")
        );
    }

    #[test]
    fn indentation_matches_python() {
        let value: Value = serde_json::from_str(r#"{"a": [1, 2], "b": []}"#).expect("literal");
        let indented = Style {
            indent: Some("  ".to_owned()),
            item_separator: ",".to_owned(),
            ..style()
        };
        assert_eq!(
            dumps(&value, &indented),
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": []\n}"
        );
    }
}
