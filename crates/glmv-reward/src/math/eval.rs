//! Expressions to numbers: exactly where they are rational, else in double precision.

use super::ast::{Expr, Func};
use super::value::Value;
use std::f64::consts::{E, PI};

/// The value of an expression without symbols; `None` with symbols or where it is undefined.
pub fn constant(expr: &Expr) -> Option<Value> {
    let value = match expr {
        Expr::Num(value) => return Some(*value),
        Expr::Pi => Value::Float(PI),
        Expr::Euler => Value::Float(E),
        Expr::Sym(_) => return None,
        Expr::Add(a, b) => constant(a)?.plus(constant(b)?),
        Expr::Sub(a, b) => constant(a)?.minus(constant(b)?),
        Expr::Mul(a, b) => constant(a)?.times(constant(b)?),
        Expr::Div(a, b) => constant(a)?.over(constant(b)?),
        Expr::Pow(a, b) => constant(a)?.power(constant(b)?),
        Expr::Neg(a) => constant(a)?.negated(),
        Expr::Percent(a) => constant(a)?.over(Value::int(100)),
        Expr::Degree(a) => Value::Float(constant(a)?.to_f64().to_radians()),
        Expr::Call(func, a) => call(*func, constant(a)?),
    };
    (!value.to_f64().is_nan()).then_some(value)
}

fn call(func: Func, x: Value) -> Value {
    match func {
        Func::Sqrt => exact_root(x).unwrap_or_else(|| Value::Float(x.to_f64().sqrt())),
        Func::Abs if x.to_f64() < 0.0 => x.negated(),
        Func::Abs => x,
        Func::Factorial => factorial(x),
        _ => Value::Float(real(func, x.to_f64())),
    }
}

fn exact_root(x: Value) -> Option<Value> {
    let Value::Exact(n, d) = x else { return None };
    let root = |n: i128| {
        let size = u128::try_from(n).ok()?.isqrt();
        (size * size == n as u128).then(|| i128::try_from(size).ok())?
    };
    Some(Value::ratio(root(n)?, root(d)?))
}

fn factorial(x: Value) -> Value {
    match x.as_int() {
        Some(n @ 0..=170) => (2..=n).fold(Value::int(1), |f, k| f.times(Value::int(k))),
        _ => Value::Float(f64::NAN),
    }
}

fn real(func: Func, x: f64) -> f64 {
    match func {
        Func::Sin => x.sin(),
        Func::Cos => x.cos(),
        Func::Tan => x.tan(),
        Func::Cot => 1.0 / x.tan(),
        Func::Sec => 1.0 / x.cos(),
        Func::Csc => 1.0 / x.sin(),
        Func::Asin => x.asin(),
        Func::Acos => x.acos(),
        Func::Atan => x.atan(),
        Func::Sinh => x.sinh(),
        Func::Cosh => x.cosh(),
        Func::Tanh => x.tanh(),
        Func::Ln => x.ln(),
        Func::Lg => x.log10(),
        Func::Exp => x.exp(),
        Func::Sqrt => x.sqrt(),
        Func::Abs => x.abs(),
        Func::Factorial => factorial(Value::Float(x)).to_f64(),
    }
}

/// The value with every symbol replaced by `place` of its name; NaN where it is undefined.
pub fn at_point(expr: &Expr, place: &impl Fn(&str) -> f64) -> f64 {
    let at = |e: &Expr| at_point(e, place);
    match expr {
        Expr::Num(value) => value.to_f64(),
        Expr::Pi => PI,
        Expr::Euler => E,
        Expr::Sym(name) => place(name),
        Expr::Add(a, b) => at(a) + at(b),
        Expr::Sub(a, b) => at(a) - at(b),
        Expr::Mul(a, b) => at(a) * at(b),
        Expr::Div(a, b) => at(a) / at(b),
        Expr::Pow(a, b) => power(at(a), at(b)),
        Expr::Neg(a) => -at(a),
        Expr::Percent(a) => at(a) / 100.0,
        Expr::Degree(a) => at(a).to_radians(),
        Expr::Call(func, a) => real(*func, at(a)),
    }
}

/// As [`Value::power`]: odd roots of negative numbers are real.
fn power(base: f64, exponent: f64) -> f64 {
    if base < 0.0 && exponent.fract() != 0.0 {
        for q in [3.0, 5.0, 7.0] {
            let p = exponent * q;
            if (p - p.round()).abs() < 1e-12 {
                let size = (-base).powf(exponent);
                return if p.round() % 2.0 == 0.0 { size } else { -size };
            }
        }
    }
    base.powf(exponent)
}

#[cfg(test)]
mod tests {
    use super::super::{Form, parse};
    use super::*;

    fn value(text: &str) -> f64 {
        match parse(text, true).map(|p| p.form) {
            Some(Form::Expr(e)) => constant(&e).map_or(f64::NAN, Value::to_f64),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn notations_of_one_value() {
        for (text, expected) in [
            (r"\frac{1}{2}", 0.5),
            (r"\dfrac{3}{4}", 0.75),
            (r"\sqrt[3]{27}", 3.0),
            (r"\left(\frac{1}{2}\right)^{2}", 0.25),
            (r"3.0\times 10^{8}", 3e8),
            ("3×10⁸", 3e8),
            ("1.5e-3", 0.0015),
            ("10**2", 100.0),
            ("2^3^2", 512.0),
            ("-2^2", -4.0),
            ("1 1/2", 1.5),
            (r"2\frac{1}{3}", 7.0 / 3.0),
            ("2½", 2.5),
            (r"\sin 30^\circ", 0.5),
            (r"\sin^2 x", f64::NAN),
            (r"\log_2 8", 3.0),
            ("5!", 120.0),
            (r"\binom{5}{2}", 10.0),
            ("|-3|", 3.0),
            ("50%", 0.5),
            ("1,234,567", 1_234_567.0),
            ("1{,}000", 1000.0),
            ("√16", 4.0),
            (r"\text{e}^0", 1.0),
            ("2π", 2.0 * PI),
        ] {
            let got = value(text);
            assert!(
                (got - expected).abs() < 1e-9 || got.is_nan() == expected.is_nan() && got.is_nan(),
                "{text}: {got}"
            );
        }
    }

    #[test]
    fn prose_is_no_mathematics() {
        for text in [
            "a correct number",
            "the speed",
            "two words",
            "x y z is it",
            "",
            "()(",
            "1 2",
        ] {
            assert_eq!(
                parse(text, true).filter(|p| matches!(p.form, Form::Expr(_))),
                None,
                "{text}"
            );
        }
    }

    #[test]
    fn deep_and_long_texts_are_refused_quickly() {
        for text in [
            "(".repeat(1500),
            "-".repeat(1900) + "1",
            "^2".repeat(500),
            "√".repeat(600),
            r"\frac".repeat(300),
            "{".repeat(999) + &"}".repeat(999),
            "1+".repeat(900) + "1",
        ] {
            let _ = parse(&text, true);
        }
        assert!(parse("((((1))))", true).is_some());
    }
}
