//! Equality of mathematical answers: expressions, equations, inequalities, lists, sets, intervals.
//!
//! Constants are compared as numbers, exactly while they are rational. Expressions with symbols are
//! evaluated at fixed pseudo-random points: equal at all of them means equal.

use super::number::{Tolerance, narrow};
use crate::math::parse::{Parsed, parse};
use crate::math::{Bracket, Expr, Form, Value, at_point, constant};

mod relation;
mod structure;

/// The outcome of a comparison of two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    /// They are the same.
    Yes,
    /// They are different.
    No,
    /// Their symbols make them differ; another way to write the answer may still be right.
    NoSymbolic,
    /// This code cannot tell.
    Unknown,
}

impl Same {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, x) | (x, Self::Yes) => x,
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::NoSymbolic, _) | (_, Self::NoSymbolic) => Self::NoSymbolic,
            _ => Self::Unknown,
        }
    }
}

/// Points at which expressions with symbols are evaluated; the later ones are negative.
const POINTS: u64 = 8;
/// Points that must be defined on both sides.
const MIN_POINTS: usize = 3;

/// Compares two texts as mathematics; `None` if one of them is none.
pub fn compare(answer: &str, truth: &str, tolerance: Tolerance) -> Option<Same> {
    let (answer, truth) = (&narrow(answer), &narrow(truth));
    let (a, t) = (parse(answer, true)?, parse(truth, true)?);
    let same = whole(&a, &t, tolerance);
    if same != Same::Yes
        && (a.grouped || t.grouped)
        && let (Some(a), Some(t)) = (parse(answer, false), parse(truth, false))
        && whole(&a, &t, tolerance) == Same::Yes
    {
        return Some(Same::Yes);
    }
    Some(same)
}

fn whole(a: &Parsed, t: &Parsed, tolerance: Tolerance) -> Same {
    match structure::forms(&a.form, &t.form, tolerance) {
        Same::Yes => Same::Yes,
        _ if a.vague_log || t.vague_log => Same::Unknown,
        other => other,
    }
}

/// Compares two expressions.
fn expressions(a: &Expr, t: &Expr, tolerance: Tolerance) -> Same {
    if a == t {
        return Same::Yes;
    }
    match (constant(a), constant(t)) {
        (Some(x), Some(y)) => constants((a, x), (t, y), tolerance),
        _ => symbolic(a, t, tolerance),
    }
}

fn constants((a, x): (&Expr, Value), (t, y): (&Expr, Value), tolerance: Tolerance) -> Same {
    if !x.is_finite() || !y.is_finite() {
        let (x, y) = (x.to_f64(), y.to_f64());
        return match x.is_infinite() && y.is_infinite() {
            true if infinite(a) && infinite(t) && x == y => Same::Yes,
            true => Same::Unknown,
            false => Same::No,
        };
    }
    if tolerance.holds(x, y) {
        return Same::Yes;
    }
    match (a, t) {
        (Expr::Percent(a), Expr::Percent(t)) => {
            return expressions(a, t, tolerance);
        }
        (Expr::Percent(_), _) | (_, Expr::Percent(_))
            if matches!(tolerance, Tolerance::Mixed(_)) => {}
        // A percent sign on one side only may or may not be part of the question.
        (Expr::Percent(a), _) if close(a, y, tolerance) => return Same::Unknown,
        (_, Expr::Percent(t)) if close(t, x, tolerance) => return Same::Unknown,
        (Expr::Degree(a), Expr::Degree(t)) => return expressions(a, t, tolerance),
        // An angle in degrees may go without its sign.
        (Expr::Degree(a), _) if close(a, y, tolerance) => return Same::Yes,
        (_, Expr::Degree(t)) if close(t, x, tolerance) => return Same::Yes,
        _ => {}
    }
    Same::No
}

fn close(inner: &Expr, other: Value, tolerance: Tolerance) -> bool {
    constant(inner).is_some_and(|value| tolerance.holds(value, other))
}

/// True for ±∞ itself; an overflow is not infinity.
fn infinite(e: &Expr) -> bool {
    match e {
        Expr::Num(value) => !value.is_finite(),
        Expr::Neg(inner) => infinite(inner),
        _ => false,
    }
}

/// True where a symbol is a word, so that a difference means nothing.
fn wordy(names: &[&str]) -> bool {
    names
        .iter()
        .any(|n| n.len() > 1 && !n.contains('_') && !crate::math::is_greek(n))
}

fn symbolic(a: &Expr, t: &Expr, tolerance: Tolerance) -> Same {
    let (names, truth_names) = (a.symbol_set(), t.symbol_set());
    if names.is_empty() && truth_names.is_empty() {
        return Same::Unknown;
    }
    let exact = tolerance.size().clamp(1e-9, 1e-6);
    let mut seen = 0;
    for k in 0..POINTS {
        let place = |name: &str| coordinate(name, k);
        let (x, y) = (at_point(a, &place), at_point(t, &place));
        if !x.is_finite() || !y.is_finite() {
            continue;
        }
        seen += 1;
        if (x - y).abs() > exact * x.abs().max(y.abs()) + 1e-12 {
            let known = names == truth_names && !wordy(&names);
            let letters = !wordy(&names) && !wordy(&truth_names);
            return if known || letters {
                Same::NoSymbolic
            } else {
                Same::Unknown
            };
        }
    }
    if seen >= MIN_POINTS {
        Same::Yes
    } else {
        Same::Unknown
    }
}

/// The value of symbol `name` at point `k`: within 0.3 to 2.8, negative at the last three points.
fn coordinate(name: &str, k: u64) -> f64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ k.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^= hash >> 32;
    let unit = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    let size = 0.3 + 2.5 * unit;
    if k + 3 >= POINTS { -size } else { size }
}

/// True for a constant form: a number, or a structure of numbers.
fn is_constant(form: &Form) -> bool {
    match form {
        Form::Expr(e) => constant(e).is_some(),
        Form::Seq(_, _, items) | Form::Union(items) => items.iter().all(is_constant),
        Form::Chain(Expr::Sym(_), links) => links.iter().all(|(_, e)| constant(e).is_some()),
        Form::Chain(..) => false,
    }
}

/// Brackets that do not order what they hold.
fn unordered(bracket: Bracket) -> bool {
    matches!(bracket, Bracket::Curly | Bracket::Or)
}

#[cfg(test)]
mod tests;
