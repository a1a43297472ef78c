//! What a step reports: numbers by name, counts by label, and whatever else belongs in its line.

use serde_json::{Map, Value};

use crate::{Error, number};

/// Members of a line that are not values.
const RESERVED: [&str; 3] = ["step", "time", "counts"];

/// Parts of a spread: what share of the numbers is below.
const QUANTILES: [(&str, f64); 5] = [
    ("lowest", 0.0),
    ("p10", 0.1),
    ("median", 0.5),
    ("p90", 0.9),
    ("highest", 1.0),
];

/// The values of one step, in the order in which they were set.
///
/// A name is a path whose first part is the group of the report: `loss/train`, `time/rollout`.
/// A value [within](Self::set_in) an object is nested, and its curve is drawn with its siblings':
/// `["domains", "ocr", "reward"]` beside `["domains", "math", "reward"]`.
///
/// ```
/// use glmv_monitor::Values;
///
/// let mut values = Values::new();
/// values.set("loss/train", 1.25).set_in(&["domains", "ocr", "reward"], 0.5);
/// values.counts("curriculum/tiers", [("easy", 12.0), ("hard", 4.0)]);
/// assert_eq!(values.get("loss/train"), Some(1.25));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    members: Map<String, Value>,
    counts: Map<String, Value>,
    /// The first name that cannot be recorded; reported when the step is.
    refused: Option<(String, Refusal)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Refusal {
    Name(&'static str),
    Null,
}

impl Values {
    /// No values.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a number; NaN and infinities are recorded as such.
    pub fn set(&mut self, name: &str, value: f64) -> &mut Self {
        self.set_in(&[name], value)
    }

    /// Sets a number within nested objects, outermost first.
    pub fn set_in(&mut self, path: &[&str], value: f64) -> &mut Self {
        self.insert(path, number::to_json(value))
    }

    /// Sets any other JSON within nested objects; it is in the line, and drawn only where it has
    /// numbers. It must have no null, which is what `serde_json` makes of NaN.
    pub fn set_json(&mut self, path: &[&str], value: Value) -> &mut Self {
        if has_null(&value) {
            self.refuse(&path.join("/"), Refusal::Null);
            return self;
        }
        self.insert(path, value)
    }

    /// Sets how many, or how much, each label has: tiers, sampling weights. Drawn as shares over
    /// time.
    pub fn counts<'a>(
        &mut self,
        name: &str,
        counts: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> &mut Self {
        let mut labels = Map::new();
        for (label, count) in counts {
            self.check(label);
            if labels
                .insert(label.to_owned(), number::to_json(count))
                .is_some()
            {
                self.refuse(label, Refusal::Name("it is set twice"));
            }
        }
        self.check(name);
        if self
            .counts
            .insert(name.to_owned(), Value::Object(labels))
            .is_some()
        {
            self.refuse(name, Refusal::Name("it is set twice"));
        }
        self
    }

    /// Sets the spread of many numbers: lowest, highest, median, and the tenth at either end. Drawn
    /// as one chart. Nothing is set without a number; all are NaN if one is.
    pub fn set_quantiles(&mut self, name: &str, numbers: &[f64]) -> &mut Self {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let has_nan = numbers.iter().any(|number| number.is_nan());
        let Some(last) = sorted.len().checked_sub(1) else {
            return self;
        };
        for (label, share) in QUANTILES {
            let nearest = (last as f64 * share).round() as usize;
            let value = if has_nan {
                f64::NAN
            } else {
                sorted[nearest.min(last)]
            };
            self.set_in(&[name, label], value);
        }
        self
    }

    /// A number that was set by [`Self::set`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        number::from_json(self.members.get(name)?)
    }

    /// Numbers that are not nested, in order.
    pub fn scalars(&self) -> impl Iterator<Item = (&str, f64)> {
        let members = self.members.iter();
        members.filter_map(|(name, value)| Some((name.as_str(), number::from_json(value)?)))
    }

    /// Every number with its path, counts among them.
    pub(crate) fn numbers(&self) -> Vec<(Vec<&str>, f64)> {
        let mut found = Vec::new();
        for (name, value) in self.members.iter().chain(&self.counts) {
            flatten(&mut vec![name], value, &mut |path, number| {
                found.push((path.to_vec(), number));
            });
        }
        found
    }

    /// The line's members after step and time.
    ///
    /// # Errors
    /// If a name is empty, reserved, has control characters or was set twice; if there was a null.
    pub(crate) fn to_members(&self) -> Result<Map<String, Value>, Error> {
        match &self.refused {
            None => {}
            Some((name, Refusal::Null)) => return Err(Error::Null { name: name.clone() }),
            Some((name, Refusal::Name(reason))) => {
                return Err(Error::Name {
                    name: name.clone(),
                    reason,
                });
            }
        }
        let mut members = self.members.clone();
        if !self.counts.is_empty() {
            members.insert("counts".to_owned(), Value::Object(self.counts.clone()));
        }
        Ok(members)
    }

    fn insert(&mut self, path: &[&str], value: Value) -> &mut Self {
        let name = path.join("/");
        for part in path {
            self.check(part);
        }
        let Some((last, outer)) = path.split_last() else {
            self.refuse(&name, Refusal::Name("it is empty"));
            return self;
        };
        if RESERVED.contains(&path[0]) {
            self.refuse(&name, Refusal::Name("it is a member that every line has"));
            return self;
        }
        let mut members = &mut self.members;
        for part in outer {
            let inner = members.entry(*part).or_insert_with(|| Map::new().into());
            let Value::Object(inner) = inner else {
                self.refuse(&name, Refusal::Name("a number stands where it is nested"));
                return self;
            };
            members = inner;
        }
        if members.insert((*last).to_owned(), value).is_some() {
            self.refuse(&name, Refusal::Name("it is set twice"));
        }
        self
    }

    fn check(&mut self, part: &str) {
        if part.is_empty() {
            self.refuse(part, Refusal::Name("it is empty"));
        } else if part.chars().any(char::is_control) {
            self.refuse(part, Refusal::Name("it has control characters"));
        }
    }

    fn refuse(&mut self, name: &str, refusal: Refusal) {
        if self.refused.is_none() {
            self.refused = Some((name.to_owned(), refusal));
        }
    }
}

