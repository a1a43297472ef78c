//! Lists, tuples, sets, intervals and unions, item by item.

use super::relation::{self, Span};
use super::{Same, expressions, is_constant, unordered};
use crate::compare::number::Tolerance;
use crate::math::{Bracket, Form, Relation, constant};

/// Longest list that is compared without regard to order.
const MAX_UNORDERED: usize = 48;

/// Compares two forms.
pub fn forms(a: &Form, t: &Form, tolerance: Tolerance) -> Same {
    match (a, t) {
        (Form::Expr(a), Form::Expr(t)) => expressions(a, t, tolerance),
        (Form::Seq(ao, ac, a), Form::Seq(to, tc, t)) => {
            sequences((*ao, *ac, a), (*to, *tc, t), tolerance)
        }
        (Form::Union(a), Form::Union(t)) => matched(a, t, tolerance),
        // Several things where one was asked for.
        (a, _) if a.is_list() => Same::No,
        (Form::Chain(af, al), Form::Chain(tf, tl)) => {
            relation::chains((af, al), (tf, tl), tolerance)
        }
        (Form::Chain(first, links), Form::Expr(t)) => match relation::isolated(first, links) {
            Some((_, value)) => expressions(value, t, tolerance),
            None => Same::Unknown,
        },
        (Form::Expr(a), Form::Chain(first, links)) => match relation::isolated(first, links) {
            Some((_, value)) => expressions(a, value, tolerance),
            None => Same::Unknown,
        },
        (a, t) => match (span(a), span(t)) {
            (Some(a), Some(t)) => a.same(&t, tolerance),
            _ if is_constant(a) && t.is_list() && is_constant(t) => Same::No,
            _ => Same::Unknown,
        },
    }
}

/// An interval: `(a, b]` or an inequality about one symbol.
fn span(form: &Form) -> Option<Span> {
    match form {
        Form::Chain(first, links) => Span::from_chain(first, links),
        Form::Seq(open, close, items)
            if [open, close]
                .iter()
                .all(|b| matches!(b, Bracket::Round | Bracket::Square)) =>
        {
            let [Form::Expr(low), Form::Expr(high)] = items.as_slice() else {
                return None;
            };
            Some(Span {
                symbol: None,
                low: constant(low)?.to_f64(),
                low_closed: *open == Bracket::Square,
                high: constant(high)?.to_f64(),
                high_closed: *close == Bracket::Square,
            })
        }
        Form::Seq(..) | Form::Union(_) | Form::Expr(_) => None,
    }
}

type Sequence<'a> = (Bracket, Bracket, &'a [Form]);

fn sequences((ao, ac, a): Sequence<'_>, (to, tc, t): Sequence<'_>, tolerance: Tolerance) -> Same {
    let loose = |b: Bracket| unordered(b) || b == Bracket::Bare;
    if unordered(to) || unordered(ao) {
        let sets = loose(to) && loose(ao);
        return match matched(a, t, tolerance) {
            // A tuple is not a set, unless it is a single thing.
            Same::Yes if !sets => Same::Unknown,
            other => other,
        };
    }
    if a.len() != t.len() {
        let numbers = a.iter().all(is_constant) && t.iter().all(is_constant);
        return if numbers { Same::No } else { Same::Unknown };
    }
    let in_order = a
        .iter()
        .zip(t)
        .fold(Same::Yes, |same, (a, t)| same.and(forms(a, t, tolerance)));
    let bare = to == Bracket::Bare && ao == Bracket::Bare;
    match in_order {
        Same::Yes if (ao, ac) == (to, tc) || ao == Bracket::Bare || to == Bracket::Bare => {
            Same::Yes
        }
        // (1, 2) for [1, 2]: an interval with other ends, or a list in other brackets.
        Same::Yes => Same::Unknown,
        _ if to == Bracket::Ratio || ao == Bracket::Ratio => Same::Unknown,
        other if bare => match matched(a, t, tolerance) {
            // x = 1, y = 2 in any order; a list of values only if the order does not matter.
            Same::Yes if a.iter().all(is_assignment) => Same::Yes,
            Same::Yes => Same::Unknown,
            _ => other,
        },
        other => other,
    }
}

fn is_assignment(form: &Form) -> bool {
    matches!(form, Form::Chain(_, links) if matches!(links.as_slice(), [(Relation::Equal, _)]))
}

/// One-to-one match without order.
fn matched(a: &[Form], t: &[Form], tolerance: Tolerance) -> Same {
    if a.len() > MAX_UNORDERED || t.len() > MAX_UNORDERED {
        return Same::Unknown;
    }
    if a.len() != t.len() {
        return if a.iter().chain(t).all(is_constant) {
            Same::No
        } else {
            Same::Unknown
        };
    }
    let mut free: Vec<&Form> = t.iter().collect();
    let mut result = Same::Yes;
    for item in a {
        let mut best = if item_is_safe(item) {
            Same::No
        } else {
            Same::Unknown
        };
        let mut hit = None;
        for (at, other) in free.iter().enumerate() {
            match forms(item, other, tolerance) {
                Same::Yes => {
                    hit = Some(at);
                    break;
                }
                Same::No => {}
                Same::NoSymbolic if best == Same::No => best = Same::NoSymbolic,
                Same::NoSymbolic => {}
                Same::Unknown => best = Same::Unknown,
            }
        }
        match hit {
            Some(at) => {
                free.swap_remove(at);
            }
            None if best == Same::Unknown => result = Same::Unknown,
            None => result = result.and(best),
        }
        if result == Same::Unknown {
            return result;
        }
    }
    result
}

fn item_is_safe(item: &Form) -> bool {
    is_constant(item)
}
