//! Tokens to what an answer is: splits at separators outside of brackets, then reads each piece.

use super::ast::{Bracket, Expr, Form, Relation};
use super::lex::lex;
use super::primary::Reader;
use super::token::Token;

type Tokens<'a> = &'a [(Token, bool)];

/// Most elements of one list, and of one chain of relations.
const MAX_ITEMS: usize = 200;
/// Deepest nesting of structures.
const MAX_NEST: usize = 8;

/// A read answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// What it is.
    pub form: Form,
    /// Commas were taken for thousands separators.
    pub grouped: bool,
    /// It uses `log` without a base.
    pub vague_log: bool,
}

/// Reads `text` as mathematics; with `group`, `1,000` is one number. `None` if it is none.
pub fn parse(text: &str, group: bool) -> Option<Parsed> {
    let lexed = lex(text.trim().trim_end_matches(['.', '。']), group)?;
    let form = list(&lexed.tokens, 0)?;
    Some(Parsed {
        form,
        grouped: lexed.grouped,
        vague_log: lexed.vague_log,
    })
}

/// Splits at `at` outside of brackets; `None` where brackets do not match.
fn split<'a>(tokens: Tokens<'a>, at: impl Fn(&Token) -> bool) -> Option<Vec<Tokens<'a>>> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (i, (token, _)) in tokens.iter().enumerate() {
        match token {
            Token::Open(_) => depth += 1,
            Token::Close(_) => depth = depth.checked_sub(1)?,
            token if depth == 0 && at(token) => {
                parts.push(&tokens[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    (depth == 0 && parts.len() <= MAX_ITEMS).then_some(parts)
}

fn list(tokens: Tokens<'_>, nest: usize) -> Option<Form> {
    if nest > MAX_NEST {
        return None;
    }
    type Separator = (Bracket, fn(&Token) -> bool);
    const SEPARATORS: [Separator; 4] = [
        (Bracket::Or, |t| matches!(t, Token::Or)),
        (Bracket::Bare, |t| matches!(t, Token::Semicolon)),
        (Bracket::Bare, |t| matches!(t, Token::And)),
        (Bracket::Bare, |t| matches!(t, Token::Comma)),
    ];
    for (bracket, at) in SEPARATORS {
        let parts = split(tokens, at)?;
        let parts: Vec<_> = parts.into_iter().filter(|p| !p.is_empty()).collect();
        if parts.len() > 1 {
            let items: Option<Vec<_>> = parts.into_iter().map(|p| list(p, nest + 1)).collect();
            return Some(Form::Seq(bracket, bracket, flatten(bracket, items?)));
        }
        if parts.is_empty() {
            return None;
        }
        if parts[0].len() < tokens.len() {
            return list(parts[0], nest + 1);
        }
    }
    item(tokens, nest)
}

/// `1, 2 or 3` is one list of three.
fn flatten(bracket: Bracket, items: Vec<Form>) -> Vec<Form> {
    let mut flat = Vec::new();
    for item in items {
        match item {
            Form::Seq(inner, _, parts) if inner == bracket || inner == Bracket::Bare => {
                flat.extend(parts);
            }
            other => flat.push(other),
        }
    }
    flat
}

fn item(tokens: Tokens<'_>, nest: usize) -> Option<Form> {
    let sets = split(tokens, |t| matches!(t, Token::Union))?;
    if sets.len() > 1 {
        let sets: Option<Vec<_>> = sets.into_iter().map(|s| item(s, nest + 1)).collect();
        return Some(Form::Union(sets?));
    }
    if let Some(form) = bracketed(tokens, nest) {
        return Some(form);
    }
    if let [
        (Token::Sym(_), _),
        (Token::In | Token::Rel(Relation::Equal), _),
        rest @ ..,
    ] = tokens
        && let Some(form) = named(rest, nest)
    {
        return Some(form);
    }
    let ratio = split(tokens, |t| matches!(t, Token::Colon))?;
    if ratio.len() > 1 {
        let parts: Option<Vec<_>> = ratio.into_iter().map(|p| item(p, nest + 1)).collect();
        return Some(Form::Seq(Bracket::Ratio, Bracket::Ratio, parts?));
    }
    if tokens.iter().any(|(t, _)| *t == Token::PlusMinus) {
        let both = [false, true].map(|minus| chain(tokens, minus));
        let [Some(plus), Some(minus)] = both else {
            return None;
        };
        return Some(Form::Seq(Bracket::Or, Bracket::Or, vec![plus, minus]));
    }
    chain(tokens, false)
}

/// `A = {1, 2}`, `x ∈ (0, 1]`: the structure is what counts.
fn named(rest: Tokens<'_>, nest: usize) -> Option<Form> {
    match item(rest, nest + 1)? {
        form @ (Form::Seq(..) | Form::Union(_)) => Some(form),
        Form::Expr(_) | Form::Chain(..) => None,
    }
}

/// Something between two brackets that is not just an expression in brackets.
fn bracketed(tokens: Tokens<'_>, nest: usize) -> Option<Form> {
    let [
        (Token::Open(open), _),
        inside @ ..,
        (Token::Close(close), _),
    ] = tokens
    else {
        return None;
    };
    if nest > MAX_NEST {
        return None;
    }
    // The last bracket must close the first one.
    let mut depth = 1_usize;
    for (token, _) in inside {
        match token {
            Token::Open(_) => depth += 1,
            Token::Close(_) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return None;
        }
    }
    if inside.is_empty() {
        return Some(Form::Seq(*open, *close, Vec::new()));
    }
    let parts = split(inside, |t| matches!(t, Token::Comma | Token::Semicolon))?;
    if parts.len() > 1 {
        let items: Option<Vec<_>> = parts.into_iter().map(|p| list(p, nest + 1)).collect();
        return Some(Form::Seq(*open, *close, items?));
    }
    if open == close {
        // One thing in brackets is that thing: (3), {x > 1}, [1, 2] in a LaTeX group.
        return list(inside, nest + 1);
    }
    None
}

fn chain(tokens: Tokens<'_>, minus: bool) -> Option<Form> {
    let sides = split(tokens, |t| matches!(t, Token::Rel(_)))?;
    let mut expressions = Vec::with_capacity(sides.len());
    for side in sides {
        expressions.push(Reader::new(side, minus).whole()?);
    }
    let signs = outer_relations(tokens);
    let mut rest = expressions.into_iter();
    let first = rest.next()?;
    if signs.is_empty() {
        return Some(Form::Expr(first));
    }
    Some(oriented(first, signs.into_iter().zip(rest).collect()))
}

fn outer_relations(tokens: Tokens<'_>) -> Vec<Relation> {
    let mut depth = 0_usize;
    let mut signs = Vec::new();
    for (token, _) in tokens {
        match token {
            Token::Open(_) => depth += 1,
            Token::Close(_) => depth = depth.saturating_sub(1),
            Token::Rel(relation) if depth == 0 => signs.push(*relation),
            _ => {}
        }
    }
    signs
}

/// Turns `a > b ≥ c` into `c ≤ b < a`.
fn oriented(first: Expr, links: Vec<(Relation, Expr)>) -> Form {
    if !links
        .iter()
        .any(|(r, _)| matches!(r, Relation::Greater | Relation::GreaterEq))
    {
        return Form::Chain(first, links);
    }
    let (mut signs, mut sides) = (Vec::new(), vec![first]);
    for (sign, side) in links {
        signs.push(match sign {
            Relation::Greater => Relation::Less,
            Relation::GreaterEq => Relation::LessEq,
            Relation::Less => Relation::Greater,
            Relation::LessEq => Relation::GreaterEq,
            Relation::Equal | Relation::Unequal => sign,
        });
        sides.push(side);
    }
    let mut sides = sides.into_iter().rev();
    let first = sides.next().unwrap_or(Expr::Num(super::Value::ZERO));
    Form::Chain(first, signs.into_iter().rev().zip(sides).collect())
}
