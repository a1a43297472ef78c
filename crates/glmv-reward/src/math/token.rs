//! The pieces of mathematical text.

use super::Value;
use super::ast::{Bracket, Func, Relation};

/// A piece of mathematical text.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// A number.
    Num(Value),
    /// A vulgar fraction sign such as `½`, which adds to a number before it.
    Vulgar(Value),
    /// A symbol.
    Sym(String),
    /// A function name.
    Func(Func),
    /// Text that is no mathematics: `\text{…}`, a word of another script.
    Text(String),
    /// π.
    Pi,
    /// Euler's number.
    Euler,
    /// `\frac` and its kin.
    Frac,
    /// `\sqrt` or `√`.
    Sqrt,
    /// `\binom`.
    Binom,
    /// ∞.
    Infinity,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `±`
    PlusMinus,
    /// `*`
    Star,
    /// `/`
    Slash,
    /// `^`
    Caret,
    /// `_`
    Underscore,
    /// `!`
    Bang,
    /// `%`
    Percent,
    /// `°`
    Degree,
    /// An opening bracket.
    Open(Bracket),
    /// A closing bracket.
    Close(Bracket),
    /// `|`
    Bar,
    /// `,`
    Comma,
    /// `;` or a line end.
    Semicolon,
    /// `:`
    Colon,
    /// A relation sign.
    Rel(Relation),
    /// `∪`
    Union,
    /// `∈`
    In,
    /// "or"
    Or,
    /// "and"
    And,
}
