//! Numbers: decimals, scientific notation, percent, thousands separators, fractions.

use crate::math::{self, Expr, Form, Value};
use std::borrow::Cow;

/// A number as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// Its value; a percentage as a fraction of one.
    pub value: Value,
    /// Written with a percent sign.
    pub percent: bool,
}

/// How near two numbers must be to count as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// `|a - b| / (|b| + 1e-6) < t`: the rule of most domains.
    Relative(f64),
    /// `|a - b| / (|b| + t) < t`, and `|a - b| < t` where `|b| < t`: the rule of the spatial domain.
    Mixed(f64),
}

impl Tolerance {
    /// True where `answer` is near enough to `truth`.
    pub fn holds(self, answer: Value, truth: Value) -> bool {
        match self {
            Self::Relative(t) => answer.close(truth, t),
            Self::Mixed(t) => {
                if !answer.is_finite() || !truth.is_finite() {
                    return false;
                }
                let (gap, size) = (answer.minus(truth).to_f64().abs(), truth.to_f64().abs());
                let relative = if size < t { gap } else { gap / (size + t) };
                answer.same(truth) || relative < t
            }
        }
    }

    /// The tolerance itself.
    pub fn size(self) -> f64 {
        match self {
            Self::Relative(t) | Self::Mixed(t) => t,
        }
    }
}

