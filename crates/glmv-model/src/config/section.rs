//! Typed getters over one JSON object of a configuration, with errors that name file and key.

use crate::Error;
use serde_json::{Map, Value};

/// One JSON object with typed getters whose errors name file and key.
pub(super) struct Section<'a> {
    pub(super) file: &'a str,
    pub(super) name: &'a str,
    pub(super) map: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    pub(super) fn key(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_string()
        } else {
            format!("{}.{key}", self.name)
        }
    }

    pub(super) fn bad(&self, key: &str, found: impl std::fmt::Display, expected: &str) -> Error {
        Error::BadValue {
            file: self.file.to_string(),
            key: self.key(key),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    pub(super) fn need(&self, key: &str) -> Result<&'a Value, Error> {
        self.get(key).ok_or_else(|| Error::MissingKey {
            file: self.file.to_string(),
            key: self.key(key),
        })
    }

    pub(super) fn section(&self, key: &'a str) -> Result<Section<'a>, Error> {
        let value = self.need(key)?;
        let map = value
            .as_object()
            .ok_or_else(|| self.bad(key, value, "an object"))?;
        Ok(Section {
            file: self.file,
            name: key,
            map,
        })
    }

    pub(super) fn string(&self, key: &str) -> Result<String, Error> {
        let value = self.need(key)?;
        value
            .as_str()
            .map(str::to_string)
            .ok_or_else(|| self.bad(key, value, "a string"))
    }

    pub(super) fn text_of(&self, keys: &[&str]) -> Option<String> {
        keys.iter()
            .find_map(|k| self.get(k))
            .and_then(Value::as_str)
            .map(str::to_string)
    }

    pub(super) fn to_count(&self, key: &str, value: &Value) -> Result<usize, Error> {
        value
            .as_u64()
            .filter(|v| *v <= u64::from(u32::MAX))
            .and_then(|v| usize::try_from(v).ok())
            .ok_or_else(|| self.bad(key, value, "a non-negative integer below 2^32"))
    }

    pub(super) fn size(&self, key: &str) -> Result<usize, Error> {
        match self.to_count(key, self.need(key)?)? {
            0 => Err(self.bad(key, 0, "a positive integer")),
            n => Ok(n),
        }
    }

    pub(super) fn size_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        if self.get(key).is_some() {
            self.size(key)
        } else {
            Ok(default)
        }
    }

    pub(super) fn count_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        self.get(key).map_or(Ok(default), |v| self.to_count(key, v))
    }

    pub(super) fn number_or(&self, key: &str, default: f64) -> Result<f64, Error> {
        self.get(key).map_or(Ok(default), |v| {
            v.as_f64()
                .filter(|n| *n > 0.0)
                .ok_or_else(|| self.bad(key, v, "a positive number"))
        })
    }

    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>, Error> {
        self.get(key)
            .map(|v| v.as_bool().ok_or_else(|| self.bad(key, v, "true or false")))
            .transpose()
    }

    pub(super) fn optional_id(&self, key: &str) -> Result<Option<u32>, Error> {
        self.get(key)
            .map(|v| self.to_count(key, v).map(|n| n as u32))
            .transpose()
    }

    pub(super) fn id_or(&self, key: &str, default: u32) -> Result<u32, Error> {
        Ok(self.optional_id(key)?.unwrap_or(default))
    }

    pub(super) fn ids(&self, key: &str) -> Result<Vec<u32>, Error> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list
                .iter()
                .map(|v| self.to_count(key, v).map(|n| n as u32))
                .collect(),
            Some(v) => Ok(vec![self.to_count(key, v)? as u32]),
        }
    }

    /// `rope_parameters` (newer files) wins over the loose keys and over `rope_scaling`.
    pub(super) fn rope_dict(&self, key: &str) -> Option<&'a Value> {
        ["rope_parameters", "rope_scaling"]
            .iter()
            .filter_map(|d| self.get(d).and_then(Value::as_object))
            .find_map(|d| d.get(key).filter(|v| !v.is_null()))
    }

    pub(super) fn rope_number(&self, key: &str, default: f64) -> Result<f64, Error> {
        match self.rope_dict(key) {
            Some(v) => v
                .as_f64()
                .filter(|n| *n > 0.0)
                .ok_or_else(|| self.bad(key, v, "a positive number")),
            None => self.number_or(key, default),
        }
    }

    pub(super) fn mrope_section(&self) -> Result<Vec<usize>, Error> {
        let key = "mrope_section";
        match self.rope_dict(key) {
            None => Ok(vec![8, 12, 12]),
            Some(Value::Array(list)) => list.iter().map(|v| self.to_count(key, v)).collect(),
            Some(v) => Err(self.bad(key, v, "a list of integers")),
        }
    }

    pub(super) fn expect_silu(&self) -> Result<(), Error> {
        match self.text_of(&["hidden_act"]) {
            Some(act) if act != "silu" => Err(self.bad("hidden_act", act, "silu")),
            _ => Ok(()),
        }
    }
}
