//! Equations and inequalities.

use super::{MIN_POINTS, POINTS, Same, coordinate, expressions};
use crate::compare::number::Tolerance;
use crate::math::{Expr, Relation, Value, at_point, constant};

type Links<'a> = (&'a Expr, &'a [(Relation, Expr)]);

/// `x = 3`, `3 = x` or `x = 1 + 2 = 3`: the symbol and its last value.
pub fn isolated<'a>(first: &'a Expr, links: &'a [(Relation, Expr)]) -> Option<(&'a str, &'a Expr)> {
    if links.iter().any(|(sign, _)| *sign != Relation::Equal) {
        return None;
    }
    let ((_, last), between) = links.split_last()?;
    let (name, value) = match (first, last) {
        (Expr::Sym(name), value) => (name, value),
        (value, Expr::Sym(name)) if links.len() == 1 => (name, value),
        // f(x) = …: the reader sees a product of f and x.
        (Expr::Mul(f, x), value) if links.len() == 1 => match (&**f, &**x) {
            (Expr::Sym(f), Expr::Sym(_)) => (f, value),
            _ => return None,
        },
        _ => return None,
    };
    let free = |e: &Expr| !e.symbol_set().contains(&name.as_str());
    (free(value) && between.iter().all(|(_, e)| free(e))).then_some((name, value))
}

/// Compares two chains of relations.
pub fn chains((af, al): Links<'_>, (tf, tl): Links<'_>, tolerance: Tolerance) -> Same {
    if let (Some(a), Some(t)) = (Span::from_chain(af, al), Span::from_chain(tf, tl)) {
        return a.same(&t, tolerance);
    }
    let truth = isolated(tf, tl);
    match (isolated(af, al), truth) {
        (Some((a, x)), Some((t, y))) if a == t => return expressions(x, y, tolerance),
        // The same value under another name; which name was asked for is not known here.
        (Some(_), Some((_, y))) if constant(y).is_some() => return Same::Unknown,
        // x = 2 is asked for: the equation it solves is not the answer.
        (None, Some((_, y))) if constant(y).is_some() => return Same::Unknown,
        _ => {}
    }
    if al.len() != tl.len() {
        return Same::Unknown;
    }
    let (mut left, mut truth_left) = (af, tf);
    let mut same = Same::Yes;
    for ((sign, right), (truth_sign, truth_right)) in al.iter().zip(tl) {
        let link = if sign == truth_sign {
            link(*sign, (left, right), (truth_left, truth_right))
        } else {
            Same::NoSymbolic
        };
        same = same.and(link);
        (left, truth_left) = (right, truth_right);
    }
    same
}

/// Two relations with the same sign hold together where their differences are proportional.
fn link(sign: Relation, (al, ar): (&Expr, &Expr), (tl, tr): (&Expr, &Expr)) -> Same {
    let names = |l: &Expr, r: &Expr| {
        let mut all: Vec<String> = l
            .symbol_set()
            .into_iter()
            .chain(r.symbol_set())
            .map(str::to_owned)
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let (mine, theirs) = (names(al, ar), names(tl, tr));
    if mine != theirs || mine.is_empty() {
        return if mine.is_empty() {
            Same::Unknown
        } else {
            Same::NoSymbolic
        };
    }
    let mut factor: Option<f64> = None;
    let mut seen = 0;
    for k in 0..POINTS {
        let place = |name: &str| coordinate(name, k);
        let x = at_point(al, &place) - at_point(ar, &place);
        let y = at_point(tl, &place) - at_point(tr, &place);
        let ratio = x / y;
        if !ratio.is_finite() || ratio == 0.0 {
            continue;
        }
        seen += 1;
        let expected = *factor.get_or_insert(ratio);
        if (ratio - expected).abs() > 1e-7 * expected.abs() {
            return Same::NoSymbolic;
        }
    }
    let signed = matches!(sign, Relation::Equal | Relation::Unequal);
    match factor {
        Some(f) if seen >= MIN_POINTS && (signed || f > 0.0) => Same::Yes,
        Some(_) if seen >= MIN_POINTS => Same::NoSymbolic,
        _ => Same::Unknown,
    }
}

/// An interval of real numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The symbol an inequality is about.
    pub symbol: Option<String>,
    /// Lower end.
    pub low: f64,
    /// The lower end belongs to it.
    pub low_closed: bool,
    /// Upper end.
    pub high: f64,
    /// The upper end belongs to it.
    pub high_closed: bool,
}

impl Span {
    /// `1 < x ≤ 2`, `x > 1` and the like.
    pub fn from_chain(first: &Expr, links: &[(Relation, Expr)]) -> Option<Self> {
        let closed = |sign: Relation| match sign {
            Relation::Less => Some(false),
            Relation::LessEq => Some(true),
            _ => None,
        };
        let number = |e: &Expr| constant(e).map(Value::to_f64);
        let mut span = Self {
            symbol: None,
            low: f64::NEG_INFINITY,
            low_closed: false,
            high: f64::INFINITY,
            high_closed: false,
        };
        match (first, links) {
            (Expr::Sym(name), [(sign, high)]) => {
                span.symbol = Some(name.clone());
                (span.high, span.high_closed) = (number(high)?, closed(*sign)?);
            }
            (low, [(sign, Expr::Sym(name))]) => {
                span.symbol = Some(name.clone());
                (span.low, span.low_closed) = (number(low)?, closed(*sign)?);
            }
            (low, [(left, Expr::Sym(name)), (right, high)]) => {
                span.symbol = Some(name.clone());
                (span.low, span.low_closed) = (number(low)?, closed(*left)?);
                (span.high, span.high_closed) = (number(high)?, closed(*right)?);
            }
            _ => return None,
        }
        Some(span)
    }

    /// Compares two intervals; an infinite end is open either way.
    pub fn same(&self, truth: &Self, tolerance: Tolerance) -> Same {
        if let (Some(a), Some(t)) = (&self.symbol, &truth.symbol)
            && a != t
        {
            return Same::Unknown;
        }
        let end = |a: f64, a_closed: bool, t: f64, t_closed: bool| {
            if a.is_infinite() || t.is_infinite() {
                return a == t;
            }
            a_closed == t_closed && tolerance.holds(Value::Float(a), Value::Float(t))
        };
        let low = end(self.low, self.low_closed, truth.low, truth.low_closed);
        let high = end(self.high, self.high_closed, truth.high, truth.high_closed);
        if low && high { Same::Yes } else { Same::No }
    }
}
