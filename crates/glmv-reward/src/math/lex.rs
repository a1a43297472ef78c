//! Text to tokens: plain notation, LaTeX and the usual Unicode signs.

use super::ast::{Bracket, Relation};
use super::token::Token;
use super::{MAX_BYTES, MAX_TOKENS, Value, names, signs};

/// Tokens and what was doubtful about them.
#[derive(Debug, Default)]
pub struct Lexed {
    /// The tokens; the flag says whether white space came before.
    pub tokens: Vec<(Token, bool)>,
    /// A comma was taken for a thousands separator.
    pub grouped: bool,
    /// A `log` without base was met, whose base is a matter of convention.
    pub vague_log: bool,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    out: Lexed,
    space: bool,
    /// Open brackets other than LaTeX groups.
    depth: usize,
    /// Commas between groups of three digits belong to the number.
    group: bool,
    /// Letter runs are products.
    split: bool,
}

/// Reads `text`; `None` if it cannot be mathematics or is too long. With `group`, `1,000` outside
/// of brackets is one number.
pub fn lex(text: &str, group: bool) -> Option<Lexed> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let evidence = |c: char| c.is_ascii_digit() || "^*+=_\\√²³<>".contains(c);
    let mut lexer = Lexer {
        text,
        at: 0,
        out: Lexed::default(),
        space: false,
        depth: 0,
        group,
        split: text.contains(evidence),
    };
    while lexer.at < text.len() {
        lexer.step()?;
        if lexer.out.tokens.len() > MAX_TOKENS {
            return None;
        }
    }
    Some(lexer.out)
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, token: Token) {
        let space = std::mem::take(&mut self.space);
        self.out.tokens.push((token, space));
    }

    fn step(&mut self) -> Option<()> {
        let c = self.rest().chars().next()?;
        if c.is_ascii_digit()
            || (c == '.' && self.rest()[1..].starts_with(|d: char| d.is_ascii_digit()))
        {
            return self.number();
        }
        if c.is_ascii_alphabetic() {
            return self.letters();
        }
        self.at += c.len_utf8();
        match c {
            '\\' => return self.command(),
            '\n' => {
                self.push(Token::Semicolon);
            }
            '$' => self.space = true,
            '&' | '~' => self.space = true,
            _ if c.is_whitespace() => self.space = true,
            '(' | '[' | '{' => self.open(c),
            ')' | ']' | '}' => self.close(c),
            '*' if self.rest().starts_with('*') => {
                self.at += 1;
                self.push(Token::Caret);
            }
            '<' | '>' | '=' | '!' if self.rest().starts_with('=') => {
                self.at += 1;
                self.push(Token::Rel(match c {
                    '<' => Relation::LessEq,
                    '>' => Relation::GreaterEq,
                    '=' => Relation::Equal,
                    _ => Relation::Unequal,
                }));
            }
            '^' if self.rest().starts_with("{\\circ}") => {
                self.at += "{\\circ}".len();
                self.push(Token::Degree);
            }
            _ => return self.sign(c),
        }
        Some(())
    }

    fn open(&mut self, c: char) {
        let latex_group = c == '{' && self.text.contains('\\');
        if !latex_group {
            self.depth += 1;
        }
        self.push(Token::Open(signs::bracket(c)));
    }

    fn close(&mut self, c: char) {
        let latex_group = c == '}' && self.text.contains('\\');
        if !latex_group {
            self.depth = self.depth.saturating_sub(1);
        }
        self.push(Token::Close(signs::bracket(c)));
    }

    fn sign(&mut self, c: char) -> Option<()> {
        if let Some(token) = signs::simple(c) {
            self.push(token);
            return Some(());
        }
        if signs::superscript(c).is_some() {
            self.at -= c.len_utf8();
            return self.superscripts();
        }
        if let Some(digit) = signs::subscript(c) {
            self.push(Token::Underscore);
            self.push(Token::Num(Value::int(i128::from(digit))));
            return Some(());
        }
        if let Some((n, d)) = signs::vulgar(c) {
            self.push(Token::Vulgar(Value::ratio(n, d)));
            return Some(());
        }
        if let Some(name) = names::greek_char(c) {
            self.push(Token::Sym(name.into()));
            return Some(());
        }
        if c == '∅' {
            self.push(Token::Open(Bracket::Curly));
            self.push(Token::Close(Bracket::Curly));
            return Some(());
        }
        if c.is_alphabetic() || c == '℃' || c == '℉' {
            return self.foreign(c);
        }
        None
    }

    /// A word of another script.
    fn foreign(&mut self, first: char) -> Option<()> {
        let end = |c: char| !c.is_alphabetic() || c.is_ascii() || "或和与且".contains(c);
        if "或和与且".contains(first) {
            self.push(if first == '或' {
                Token::Or
            } else {
                Token::And
            });
            if self.rest().starts_with('者') {
                self.at += '者'.len_utf8();
            }
            return Some(());
        }
        let rest = self.rest();
        let len = rest.find(end).unwrap_or(rest.len());
        let word = format!("{first}{}", &rest[..len]);
        self.at += len;
        self.push(Token::Text(word));
        Some(())
    }

    fn superscripts(&mut self) -> Option<()> {
        let digits: String = self.rest().chars().map_while(signs::superscript).collect();
        let len: usize = self
            .rest()
            .chars()
            .take_while(|c| signs::superscript(*c).is_some())
            .map(char::len_utf8)
            .sum();
        self.at += len;
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => (-1, rest.to_owned()),
            None => (1, digits),
        };
        let size: i128 = digits.trim_start_matches('+').parse().ok()?;
        self.push(Token::Caret);
        self.push(Token::Num(Value::int(sign * size)));
        Some(())
    }

    /// A run of ASCII letters: a name, a product of symbols, or a word.
    fn letters(&mut self) -> Option<()> {
        let rest = self.rest();
        let len = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let word = rest[..len].to_owned();
        self.at += len;
        self.word(&word);
        Some(())
    }

    fn word(&mut self, word: &str) {
        if let Some(token) = signs::known(word) {
            self.out.vague_log |= word == "log" && !self.rest().trim_start().starts_with('_');
            return self.push(token);
        }
        if word.len() == 1 {
            return self.push(Token::Sym(word.into()));
        }
        if self.split {
            for prefix in names::PREFIXES {
                if let Some(tail) = word.strip_prefix(prefix)
                    && tail.len() <= 2
                    && let Some(func) = names::function(prefix)
                {
                    self.push(Token::Func(func));
                    return tail.chars().for_each(|c| self.letter(c));
                }
            }
            if word.len() <= 3 {
                return word.chars().for_each(|c| self.letter(c));
            }
        }
        self.push(Token::Sym(word.into()));
    }

    fn letter(&mut self, c: char) {
        self.push(if c == 'e' {
            Token::Euler
        } else {
            Token::Sym(c.into())
        });
    }

    /// Digits, with groups of three, a point and an exponent.
    fn number(&mut self) -> Option<()> {
        let mut digits = String::new();
        let mut exponent = 0_i64;
        self.take_digits(&mut digits);
        if (1..=3).contains(&digits.len()) && !digits.starts_with('0') {
            while let Some(skip) = self.group_separator() {
                self.at += skip;
                self.take_digits(&mut digits);
            }
        }
        if self.rest().starts_with('.') && !self.rest().starts_with("..") {
            self.at += 1;
            let before = digits.len();
            self.take_digits(&mut digits);
            exponent -= (digits.len() - before) as i64;
        }
        let tail = self.rest().as_bytes();
        if matches!(tail.first(), Some(b'e' | b'E')) {
            let signed = matches!(tail.get(1), Some(b'+' | b'-'));
            let start = 1 + usize::from(signed);
            let end = start
                + tail[start.min(tail.len())..]
                    .iter()
                    .take_while(|b| b.is_ascii_digit())
                    .count();
            if end > start {
                let size: i64 = self.rest()[start..end].parse().unwrap_or(i64::MAX / 4);
                exponent = exponent.saturating_add(if tail[1] == b'-' { -size } else { size });
                self.at += end;
            }
        }
        self.push(Token::Num(Value::decimal(&digits, exponent)));
        Some(())
    }

    fn take_digits(&mut self, into: &mut String) {
        let rest = &self.text[self.at..];
        let len = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        into.push_str(&rest[..len]);
        self.at += len;
    }

    /// Bytes of a separator that is followed by exactly three digits.
    fn group_separator(&mut self) -> Option<usize> {
        const SIGNS: [&str; 7] = [
            "{,}", "\\,", "\\!", "{\\,}", "\u{2009}", "\u{202f}", "\u{a0}",
        ];
        let rest = self.rest();
        let comma = self.group && self.depth == 0 && rest.starts_with(',');
        let skip = match SIGNS.iter().find(|s| rest.starts_with(**s)) {
            Some(sign) => sign.len(),
            None if comma => 1,
            None => return None,
        };
        let fits = rest[skip..].bytes().take_while(u8::is_ascii_digit).count() == 3;
        self.out.grouped |= fits && comma;
        fits.then_some(skip)
    }

    fn command(&mut self) -> Option<()> {
        let rest = self.rest();
        let len = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        if len == 0 {
            let c = rest.chars().next()?;
            self.at += c.len_utf8();
            match c {
                '{' => self.open('\u{7b}'),
                '}' => self.close('\u{7d}'),
                '%' => self.push(Token::Percent),
                '|' => self.push(Token::Bar),
                '\\' => self.push(Token::Semicolon),
                ',' | ';' | ':' | '!' | ' ' | '$' | '(' | ')' | '[' | ']' => self.space = true,
                _ => return None,
            }
            return Some(());
        }
        let name = rest[..len].to_owned();
        self.at += len;
        if names::is_spacing(&name) {
            self.space = true;
            if matches!(name.as_str(), "left" | "right") && self.rest().starts_with('.') {
                self.at += 1;
            }
            return Some(());
        }
        if names::is_text(&name) {
            return self.text_argument();
        }
        if name == "circ" && matches!(self.out.tokens.last(), Some((Token::Caret, _))) {
            self.out.tokens.pop();
        }
        self.out.vague_log |= name == "log" && !self.rest().trim_start().starts_with('_');
        self.push(signs::command(&name)?);
        if name == "emptyset" || name == "varnothing" {
            self.push(Token::Close(Bracket::Curly));
        }
        if name.ends_with("frac") {
            // \frac12 is one half: without braces an argument is one digit.
            for _ in 0..2 {
                let rest = self.rest();
                let digit = rest.trim_start().bytes().next().filter(u8::is_ascii_digit);
                let Some(digit) = digit else { break };
                self.at += rest.len() - rest.trim_start().len() + 1;
                self.push(Token::Num(Value::int(i128::from(digit - b'0'))));
            }
        }
        Some(())
    }

    /// The argument of `\text` and the like.
    fn text_argument(&mut self) -> Option<()> {
        let rest = self.rest().trim_start();
        let body = rest.strip_prefix('{')?;
        let end = body.find(['{', '}'])?;
        if !body[end..].starts_with('}') {
            return None;
        }
        let text = body[..end].trim().to_owned();
        self.at = self.text.len() - body.len() + end + 1;
        match text.as_str() {
            "" => self.space = true,
            "or" | "或" => self.push(Token::Or),
            "and" | "和" => self.push(Token::And),
            "e" => self.push(Token::Euler),
            _ if names::function(&text).is_some() => self.word(&text),
            _ if text.len() == 1 && text.bytes().all(|b| b.is_ascii_alphabetic()) => {
                self.push(Token::Sym(text));
            }
            _ => self.push(Token::Text(text)),
        }
        Some(())
    }
}
