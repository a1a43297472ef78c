//! Numbers as JSON: what JSON cannot hold is a string.

use serde_json::{Number, Value};

/// A number of a record: `"NaN"`, `"Infinity"` and `"-Infinity"` for what JSON has no number for.
pub(crate) fn to_json(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// The number that [`to_json`] wrote; `None` for everything else.
pub(crate) fn from_json(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back() {
        for number in [0.0, -0.0, 0.1, 1e-308, f64::MAX, f64::INFINITY] {
            for number in [number, -number] {
                let back = from_json(&to_json(number)).expect("a number");
                assert_eq!(back.to_bits(), number.to_bits());
            }
        }
        assert!(from_json(&to_json(f64::NAN)).expect("a number").is_nan());
        assert_eq!(to_json(f64::NAN), "NaN");
        assert_eq!(from_json(&"nan".into()), None);
        assert_eq!(from_json(&Value::Null), None);
    }
}
