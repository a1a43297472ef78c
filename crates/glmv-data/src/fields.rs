//! Typed access to the fields of a row: missing and null are the same, a wrong type is an error that
//! names the field. Used by all readers.

use serde_json::{Map, Value};

use crate::error::RowError;

/// Most characters of a wrong value in a message.
const SHOWN_CHARS: usize = 80;

/// A row, or an object inside of it.
pub(crate) type Fields = Map<String, Value>;

/// The error for a value that is not what was expected.
pub(crate) fn wrong(at: impl Into<String>, expected: &str, found: &Value) -> RowError {
    let mut found = match found {
        Value::Null => "nothing".to_owned(),
        _ => found.to_string(),
    };
    if let Some((cut, _)) = found.char_indices().nth(SHOWN_CHARS) {
        found.truncate(cut);
        found.push('…');
    }
    RowError::Field {
        at: at.into(),
        expected: expected.to_owned(),
        found,
    }
}

/// The value of a key, unless it is null.
pub(crate) fn get<'a>(fields: &'a Fields, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}

/// An optional string.
pub(crate) fn string(fields: &Fields, key: &str) -> Result<Option<String>, RowError> {
    get(fields, key)
        .map(|value| match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(wrong(key, "a string", value)),
        })
        .transpose()
}

/// An optional truth value.
pub(crate) fn boolean(fields: &Fields, key: &str) -> Result<Option<bool>, RowError> {
    let value = get(fields, key);
    value
        .map(|v| v.as_bool().ok_or_else(|| wrong(key, "true or false", v)))
        .transpose()
}

/// An optional number.
pub(crate) fn number(fields: &Fields, key: &str) -> Result<Option<f64>, RowError> {
    let value = get(fields, key);
    value
        .map(|v| v.as_f64().ok_or_else(|| wrong(key, "a number", v)))
        .transpose()
}

/// An optional object.
pub(crate) fn object<'a>(fields: &'a Fields, key: &str) -> Result<Option<&'a Fields>, RowError> {
    let value = get(fields, key);
    value
        .map(|v| v.as_object().ok_or_else(|| wrong(key, "an object", v)))
        .transpose()
}

/// A list that must be there.
pub(crate) fn list<'a>(fields: &'a Fields, key: &str) -> Result<&'a [Value], RowError> {
    let value = fields.get(key).unwrap_or(&Value::Null);
    let list = value.as_array().map(Vec::as_slice);
    list.ok_or_else(|| wrong(key, "a list", value))
}

/// `weight` of a row: 1 when absent.
pub(crate) fn weight(fields: &Fields) -> Result<f32, RowError> {
    let weight = number(fields, "weight")?.unwrap_or(1.0);
    if !(0.0..=f64::from(f32::MAX)).contains(&weight) {
        let found = Value::from(weight);
        return Err(wrong("weight", "a number that is not negative", &found));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "within f32's range, checked above"
    )]
    Ok(weight as f32)
}

/// The tools of a row: a list, or its JSON text as some layouts store it. Empty is none.
pub(crate) fn tools(fields: &Fields) -> Result<Option<Value>, RowError> {
    let Some(value) = get(fields, "tools") else {
        return Ok(None);
    };
    let list = match value {
        Value::Array(_) => value.clone(),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        _ => Value::Null,
    };
    match list.as_array().map(Vec::len) {
        Some(0) => Ok(None),
        Some(_) => Ok(Some(list)),
        None => Err(wrong("tools", "a list, or the JSON text of one", value)),
    }
}