/// Full-width signs as ASCII; the text itself where it has none.
pub fn narrow(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || !text.contains(|c| ('\u{ff01}'..='\u{ff5e}').contains(&c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(super::string::half_width).collect())
}

/// Reads a number with a decimal comma, `3,14` or `1.000,5`, which looks like a list elsewhere.
pub fn decimal_comma(text: &str) -> Option<Number> {
    let (whole, fraction) = text.trim().split_once(',')?;
    let digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let groups = whole
        .trim_start_matches(['-', '+'])
        .split('.')
        .skip(1)
        .all(|g| g.len() == 3);
    (digits && groups).then(|| decimal(&format!("{}.{fraction}", whole.replace('.', ""))))?
}

/// Reads a plain decimal: sign, digits, groups of three, point, exponent, percent sign.
pub fn decimal(text: &str) -> Option<Number> {
    let text = narrow(text);
    let text = text.trim();
    let (body, percent) = match text.strip_suffix(['%', '％']) {
        Some(body) => (body.strip_suffix('\\').unwrap_or(body).trim_end(), true),
        None => (text, false),
    };
    let (body, negative) = match body.strip_prefix(['-', '−', '－']) {
        Some(body) => (body.trim_start(), true),
        None => (body.strip_prefix('+').unwrap_or(body), false),
    };
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => {
            let tail = body[at + 1..].strip_prefix('+').unwrap_or(&body[at + 1..]);
            let digits = tail.strip_prefix('-').unwrap_or(tail);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (&body[..at], tail.parse::<i64>().unwrap_or(i64::MAX / 4))
        }
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mut digits = String::with_capacity(whole.len() + fraction.len());
    for (i, group) in whole.split([',', '，']).enumerate() {
        let first = i == 0;
        let fits = if whole.contains([',', '，']) {
            if first {
                (1..=3).contains(&group.len()) && !group.starts_with('0')
            } else {
                group.len() == 3
            }
        } else {
            true
        };
        if !fits || !group.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.push_str(group);
    }
    digits.push_str(fraction);
    let value = Value::decimal(&digits, exponent.saturating_sub(fraction.len() as i64));
    let value = if negative { value.negated() } else { value };
    let value = if percent {
        value.over(Value::int(100))
    } else {
        value
    };
    value.is_finite().then_some(Number { value, percent })
}

/// Reads a number in any notation: [`decimal`], else a constant expression with a finite value.
pub fn read(text: &str) -> Option<Number> {
    if let Some(number) = decimal(text) {
        return Some(number);
    }
    if !text.contains(|c: char| c.is_ascii_digit()) && text.chars().count() > 24 {
        return None;
    }
    let Form::Expr(expr) = math::parse(&narrow(text), true)?.form else {
        return None;
    };
    let value = math::constant(&expr)?;
    value.is_finite().then_some(Number {
        value,
        percent: matches!(expr, Expr::Percent(_)),
    })
}

/// As [`read`], but only what cannot be anything else: no sums, so that `2010-2015` and
/// `2023-12-31` are no numbers.
pub fn plain(text: &str) -> Option<Number> {
    if let Some(number) = decimal(text) {
        return Some(number);
    }
    let text = text.trim();
    let (body, marked) = (
        text.trim_start_matches(['-', '+']),
        text.contains(['\\', '×', '/']),
    );
    let sum = body.contains(['-', '+']) && !text.contains('^');
    let slashes = text.matches('/').count();
    (marked && !sum && slashes <= 1).then(|| read(text))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(text: &str) -> Option<f64> {
        read(text).map(|n| n.value.to_f64())
    }

    #[test]
    fn notations() {
        for (text, expected) in [
            ("42", 42.0),
            (" 42.0 ", 42.0),
            ("+7", 7.0),
            ("７２", 72.0),
            ("-3.5", -3.5),
            ("−3.5", -3.5),
            ("1,000", 1000.0),
            ("1,234,567.25", 1_234_567.25),
            ("1e3", 1000.0),
            ("2.5E-2", 0.025),
            ("50%", 0.5),
            ("50 %", 0.5),
            (r"50\%", 0.5),
            ("03", 3.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1/4", 0.25),
            (r"\frac{1}{4}", 0.25),
            ("(-3)", -3.0),
            (r"2 \times 10^{3}", 2000.0),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in [
            "",
            ".",
            "-",
            "1,00",
            "12,34",
            "1.2.3",
            "3 4",
            "x",
            "e5",
            "10**10**9",
            "1e999",
            "five",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    #[test]
    fn a_decimal_comma_is_read_on_request() {
        let value = |text| decimal_comma(text).map(|n| n.value.to_f64());
        assert_eq!(
            (value("3,25"), value("-1.000,5")),
            (Some(3.25), Some(-1000.5))
        );
        assert_eq!(
            (value("3, 14"), value("3,1,4"), value("3")),
            (None, None, None)
        );
    }

    #[test]
    fn dates_and_ranges_are_no_plain_numbers() {
        for text in ["2010-2015", "2023-12-31", "12/11/2023", "5-9", "3:4"] {
            assert_eq!(plain(text), None, "{text}");
        }
        for text in ["-5", "1/2", "1,000", r"\frac{1}{2}", "3×10^-2"] {
            assert!(plain(text).is_some(), "{text}");
        }
    }

    #[test]
    fn near_zero_the_mixed_tolerance_is_absolute() {
        let read = |s| read(s).expect("a number").value;
        let mixed = Tolerance::Mixed(0.01);
        assert!(mixed.holds(read("5.04"), read("5")) && !mixed.holds(read("5.06"), read("5")));
        assert!(!mixed.holds(read("0"), read("0.5")) && mixed.holds(read("0.001"), read("0")));
        assert!(!Tolerance::Relative(1e-6).holds(read("0.001"), read("0")));
    }

    proptest! {
        #[test]
        fn a_written_number_reads_as_itself(n in -10_i64.pow(12)..10_i64.pow(12), scale in 0_u32..6) {
            let value = Value::ratio(i128::from(n), 10_i128.pow(scale));
            let plain = format!("{:.*}", scale as usize, n as f64 / 10_f64.powi(scale as i32));
            prop_assert_eq!(decimal(&plain).map(|x| x.value), Some(value));
            let sci = format!("{n}e-{scale}");
            prop_assert_eq!(read(&sci).map(|x| x.value), Some(value));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            if let Some(number) = read(&text) {
                prop_assert!(number.value.is_finite());
            }
        }

        #[test]
        fn closeness_is_a_band_around_the_truth(truth in -1e6_f64..1e6, tol in 1e-5_f64..0.5) {
            let (t, eps) = (Value::Float(truth), Tolerance::Relative(tol));
            prop_assert!(eps.holds(t, t));
            let span = tol * (truth.abs() + 1e-6);
            prop_assert!(eps.holds(Value::Float(truth + 0.9 * span), t));
            prop_assert!(!eps.holds(Value::Float(truth + 1.1 * span), t));
        }
    }
}