/// Values of a step that has only numbers.
impl<const N: usize> From<[(&str, f64); N]> for Values {
    fn from(pairs: [(&str, f64); N]) -> Self {
        let mut values = Self::new();
        for (name, value) in pairs {
            values.set(name, value);
        }
        values
    }
}

/// Calls `found` for every number in objects of objects; lists are left out.
pub(crate) fn flatten<'a>(
    path: &mut Vec<&'a str>,
    value: &'a Value,
    found: &mut impl FnMut(&[&'a str], f64),
) {
    if let Value::Object(members) = value {
        for (name, value) in members {
            path.push(name);
            flatten(path, value, found);
            path.pop();
        }
    } else if let Some(number) = number::from_json(value) {
        found(path, number);
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_has_what_was_set_in_order() {
        let mut values = Values::new();
        values
            .set("loss", f64::NAN)
            .set_in(&["domains", "ocr", "reward"], 0.5);
        values.set_in(&["domains", "ocr", "entropy"], f64::INFINITY);
        values.counts("tiers", [("easy", 2.0)]);
        let members = Value::Object(values.to_members().expect("good names"));
        let expected = json!({"loss": "NaN",
            "domains": {"ocr": {"reward": 0.5, "entropy": "Infinity"}},
            "counts": {"tiers": {"easy": 2.0}}});
        assert_eq!(members.to_string(), expected.to_string());
    }

    #[test]
    fn quantiles_are_numbers_of_the_list() {
        let mut values = Values::new();
        let numbers: Vec<f64> = (0..=10).rev().map(f64::from).collect();
        values
            .set_quantiles("a", &numbers)
            .set_quantiles("none", &[]);
        values
            .set_quantiles("one", &[3.0])
            .set_quantiles("bad", &[1.0, f64::NAN]);
        let found: Vec<f64> = values.numbers().iter().map(|(_, number)| *number).collect();
        assert_eq!(found[..5], [0.0, 1.0, 5.0, 9.0, 10.0]);
        assert_eq!(found[5..10], [3.0; 5]);
        assert!(found.len() == 15 && found[10..].iter().all(|number| number.is_nan()));
    }

    #[test]
    fn what_cannot_be_recorded_is_refused() {
        let refused = |fill: fn(&mut Values)| {
            let mut values = Values::new();
            fill(&mut values);
            values.to_members().expect_err("refused").to_string()
        };
        assert!(refused(|v| _ = v.set("", 1.0)).contains("empty"));
        assert!(refused(|v| _ = v.set_in(&[], 1.0)).contains("empty"));
        assert!(refused(|v| _ = v.set("step", 1.0)).contains("`step`"));
        assert!(refused(|v| _ = v.set("a\nb", 1.0)).contains("control"));
        assert!(refused(|v| _ = v.set("a", 1.0).set("a", 2.0)).contains("twice"));
        assert!(refused(|v| _ = v.set("a", 1.0).set_in(&["a", "b"], 2.0)).contains("nested"));
        assert!(refused(|v| _ = v.set_json(&["a"], json!([f64::NAN]))).contains("null"));
        assert!(refused(|v| _ = v.counts("t", [("x", 1.0), ("x", 1.0)])).contains("twice"));
    }
}
