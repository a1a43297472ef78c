//! How far a result may be from its golden value: the `tolerance` entry of a case in, a [`Bound`]
//! per tensor out. Every form of `assets/golden/README.md`; an unknown form is an error, because
//! a tolerance that is not understood cannot be kept.

use serde_json::{Map, Value};

use crate::Error;

/// The tolerance of a case.
#[derive(Debug, Clone, PartialEq)]
pub enum Tolerance {
    /// Equal in every element.
    Exact,
    /// Close in every element.
    Close {
        /// The bound of each element.
        bound: Bound,
        /// `abs` of the rows at position 4095, where the angle of a rotary embedding is large.
        abs_at_position_4095: Option<f64>,
        /// Only tensors whose name matches are compared (`*` stands for any text); the others are
        /// informative.
        applies_to: Option<String>,
    },
    /// Training: losses and parameters have absolute bounds of their own.
    Training {
        /// Bound of |loss - golden loss|.
        loss_abs: f64,
        /// Bound of |parameter - golden parameter|, per element.
        param_abs: f64,
    },
}

/// `|got - want| <= abs + rel * scale` per element, and `mean_abs` over all elements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Absolute part.
    pub abs: f64,
    /// Relative part.
    pub rel: f64,
    /// What `rel` multiplies.
    pub scale: Scale,
    /// Bound of the mean of |got - want|, if there is one.
    pub mean_abs: Option<f64>,
}

/// What the relative part of a [`Bound`] is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// |want| of the element.
    Element,
    /// The largest |want| of the tensor ("max abs of each gradient tensor").
    TensorMax,
}

impl Bound {
    /// Equal in every element.
    pub const EXACT: Self = Self::new(0.0, 0.0);

    /// `abs + rel * |want|` per element.
    pub const fn new(abs: f64, rel: f64) -> Self {
        Self {
            abs,
            rel,
            scale: Scale::Element,
            mean_abs: None,
        }
    }
}

/// Keys of a tolerance object; `why` is a remark.
const KEYS: [&str; 9] = [
    "abs",
    "rel",
    "mean_abs",
    "abs_at_position_4095",
    "applies_to",
    "loss_abs",
    "param_abs",
    "of",
    "why",
];

impl Tolerance {
    /// Reads the `tolerance` entry of a case.
    ///
    /// # Errors
    /// [`Error::Tolerance`] for a form, key or value that is not understood.
    pub fn from_json(value: &Value) -> Result<Self, Error> {
        let fail = |reason: String| {
            Err(Error::Tolerance {
                text: value.to_string(),
                reason,
            })
        };
        let map = match value {
            Value::String(text) if text == "exact" => return Ok(Self::Exact),
            Value::Object(map) => map,
            _ => return fail("expected \"exact\" or an object".into()),
        };
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return fail(format!("unknown key {key:?}"));
        }
        match Self::from_object(map) {
            Ok(tolerance) => Ok(tolerance),
            Err(reason) => fail(reason),
        }
    }

    fn from_object(map: &Map<String, Value>) -> Result<Self, String> {
        if let (Some(loss_abs), Some(param_abs)) =
            (bound(map, "loss_abs")?, bound(map, "param_abs")?)
        {
            return match map.len() {
                2 => Ok(Self::Training {
                    loss_abs,
                    param_abs,
                }),
                _ => Err("loss_abs and param_abs stand alone".into()),
            };
        }
        let scale = match text(map, "of")? {
            None => Scale::Element,
            Some("max abs of each gradient tensor") => Scale::TensorMax,
            Some(other) => return Err(format!("unknown scale {other:?}")),
        };
        if bound(map, "loss_abs")?
            .or(bound(map, "param_abs")?)
            .is_some()
        {
            return Err("loss_abs and param_abs come together".into());
        }
        let abs = bound(map, "abs")?.ok_or("abs is missing")?;
        let rel = bound(map, "rel")?.unwrap_or(0.0);
        Ok(Self::Close {
            bound: Bound {
                abs,
                rel,
                scale,
                mean_abs: bound(map, "mean_abs")?,
            },
            abs_at_position_4095: bound(map, "abs_at_position_4095")?,
            applies_to: text(map, "applies_to")?.map(str::to_owned),
        })
    }

    /// The bound of the tensor `name`; `None` where the tensor is informative only, or where the
    /// tolerance is [`Tolerance::Training`], whose bounds go by meaning and not by name.
    pub fn bound(&self, name: &str) -> Option<Bound> {
        match self {
            Self::Exact => Some(Bound::EXACT),
            Self::Close {
                bound, applies_to, ..
            } => applies_to
                .as_deref()
                .is_none_or(|glob| matches_glob(glob, name))
                .then_some(*bound),
            Self::Training { .. } => None,
        }
    }

    /// The bound of the tensor `name` for a row at `position`: as [`Tolerance::bound`], with
    /// `abs_at_position_4095` in place of `abs` at position 4095.
    pub fn bound_at(&self, name: &str, position: i64) -> Option<Bound> {
        let bound = self.bound(name)?;
        match self {
            Self::Close {
                abs_at_position_4095: Some(abs),
                ..
            } if position == 4095 => Some(Bound { abs: *abs, ..bound }),
            Self::Exact | Self::Close { .. } | Self::Training { .. } => Some(bound),
        }
    }
}

