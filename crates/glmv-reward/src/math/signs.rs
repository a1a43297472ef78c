//! Single characters, words and LaTeX commands to tokens.

use super::ast::{Bracket, Relation};
use super::names;
use super::token::Token;

/// The kind of a bracket character.
pub fn bracket(c: char) -> Bracket {
    match c {
        '(' | ')' => Bracket::Round,
        '[' | ']' => Bracket::Square,
        _ => Bracket::Curly,
    }
}

/// What a plain word stands for.
pub fn known(word: &str) -> Option<Token> {
    Some(match word {
        "pi" | "PI" => Token::Pi,
        "e" => Token::Euler,
        "oo" | "inf" | "infinity" | "Infinity" => Token::Infinity,
        "or" => Token::Or,
        "and" => Token::And,
        "sqrt" => Token::Sqrt,
        _ => {
            if let Some(func) = names::function(word) {
                Token::Func(func)
            } else {
                Token::Sym(names::greek_name(word)?.into())
            }
        }
    })
}

/// What a LaTeX command stands for.
pub fn command(name: &str) -> Option<Token> {
    Some(match name {
        "frac" | "dfrac" | "tfrac" | "cfrac" => Token::Frac,
        "sqrt" => Token::Sqrt,
        "binom" | "dbinom" | "tbinom" => Token::Binom,
        "pi" => Token::Pi,
        "infty" => Token::Infinity,
        "cdot" | "times" | "ast" => Token::Star,
        "div" => Token::Slash,
        "pm" | "mp" => Token::PlusMinus,
        "circ" | "degree" => Token::Degree,
        "le" | "leq" | "leqslant" => Token::Rel(Relation::LessEq),
        "ge" | "geq" | "geqslant" => Token::Rel(Relation::GreaterEq),
        "lt" => Token::Rel(Relation::Less),
        "gt" => Token::Rel(Relation::Greater),
        "ne" | "neq" => Token::Rel(Relation::Unequal),
        "approx" => Token::Rel(Relation::Equal),
        "cup" => Token::Union,
        "in" => Token::In,
        "lor" | "vee" => Token::Or,
        "land" | "wedge" => Token::And,
        "lbrace" | "emptyset" | "varnothing" => Token::Open(Bracket::Curly),
        "rbrace" => Token::Close(Bracket::Curly),
        "lvert" | "rvert" | "vert" | "mid" => Token::Bar,
        _ => match names::function(name) {
            Some(func) => Token::Func(func),
            None => Token::Sym(names::greek_name(name)?.into()),
        },
    })
}

/// What a single sign stands for.
pub fn simple(c: char) -> Option<Token> {
    Some(match c {
        '+' | '＋' => Token::Plus,
        '-' | '−' | '－' | '–' => Token::Minus,
        '±' | '∓' => Token::PlusMinus,
        '*' | '×' | '·' | '⋅' | '∙' | '＊' => Token::Star,
        '/' | '÷' | '／' | '∕' => Token::Slash,
        '^' | '＾' => Token::Caret,
        '_' => Token::Underscore,
        '!' | '！' => Token::Bang,
        '%' | '％' => Token::Percent,
        '°' | 'º' | '˚' => Token::Degree,
        '|' => Token::Bar,
        '（' => Token::Open(Bracket::Round),
        '）' => Token::Close(Bracket::Round),
        '【' => Token::Open(Bracket::Square),
        '】' => Token::Close(Bracket::Square),
        ',' | '，' | '、' => Token::Comma,
        ';' | '；' => Token::Semicolon,
        ':' | '：' | '∶' => Token::Colon,
        '=' | '＝' | '≈' => Token::Rel(Relation::Equal),
        '<' | '＜' => Token::Rel(Relation::Less),
        '>' | '＞' => Token::Rel(Relation::Greater),
        '≤' | '⩽' | '≦' => Token::Rel(Relation::LessEq),
        '≥' | '⩾' | '≧' => Token::Rel(Relation::GreaterEq),
        '≠' => Token::Rel(Relation::Unequal),
        '∪' => Token::Union,
        '∈' => Token::In,
        '√' => Token::Sqrt,
        'π' => Token::Pi,
        '∞' => Token::Infinity,
        _ => return None,
    })
}

/// The digit or sign of a superscript character.
pub fn superscript(c: char) -> Option<char> {
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
        .chars()
        .position(|s| s == c)
        .and_then(|at| "0123456789-+".chars().nth(at))
}

/// The digit of a subscript character.
pub fn subscript(c: char) -> Option<u32> {
    let digit = u32::from(c).checked_sub(0x2080)?;
    (digit < 10).then_some(digit)
}

/// Numerator and denominator of a fraction character.
pub fn vulgar(c: char) -> Option<(i128, i128)> {
    Some(match c {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅛' => (1, 8),
        _ => return None,
    })
}
