//! Exact rationals while they fit 128 bits, floating point beyond.

use std::cmp::Ordering;

/// A real number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// `numerator / denominator`, in lowest terms, denominator above zero.
    Exact(i128, i128),
    /// What does not fit, and what is not rational; may be infinite or NaN.
    Float(f64),
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Value {
    /// Zero.
    pub const ZERO: Self = Self::Exact(0, 1);

    /// The integer `n`.
    pub const fn int(n: i128) -> Self {
        Self::Exact(n, 1)
    }

    /// `n / d`; not a number where `d` is zero.
    pub fn ratio(n: i128, d: i128) -> Self {
        if d == 0 || n == i128::MIN || d == i128::MIN {
            return Self::Float(if d == 0 {
                f64::NAN
            } else {
                n as f64 / d as f64
            });
        }
        let common = gcd(n.unsigned_abs(), d.unsigned_abs()).max(1) as i128;
        let sign = if d < 0 { -1 } else { 1 };
        Self::Exact(sign * n / common, sign * d / common)
    }

    /// A decimal: `digits` (without point, at most 38 of them kept exactly) times ten to `exponent`.
    pub fn decimal(digits: &str, exponent: i64) -> Self {
        let trimmed = digits.trim_start_matches('0');
        let value = if trimmed.is_empty() {
            Some(0)
        } else {
            trimmed.parse::<i128>().ok()
        };
        let power = u32::try_from(exponent.unsigned_abs())
            .ok()
            .and_then(|e| 10_i128.checked_pow(e));
        match (value, power) {
            (Some(0), _) => Self::ZERO,
            (Some(n), Some(p)) if exponent < 0 => Self::ratio(n, p),
            (Some(n), Some(p)) if n.checked_mul(p).is_some() => Self::Exact(n * p, 1),
            _ => {
                let text = format!("{trimmed}e{exponent}");
                Self::Float(text.parse().unwrap_or(f64::NAN))
            }
        }
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Exact(n, d) => n as f64 / d as f64,
            Self::Float(x) => x,
        }
    }

    /// The value as an exact integer.
    pub fn as_int(self) -> Option<i128> {
        match self {
            Self::Exact(n, 1) => Some(n),
            Self::Exact(..) => None,
            Self::Float(x) if x.fract() == 0.0 && x.abs() < 1e15 => Some(x as i128),
            Self::Float(_) => None,
        }
    }

    /// False for infinities and NaN.
    pub fn is_finite(self) -> bool {
        self.to_f64().is_finite()
    }

    fn float2(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        Self::Float(f(self.to_f64(), other.to_f64()))
    }

    /// `self + other`.
    pub fn plus(self, other: Self) -> Self {
        if let (Self::Exact(a, b), Self::Exact(c, d)) = (self, other) {
            let sum = a
                .checked_mul(d)
                .and_then(|x| c.checked_mul(b).and_then(|y| x.checked_add(y)));
            if let (Some(n), Some(d)) = (sum, b.checked_mul(d)) {
                return Self::ratio(n, d);
            }
        }
        self.float2(other, |x, y| x + y)
    }

    /// `-self`.
    pub fn negated(self) -> Self {
        match self {
            Self::Exact(n, d) if n != i128::MIN => Self::Exact(-n, d),
            _ => Self::Float(-self.to_f64()),
        }
    }

    /// `self - other`.
    pub fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
    }

    /// `self * other`.
    pub fn times(self, other: Self) -> Self {
        if let (Self::Exact(a, b), Self::Exact(c, d)) = (self, other)
            && let (Some(n), Some(d)) = (a.checked_mul(c), b.checked_mul(d))
        {
            return Self::ratio(n, d);
        }
        self.float2(other, |x, y| x * y)
    }

    /// `self / other`; not a number for a zero divisor.
    pub fn over(self, other: Self) -> Self {
        match other {
            Self::Exact(0, _) => Self::Float(f64::NAN),
            Self::Exact(n, d) => self.times(Self::ratio(d, n)),
            Self::Float(_) => self.float2(other, |x, y| x / y),
        }
    }

    /// `self ^ other`: exact for small integer exponents, else floating point.
    pub fn power(self, other: Self) -> Self {
        if let (Self::Exact(n, d), Self::Exact(e, 1)) = (self, other)
            && let Ok(size) = u32::try_from(e.unsigned_abs())
            && size <= 512
            && let (Some(n), Some(d)) = (n.checked_pow(size), d.checked_pow(size))
        {
            return if e < 0 {
                Self::ratio(d, n)
            } else {
                Self::ratio(n, d)
            };
        }
        let (base, exponent) = (self.to_f64(), other.to_f64());
        // Odd roots of negative numbers are real: (-8)^(1/3).
        if base < 0.0
            && let Self::Exact(p, q) = other
            && q % 2 == 1
            && q > 1
        {
            let size = (-base).powf(exponent);
            return Self::Float(if p % 2 == 0 { size } else { -size });
        }
        Self::Float(base.powf(exponent))
    }

    /// True where both are the same number, exactly if both are rational.
    pub fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Exact(..), Self::Exact(..)) => self == other,
            _ => self.to_f64() == other.to_f64(),
        }
    }

    /// `|self - other| / (|other| + 1e-6) < tolerance`, the rule of the GLM-V verifiers; the
    /// difference is exact where both are rational. Equal numbers are close at any tolerance.
    pub fn close(self, truth: Self, tolerance: f64) -> bool {
        if !self.is_finite() || !truth.is_finite() {
            return false;
        }
        self.same(truth)
            || self.minus(truth).to_f64().abs() / (truth.to_f64().abs() + 1e-6) < tolerance
    }

    /// Order of two finite numbers.
    pub fn order(self, other: Self) -> Option<Ordering> {
        self.minus(other).to_f64().partial_cmp(&0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_exact() {
        assert_eq!(Value::decimal("25", -2), Value::Exact(1, 4));
        assert_eq!(Value::decimal("00", 5), Value::ZERO);
        assert_eq!(Value::decimal("1", 3), Value::int(1000));
        assert!(matches!(Value::decimal("1", 400), Value::Float(x) if x.is_infinite()));
        assert!(matches!(Value::decimal(&"9".repeat(60), 0), Value::Float(x) if x > 1e59));
    }

    #[test]
    fn overflow_becomes_floating_point() {
        let big = Value::int(i128::MAX);
        assert!(matches!(big.times(big), Value::Float(x) if x.is_finite()));
        assert!(!Value::int(10).power(Value::int(1_000_000_000)).is_finite());
        assert!(!Value::int(1).over(Value::ZERO).is_finite());
        assert_eq!(Value::int(2).power(Value::int(-2)), Value::Exact(1, 4));
        assert!((Value::int(-8).power(Value::ratio(1, 3)).to_f64() + 2.0).abs() < 1e-12);
    }

    #[test]
    fn tolerance_is_relative_to_the_truth() {
        let close = |a: &str, b: &str, tol| {
            let read = |s: &str| Value::Float(s.parse().expect("a number"));
            read(a).close(read(b), tol)
        };
        assert!(close("2.0000001", "2", 1e-6) && !close("2.001", "2", 1e-6));
        assert!(close("102.4", "100", 0.025) && !close("103", "100", 0.025));
        assert!(
            !close("0", "0.0000001", 1e-6),
            "near zero the absolute floor is 1e-6 times tol"
        );
        assert!(!Value::Float(f64::NAN).close(Value::Float(f64::NAN), 1.0));
    }

    proptest! {
        #[test]
        fn rational_arithmetic_agrees_with_floating_point(
            a in -1000_i128..1000, b in 1_i128..1000, c in -1000_i128..1000, d in 1_i128..1000
        ) {
            let (x, y) = (Value::ratio(a, b), Value::ratio(c, d));
            let (fx, fy) = (a as f64 / b as f64, c as f64 / d as f64);
            prop_assert!((x.plus(y).to_f64() - (fx + fy)).abs() < 1e-9);
            prop_assert!((x.times(y).to_f64() - fx * fy).abs() < 1e-6);
            prop_assert_eq!(x.minus(y).plus(y), x);
            if c != 0 {
                prop_assert_eq!(x.over(y).times(y), x);
            }
        }
    }
}