fn bound(map: &Map<String, Value>, key: &str) -> Result<Option<f64>, String> {
    let Some(value) = map.get(key) else {
        return Ok(None);
    };
    match value.as_f64() {
        Some(number) if number.is_finite() && number >= 0.0 => Ok(Some(number)),
        Some(_) | None => Err(format!("{key} must be a number >= 0")),
    }
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    match map.get(key) {
        None => Ok(None),
        Some(value) => value
            .as_str()
            .map(Some)
            .ok_or(format!("{key} must be a string")),
    }
}

/// Shell-like match where `*` stands for any text, and nothing else is special.
fn matches_glob(glob: &str, name: &str) -> bool {
    let Some((head, tail)) = glob.split_once('*') else {
        return glob == name;
    };
    let Some(rest) = name.strip_prefix(head) else {
        return false;
    };
    let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.any(|at| matches_glob(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Tolerance {
        Tolerance::from_json(&value).expect("a form of the README")
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(parse(json!("exact")).bound("x"), Some(Bound::EXACT));
        let plain = parse(json!({"abs": 1e-3, "rel": 1e-4, "why": "a remark"}));
        assert_eq!(plain.bound("x"), Some(Bound::new(1e-3, 1e-4)));
        let mean = parse(json!({"abs": 0.5, "mean_abs": 0.25}))
            .bound("x")
            .expect("a bound");
        assert_eq!((mean.rel, mean.mean_abs), (0.0, Some(0.25)));
        let grads = json!({"abs": 1, "rel": 2, "of": "max abs of each gradient tensor"});
        assert_eq!(
            parse(grads).bound("x").map(|b| b.scale),
            Some(Scale::TensorMax)
        );
        let far = parse(json!({"abs": 1e-6, "rel": 1e-5, "abs_at_position_4095": 2e-4}));
        assert_eq!(far.bound_at("x", 4094), Some(Bound::new(1e-6, 1e-5)));
        assert_eq!(far.bound_at("x", 4095), Some(Bound::new(2e-4, 1e-5)));
        let part = parse(json!({"abs": 1, "applies_to": "*_f32_compute"}));
        assert!(part.bound("logits_f32_compute").is_some() && part.bound("logits_bf16").is_none());
        let training = parse(json!({"loss_abs": 1e-3, "param_abs": 1e-4}));
        assert_eq!(
            training,
            Tolerance::Training {
                loss_abs: 1e-3,
                param_abs: 1e-4
            }
        );
        assert_eq!(training.bound("loss"), None);
    }

    #[test]
    fn unknown_forms_are_errors() {
        for bad in [
            json!("close"),
            json!(null),
            json!({}),
            json!({"rel": 1}),
            json!({"abs": -1}),
            json!({"abs": "1"}),
            json!({"abs": 1, "ulps": 3}),
            json!({"abs": 1, "of": "mean"}),
            json!({"loss_abs": 1}),
            json!({"loss_abs": 1, "param_abs": 1, "abs": 1}),
        ] {
            assert!(Tolerance::from_json(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn globs_match() {
        for (glob, name, want) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abcd", false),
            ("*", "", true),
            ("x", "xy", false),
            ("*a*b", "éaxaxb", true),
        ] {
            assert_eq!(matches_glob(glob, name), want, "{glob} {name}");
        }
    }
}
