//! Lines of the log: strict about the numbers that are watched.

use serde_json::{Map, Value};

use super::{Signal, WatchError};
use crate::judge::net::excerpt;

/// Characters of an answer that are kept.
const ANSWER_CHARS: usize = 200;

/// One line.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) step: u64,
    pub(super) domains: Vec<(String, DomainRecord)>,
}

/// One domain of a line.
#[derive(Debug, Default, PartialEq)]
pub(super) struct DomainRecord {
    pub(super) reward: f64,
    /// Values of the signals that are there.
    pub(super) signals: Vec<(Signal, f64)>,
    pub(super) samples: Vec<Sample>,
}

/// One answer of a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) answer: String,
    pub(super) reward: f64,
    pub(super) id: Option<String>,
}

/// Reads a line; `None` if it has no `domains`.
///
/// # Errors
/// With the line and the member that is not what it must be.
pub(super) fn parse(text: &str, line: usize) -> Result<Option<Record>, WatchError> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let hint = match text.contains("NaN") || text.contains("Infinity") {
            true => ": NaN and Infinity are no JSON numbers",
            false => "",
        };
        WatchError::Json {
            line,
            reason: format!("{error}{hint}"),
        }
    })?;
    let at = At { line };
    let object = at.object("", &value)?;
    let Some(domains) = object.get("domains") else {
        return Ok(None);
    };
    let step = object.get("step").unwrap_or(&Value::Null);
    let step = step
        .as_u64()
        .ok_or_else(|| at.wrong("step", step, "a whole number"))?;
    let domains = at.object("domains", domains)?.iter().map(|(name, value)| {
        let path = format!("domains.{name}");
        Ok((name.clone(), at.domain(&path, value)?))
    });
    let domains = domains.collect::<Result<_, WatchError>>()?;
    Ok(Some(Record { step, domains }))
}

/// Where errors are.
struct At {
    line: usize,
}

impl At {
    fn wrong(&self, field: &str, found: &Value, expected: &'static str) -> WatchError {
        let found = match found {
            Value::Null => "null or missing (null is how NaN is often written)".to_owned(),
            other => excerpt(&other.to_string(), 60),
        };
        WatchError::Field {
            line: self.line,
            field: field.to_owned(),
            found,
            expected,
        }
    }

    fn object<'a>(
        &self,
        path: &str,
        value: &'a Value,
    ) -> Result<&'a Map<String, Value>, WatchError> {
        let path = if path.is_empty() { "the line" } else { path };
        value
            .as_object()
            .ok_or_else(|| self.wrong(path, value, "an object"))
    }

    fn number(&self, path: &str, value: &Value) -> Result<f64, WatchError> {
        value
            .as_f64()
            .filter(|number| number.is_finite())
            .ok_or_else(|| self.wrong(path, value, "a finite number"))
    }

    fn domain(&self, path: &str, value: &Value) -> Result<DomainRecord, WatchError> {
        let object = self.object(path, value)?;
        let reward = object.get("reward").unwrap_or(&Value::Null);
        let mut record = DomainRecord {
            reward: self.number(&format!("{path}.reward"), reward)?,
            ..DomainRecord::default()
        };
        for signal in Signal::ALL {
            let Some(value) = object.get(signal.field()) else {
                continue;
            };
            let field = format!("{path}.{}", signal.field());
            let number = self.number(&field, value)?;
            let (is_allowed, expected) = match signal {
                Signal::HeldOut | Signal::Repetition | Signal::FormatRate => {
                    ((0.0..=1.0).contains(&number), "a share in 0..=1")
                }
                Signal::Length | Signal::Entropy | Signal::FormatEntropy => {
                    (number >= 0.0, "0 or more")
                }
            };
            if !is_allowed {
                return Err(self.wrong(&field, value, expected));
            }
            record.signals.push((signal, number));
        }
        if let Some(samples) = object.get("samples") {
            let field = format!("{path}.samples");
            let samples = samples
                .as_array()
                .ok_or_else(|| self.wrong(&field, samples, "a list"))?;
            for (index, sample) in samples.iter().enumerate() {
                let sample = self.sample(&format!("{field}[{index}]"), sample)?;
                record.samples.push(sample);
            }
        }
        Ok(record)
    }

    fn sample(&self, path: &str, value: &Value) -> Result<Sample, WatchError> {
        let object = self.object(path, value)?;
        let answer = object.get("answer").unwrap_or(&Value::Null);
        let text = answer
            .as_str()
            .ok_or_else(|| self.wrong(&format!("{path}.answer"), answer, "a text"))?;
        let reward = object.get("reward").unwrap_or(&Value::Null);
        let id = object.get("id").map(|id| match id {
            Value::String(text) => excerpt(text, 100),
            other => excerpt(&other.to_string(), 100),
        });
        Ok(Sample {
            answer: excerpt(text, ANSWER_CHARS),
            reward: self.number(&format!("{path}.reward"), reward)?,
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> String {
        match parse(text, 7).expect_err(text) {
            WatchError::Field { line: 7, field, .. } => field,
            WatchError::Json { line: 7, reason } => reason,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let domain =
            |members: &str| format!("{{\"step\":1,\"domains\":{{\"math\":{{{members}}}}}}}");
        assert_eq!(field(&domain("\"reward\":null")), "domains.math.reward");
        assert_eq!(field(&domain("")), "domains.math.reward");
        assert_eq!(
            field(&domain("\"reward\":1,\"entropy\":null")),
            "domains.math.entropy"
        );
        assert_eq!(
            field(&domain("\"reward\":1,\"entropy\":-1")),
            "domains.math.entropy"
        );
        assert_eq!(
            field(&domain("\"reward\":1,\"held_out_accuracy\":71.5")),
            "domains.math.held_out_accuracy"
        );
        assert_eq!(
            field(&domain("\"reward\":1,\"samples\":[{\"answer\":\"x\"}]")),
            "domains.math.samples[0].reward"
        );
        assert!(field(&domain("\"reward\":NaN")).contains("NaN"));
        assert!(field(&domain("\"reward\":1e999")).contains("out of range"));
        assert_eq!(field("{\"step\":-1,\"domains\":{}}"), "step");
        assert_eq!(field("[1]"), "the line");
    }

    #[test]
    fn other_lines_and_members_are_left_alone() {
        assert_eq!(parse("{\"loss\": null, \"step\": 3}", 1), Ok(None));
        let text = "{\"step\":4,\"lr\":null,\"domains\":{\"ocr\":{\"reward\":0.5,\"grad\":1,\
                    \"entropy\":0.25,\"samples\":[{\"answer\":\"a\",\"reward\":1,\"id\":9}]}}}";
        let record = parse(text, 1).expect("a record").expect("with domains");
        assert_eq!(record.step, 4);
        let (name, domain) = &record.domains[0];
        assert_eq!((name.as_str(), domain.reward), ("ocr", 0.5));
        assert_eq!(domain.signals, [(Signal::Entropy, 0.25)]);
        assert_eq!(domain.samples[0].id.as_deref(), Some("9"));
    }
}
