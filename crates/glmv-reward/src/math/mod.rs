//! Mathematics as text: LaTeX or plain notation in, values and structures out.
//!
//! [`lex`](lex::lex) turns text into tokens, [`parse`](parse::parse) tokens into a [`Form`] (an
//! expression, a list, an interval, a relation …), [`eval`] a constant expression into a [`Value`]
//! or any expression into a number at a point. Nothing of the text is ever run: the only operations
//! are those of [`Expr`]. Every step is bounded (length, tokens, depth, size of exact integers), so
//! `10**10**9` costs nothing. Called by [`crate::compare::expression`].

pub mod ast;
pub mod eval;
mod lex;
mod names;
pub mod parse;
mod primary;
mod signs;
pub mod token;
pub mod value;

pub use ast::{Bracket, Expr, Form, Func, Relation};
pub use eval::{at_point, constant};
pub use parse::parse;
pub use value::Value;

/// Longest text that is read as mathematics, bytes; longer text is prose.
pub const MAX_BYTES: usize = 2_000;
/// Most tokens of one expression.
pub const MAX_TOKENS: usize = 600;
/// Deepest nesting of brackets, fractions and exponents.
pub const MAX_DEPTH: usize = 48;

/// True for the name of a Greek letter.
pub fn is_greek(name: &str) -> bool {
    names::greek_name(name).is_some()
}
