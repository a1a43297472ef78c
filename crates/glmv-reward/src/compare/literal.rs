//! JSON and the literals of Python that models write for it: read, never run.

use crate::math::Value;

/// Deepest nesting.
const MAX_DEPTH: usize = 12;
/// Most values.
const MAX_VALUES: usize = 5_000;

/// A literal value.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `None`, `null`.
    Null,
    /// `True`, `true` …
    Bool(bool),
    /// A number; `007` is seven.
    Number(Value),
    /// A string in single or double quotes.
    Text(String),
    /// `[…]` or `(…)`.
    List(Vec<Literal>),
    /// `{…}`, in the order of the text; a repeated key keeps its last value.
    Map(Vec<(String, Literal)>),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
}

/// Reads all of `text` as one literal.
pub fn parse(text: &str) -> Option<Literal> {
    let mut reader = Reader {
        text,
        at: 0,
        values: 0,
    };
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, c: char) -> bool {
        self.space();
        let hit = self.rest().starts_with(c);
        self.at += if hit { c.len_utf8() } else { 0 };
        hit
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return None;
        }
        self.space();
        match self.rest().chars().next()? {
            '[' => self.list(']', depth),
            '(' => self.list(')', depth),
            '{' => self.map(depth),
            quote @ ('"' | '\'') => self.string(quote).map(Literal::Text),
            _ => self.word(),
        }
    }

    fn list(&mut self, close: char, depth: usize) -> Option<Literal> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.eat(close) {
            if !items.is_empty() && !self.eat(',') {
                return None;
            }
            if !items.is_empty() && self.eat(close) {
                break;
            }
            items.push(self.value(depth + 1)?);
        }
        Some(Literal::List(items))
    }

    fn map(&mut self, depth: usize) -> Option<Literal> {
        self.at += 1;
        let mut entries: Vec<(String, Literal)> = Vec::new();
        while !self.eat('}') {
            if !entries.is_empty() && !self.eat(',') {
                return None;
            }
            if !entries.is_empty() && self.eat('}') {
                break;
            }
            self.space();
            let quote = self
                .rest()
                .chars()
                .next()
                .filter(|c| matches!(c, '"' | '\''))?;
            let key = self.string(quote)?;
            if !self.eat(':') || entries.len() > 100 {
                return None;
            }
            let value = self.value(depth + 1)?;
            match entries.iter_mut().find(|(name, _)| *name == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
        Some(Literal::Map(entries))
    }

    fn string(&mut self, quote: char) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += at + 1;
                    return Some(out);
                }
                '\\' => match chars.next()?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    'u' => {
                        let mut hex = String::new();
                        for _ in 0..4 {
                            hex.push(chars.next()?.1);
                        }
                        let code = u32::from_str_radix(&hex, 16).ok()?;
                        out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
                    }
                    other => out.push(other),
                },
                c => out.push(c),
            }
        }
        None
    }

    fn word(&mut self) -> Option<Literal> {
        let rest = self.rest();
        let end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'));
        let word = rest[..rest.find(end).unwrap_or(rest.len())].to_owned();
        self.at += word.len();
        match word.as_str() {
            "true" | "True" => Some(Literal::Bool(true)),
            "false" | "False" => Some(Literal::Bool(false)),
            "null" | "None" => Some(Literal::Null),
            _ => super::number::decimal(&word)
                .filter(|n| !n.percent)
                .map(|n| Literal::Number(n.value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_notations() {
        let json = parse(r#"{"a": [1, 2.5, "x"], "b": true, "c": null}"#);
        assert!(json.is_some());
        assert_eq!(json, parse("{'a': [01, 2.50, 'x',], 'b': True, 'c': None}"));
        assert_eq!(
            parse(r#""tab\tq\"\u4e2d""#),
            Some(Literal::Text("tab\tq\"中".into()))
        );
        for text in [
            "",
            "{",
            "[1",
            "{{'a': 1}}",
            "[1 2]",
            "{a: 1}",
            "1 2",
            "__import__('os')",
            "'open",
            "[,]",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn json_texts_are_read_back(text in "\\PC{0,20}", n in -1000_i64..1000) {
            let json = serde_json::json!({ "t": text.clone(), "n": [n] }).to_string();
            let read = parse(&json);
            let expected = Literal::Map(vec![
                ("t".into(), Literal::Text(text)),
                ("n".into(), Literal::List(vec![Literal::Number(Value::int(n.into()))])),
            ]);
            prop_assert_eq!(read, Some(expected));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}()'\",:0-9a-z\\\\ ]{0,60}") {
            let _ = parse(&text);
        }
    }
}
